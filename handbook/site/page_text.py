"""A page's Markdown as MkDocs gets it: with its card, its links to tests and its lists."""

from __future__ import annotations

from handbook.site import card, front_matter, generated, proofs, prose


def complete(markdown: str, place: generated.Place) -> str:
    """Fill in what the page leaves to us.

    Args:
        markdown: the page without its front matter.
        place: the page.
    """
    project = place.project
    values = front_matter.read((project.docs / place.page).read_text("utf-8"))
    if shown := card.of_page(project, place.page, values, place.proof, place.to):
        markdown = card.insert(markdown, shown)
    markdown = prose.without_excuses(markdown)
    linked = proofs.render(project, markdown, proofs.address(place.page, place.repository))
    return generated.fill(linked, place)
