"""Lists that pages show and nobody types: `<!-- handbook:labs -->` on a line of its own."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable
from typing import Any

from mkdocs.exceptions import PluginError

from handbook.site import coverage, provenance
from handbook.site.project import Project, lab_title

PLACE = re.compile(r"^<!-- handbook:([\w-]+) -->$", re.MULTILINE)
KINDS = {"page": "페이지", "lab": "실습", "picture": "그림", "test": "시험"}
Checked = dict[str, dict[str, Any]]


def fill(markdown: str, project: Project, checked: Checked, *, page: str) -> str:
    """The page with its generated lists.

    Raises:
        PluginError: a placeholder names a list that does not exist.
    """

    def one(match: re.Match[str]) -> str:
        if match[1] not in LISTS:
            raise PluginError(
                f"docs/{page}: `{match[0]}` is unknown; use one of: {', '.join(LISTS)}"
            )
        return LISTS[match[1]](project, checked, page)

    return PLACE.sub(one, markdown)


def labs(project: Project, checked: Checked, page: str) -> str:
    """Every lab: title, cells, last check."""
    rows = ["| 실습 | 셀 | 마지막 검증 |", "| --- | ---: | --- |"]
    for name in project.labs():
        lab = project.lab(name)
        proof = provenance.of_lab(lab, checked)
        link = f"[{lab_title(lab)}]({_to(page, f'labs/{name}.ipynb')})"
        rows.append(f"| {link} | {len(lab.cells)} | {proof.text} |")
    return "\n".join(rows) if len(rows) > 2 else "아직 실습이 없습니다."


def facts(project: Project, checked: Checked, page: str) -> str:
    """One line: what there is, and when it was last verified on what."""
    names = project.labs()
    proofs = [provenance.of_lab(project.lab(name), checked) for name in names]
    verified = [proof for proof in proofs if proof.verified]
    rows = coverage.check(project)
    complete = sum(not row.missing for row in rows)
    line = (
        f"주제 {len(rows)}개 중 {complete}개 완성 · 실습 {len(names)}개 중 {len(verified)}개 검증"
    )
    return f"{line} · {verified[-1].text}" if verified else line


def coverage_table(project: Project, checked: Checked, page: str) -> str:
    """Every row of `docs/coverage.yml` and what it lacks."""
    rows = ["| 번호 | 주제 | 상태 | 남은 것 |", "| --- | --- | --- | --- |"]
    for row in coverage.check(project):
        there = (project.docs / row.row.page).is_file()
        topic = f"[{row.row.title}]({_to(page, row.row.page)})" if there else row.row.title
        state = "완성" if not row.missing else "작성 중" if there else "예정"
        kinds = dict.fromkeys(missing.kind for missing in row.missing)
        rows.append(
            f"| {row.row.id} | {topic} | {state} | {', '.join(KINDS[kind] for kind in kinds)} |"
        )
    return "\n".join(rows)


def _to(page: str, target: str) -> str:
    return posixpath.relpath(target, posixpath.dirname(page) or ".")


LISTS: dict[str, Callable[[Project, Checked, str], str]] = {
    "labs": labs,
    "facts": facts,
    "coverage": coverage_table,
}
