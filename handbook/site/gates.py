"""Gates over the pages' sources: embeds and quotes resolve, code is quoted, proofs are shown."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator

from handbook.errors import UsageError
from handbook.site import anatomy, figure_marks, flowchart, marks, proofs, prose, source, terms
from handbook.site.problems import Problem
from handbook.site.project import Project

PYTHON = {"python", "py", "python3", "py3", "pycon", "python-repl", "ipython", "ipython3"}
SQL = {"sql", "postgresql", "postgres", "psql", "plpgsql", "mysql"}
SHELL = {"sh", "bash", "zsh", "ksh", "shell", "console", "shell-session", "powershell", "bat"}
JVM = {"java", "kotlin"}
QUOTE_ONLY = frozenset(PYTHON | SQL | SHELL | JVM)
SECTION = r"-{1,}8<-{1,}\s+\[\s*%s\s*:\s*%s\s*\]"
PROOF = re.compile(r"^e\d+-")


def check_page(project: Project, page: str) -> list[Problem]:
    """Everything wrong in one page's source. `page` is relative to `docs/`."""
    text = (project.docs / page).read_text(encoding="utf-8")
    found = marks.read(text)
    file = f"docs/{page}"
    return [
        *_malformed(file, found),
        *_embeds(project, file, found),
        *_quotes(project, file, found),
        *_fences(file, found),
        *figure_marks.check(project, file, text),
        *flowchart.check(file, text),
        *anatomy.check(project, page, text),
        *proofs.check(project, file, source.lines(text)),
        *prose.check_page(page, text, terms.load(project)),
    ]


def check_pages(project: Project) -> list[Problem]:
    """Everything wrong in any page's source, in a lab's prose or in the list of terms."""
    pages = [problem for page in project.pages() for problem in check_page(project, page)]
    labs = [problem for lab in project.labs() for problem in check_lab(project, lab)]
    return [*terms.check(project), *pages, *labs]


def check_lab(project: Project, name: str) -> list[Problem]:
    """Everything wrong in a lab's prose; `handbook labs check` looks at the rest."""
    lab = project.lab(name)
    return prose.check_lab(lab, terms.load(project))


def embedded(project: Project) -> dict[str, list[str]]:
    """Which pages embed which cell: `lab#cell` to pages."""
    pages: dict[str, list[str]] = {}
    for page in project.pages():
        text = (project.docs / page).read_text(encoding="utf-8")
        for embed in marks.read(text).embeds:
            pages.setdefault(embed.ref, []).append(page)
    return pages


def orphans(project: Project, allowed: dict[str, str]) -> list[Problem]:
    """Cells that prove something (`e21-…`) and are on no page; and allowances nobody needs.

    Args:
        project: the checkout.
        allowed: `lab#cell` to the reason why it may stay off the pages.
    """
    shown = embedded(project)
    proofs = {ref: where for lab in project.labs() for ref, where in _proofs(project, lab)}
    forgotten = [
        Problem(
            where,
            f"no page shows `{ref}`",
            f"embed it with `/// cell | {ref}`, or give a reason under `orphans` in "
            "docs/coverage.yml",
        )
        for ref, where in proofs.items()
        if ref not in shown and ref not in allowed
    ]
    return forgotten + [
        Problem(
            "docs/coverage.yml",
            f"`orphans` excuses `{ref}`, which "
            + ("a page shows" if ref in shown else "is no proof of any lab"),
            "remove the line",
        )
        for ref in allowed
        if ref in shown or ref not in proofs
    ]


def sections(text: str) -> list[str]:
    """The named sections of a quoted file that are opened once and closed once."""
    opened = Counter(re.findall(SECTION % ("start", r"([\w-]+)"), text))
    closed = Counter(re.findall(SECTION % ("end", r"([\w-]+)"), text))
    return [name for name, count in opened.items() if count == 1 and closed[name] == 1]


def check_quote(project: Project, where: str, quote: marks.Quote) -> Problem | None:
    """What is wrong with a quote of `snippets/`, if anything."""
    file = project.snippets / quote.path
    inside = file.resolve().is_relative_to(project.snippets.resolve())
    if not inside or not file.is_file():
        return Problem(
            where, f"snippets/{quote.path} does not exist", "quote a file below snippets/"
        )
    known = sections(file.read_text(encoding="utf-8"))
    if quote.section is None or quote.section in known:
        return None
    return Problem(
        where,
        f"snippets/{quote.path} has no section `{quote.section}`",
        f"mark it with start and end, or choose one of: {', '.join(known) or 'none'}",
    )


def _malformed(file: str, found: marks.Marks) -> Iterator[Problem]:
    for bad in found.malformed:
        yield Problem(f"{file}:{bad.line}", bad.what, bad.next_step)


def _embeds(project: Project, file: str, found: marks.Marks) -> Iterator[Problem]:
    for embed in found.embeds:
        where = f"{file}:{embed.line}"
        try:
            cell = project.lab(embed.lab).cell(embed.cell)
        except UsageError as error:
            yield Problem(where, error.what, error.next_step)
            continue
        if cell.kind != "code":
            yield Problem(where, f"`{embed.ref}` is prose, not code", "embed a code cell")
        elif embed.part != "source" and cell.execution_count is None:
            yield Problem(
                where,
                f"`{embed.ref}` was never run",
                f"run `handbook labs regenerate {embed.lab}`",
            )
        elif embed.part == "output" and not cell.outputs:
            yield Problem(
                where,
                f"`{embed.ref}` has no stored output",
                f"run `handbook labs regenerate {embed.lab}`, or use `part: source`",
            )


def _quotes(project: Project, file: str, found: marks.Marks) -> Iterator[Problem]:
    for quote in found.quotes:
        if problem := check_quote(project, f"{file}:{quote.line}", quote):
            yield problem


def _fences(file: str, found: marks.Marks) -> Iterator[Problem]:
    typed = [fence for fence in found.fences if fence.typed and fence.language in QUOTE_ONLY]
    reason = found.front_matter.get("typed_fences")
    if reason is not None and not (isinstance(reason, str) and len(reason.strip()) >= 10):
        yield Problem(f"{file}:1", "`typed_fences` gives no reason", "say in a sentence why")
    elif reason is not None and not typed:
        yield Problem(f"{file}:1", "`typed_fences` excuses nothing", "remove it")
    elif reason is None:
        yield from (_typed(file, fence) for fence in typed)


def _typed(file: str, fence: marks.Fence) -> Problem:
    return Problem(
        f"{file}:{fence.typed}",
        f"{fence.language} code is typed into the page, where no test runs it",
        'quote a section of snippets/ with `--8<-- "FILE:SECTION"`, or embed a cell; where '
        "neither can be, give the reason as `typed_fences` in the page's front matter",
    )


def _proofs(project: Project, lab: str) -> Iterable[tuple[str, str]]:
    for cell in project.lab(lab).cells:
        if cell.kind == "code" and PROOF.match(cell.id):
            yield f"{lab}#{cell.id}", f"notebooks/{lab}.ipynb"
