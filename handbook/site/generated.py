"""Lists that pages show and nobody types: `<!-- handbook:labs -->` on a line of its own."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from mkdocs.exceptions import PluginError

from handbook.site import anatomy, coverage, proofs, provenance
from handbook.site import terms as words
from handbook.site.project import Project, lab_title

PLACE = re.compile(r"^<!-- handbook:([\w-]+) -->$", re.MULTILINE)
KINDS = {"page": "페이지", "lab": "실습", "picture": "그림", "test": "테스트"}


@dataclass(frozen=True)
class Place:
    """The page that shows a list, and what the list is made from."""

    project: Project
    checked: dict[str, dict[str, Any]]
    page: str
    repository: str | None = None

    def to(self, target: str) -> str:
        """A link from this page."""
        return posixpath.relpath(target, posixpath.dirname(self.page) or ".")

    def proof(self, lab: str) -> provenance.Provenance:
        """When the lab was last verified."""
        return provenance.of_lab(self.project.lab(lab), self.checked)


def fill(markdown: str, place: Place) -> str:
    """The page with its generated lists.

    Raises:
        PluginError: a placeholder names a list that does not exist.
    """

    def one(match: re.Match[str]) -> str:
        if match[1] not in LISTS:
            raise PluginError(
                f"docs/{place.page}: `{match[0]}` is unknown; use one of: {', '.join(LISTS)}"
            )
        return LISTS[match[1]](place)

    return PLACE.sub(one, markdown)


def labs(place: Place) -> str:
    """Every lab: title, cells, last check."""
    rows = ["| 실습 | 셀 | 마지막 검증 |", "| --- | ---: | --- |"]
    for name in place.project.labs():
        lab = place.project.lab(name)
        link = f"[{lab_title(lab)}]({place.to(f'labs/{name}.ipynb')})"
        rows.append(f"| {link} | {len(lab.cells)} | {place.proof(name).text} |")
    return "\n".join(rows) if len(rows) > 2 else "아직 실습이 없습니다."


def facts(place: Place) -> str:
    """One line: what there is, and when it was last verified on what."""
    names = place.project.labs()
    verified = [proof for proof in map(place.proof, names) if proof.verified]
    rows = coverage.check(place.project)
    complete = sum(not row.missing for row in rows)
    line = (
        f"주제 {len(rows)}개 중 {complete}개 완성 · 실습 {len(names)}개 중 {len(verified)}개 검증"
    )
    return f"{line} · {verified[-1].text}" if verified else line


def coverage_table(place: Place) -> str:
    """Every row of `docs/coverage.yml` and what it lacks."""
    rows = ["| 번호 | 주제 | 상태 | 남은 것 |", "| --- | --- | --- | --- |"]
    for row in coverage.check(place.project):
        there = (place.project.docs / row.row.page).is_file()
        topic = f"[{row.row.title}]({place.to(row.row.page)})" if there else row.row.title
        state = "완성" if not row.missing else "작성 중" if there else "예정"
        lacking = {missing.kind for missing in row.missing}
        kinds = [name for kind, name in KINDS.items() if kind in lacking]
        rows.append(f"| {row.row.id} | {topic} | {state} | {', '.join(kinds)} |")
    return "\n".join(rows)


def waivers(place: Place) -> str:
    """Every part that a page leaves out, and why."""
    rows = ["| 페이지 | 없는 부분 | 이유 |", "| --- | --- | --- |"]
    for page, part, reason in anatomy.waivers(place.project):
        rows.append(f"| [{page.removesuffix('.md')}]({place.to(page)}) | `{part}` | {reason} |")
    return "\n".join(rows) if len(rows) > 2 else "모든 페이지에 모든 부분이 있습니다."


def tests(place: Place) -> str:
    """Every test and what it claims."""
    return proofs.listing(place.project, place.repository)


def glossary(place: Place) -> str:
    """Every term: its names and what it means."""
    return words.glossary(words.load(place.project), place.page)


LISTS: dict[str, Callable[[Place], str]] = {
    "labs": labs,
    "facts": facts,
    "coverage": coverage_table,
    "waivers": waivers,
    "tests": tests,
    "glossary": glossary,
}
