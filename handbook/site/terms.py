"""The words of the handbook, `docs/_data/terms.yml`: glossary, and a gate over what pages write.

The search (`handbook.site.search`) reads the same file for its synonyms.
"""

from __future__ import annotations

import json
import posixpath
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache, cached_property, lru_cache
from pathlib import Path
from typing import Any

import yaml

from handbook.errors import CheckFailedError
from handbook.site import schema as schemas
from handbook.site import source
from handbook.site.problems import Problem
from handbook.site.project import Project
from handbook.site.prose_rules import Finding

FILE = "docs/_data/terms.yml"
SCHEMA = "docs/_data/schema/terms.schema.json"

# What a reader sees only as code, as an address, as an attribute or not at all.
NOT_PROSE = re.compile(r"(`+).*?\1|(?<=\])\([^)]*\)|<[^>]*>|\{[^}]*\}|https?://\S+")
# The glossary's groups: initial consonants in Unicode's order, the doubled ones with the plain.
INITIALS = "ㄱㄱㄴㄷㄷㄹㅁㅂㅂㅅㅅㅇㅈㅈㅊㅋㅌㅍㅎ"
FIRST_INITIAL = 0x1100
LATIN = "A"
GROUPS = {
    "ㄱ": "giyeok",
    "ㄴ": "nieun",
    "ㄷ": "digeut",
    "ㄹ": "rieul",
    "ㅁ": "mieum",
    "ㅂ": "bieup",
    "ㅅ": "siot",
    "ㅇ": "ieung",
    "ㅈ": "jieut",
    "ㅊ": "chieut",
    "ㅋ": "kieuk",
    "ㅌ": "tieut",
    "ㅍ": "pieup",
    "ㅎ": "hieut",
    LATIN: "latin",
}


@dataclass(frozen=True)
class Term:
    """One entry of the file, which describes the fields."""

    term: str
    english: str
    meaning: str
    synonyms: tuple[str, ...] = ()
    avoid: tuple[str, ...] = ()
    common: bool = False
    coined: bool = False
    page: str | None = None

    @property
    def anchor(self) -> str:
        """Its id on the glossary page."""
        return re.sub(r"[^a-z0-9]+", "-", self.english.lower())

    @cached_property
    def forms(self) -> tuple[str, ...]:
        """Every word that means it, the preferred one first."""
        return tuple(dict.fromkeys((self.term, self.english, *self.synonyms, *self.avoid)))

    @cached_property
    def refused(self) -> tuple[str, ...]:
        """What pages must not write: the forms to avoid, and the compound written together."""
        together = self.term.replace(" ", "")
        return self.avoid if together == self.term else (*self.avoid, together)

    @property
    def initial(self) -> str:
        """The letter below which the glossary lists it."""
        place = ord(unicodedata.normalize("NFD", self.term)[0]) - FIRST_INITIAL
        return INITIALS[place] if 0 <= place < len(INITIALS) else LATIN


def load(project: Project) -> tuple[Term, ...]:
    """Every term, as the file orders them.

    Raises:
        CheckFailedError: the file is missing, is no YAML or does not match its schema.
    """
    file = project.root / FILE
    if not file.is_file():
        raise CheckFailedError(f"{FILE} is missing", "restore it from git")
    return _load(file, project.root / SCHEMA, file.stat().st_mtime_ns)


@lru_cache(maxsize=8)
def _load(file: Path, schema: Path, _changed: int) -> tuple[Term, ...]:
    """Read once for all pages of a build."""
    try:
        raw = yaml.load(file.read_text("utf-8"), Loader=yaml.CSafeLoader)
    except yaml.YAMLError as error:
        raise CheckFailedError(f"{FILE} is no YAML: {error}", "mend it") from error
    if fault := schemas.fault(raw, json.loads(schema.read_text("utf-8"))):
        raise CheckFailedError(f"{FILE}, at {fault}", f"see {SCHEMA}")
    return tuple(map(_term, raw["terms"]))


def _term(raw: dict[str, Any]) -> Term:
    lists = {name: tuple(raw.get(name, ())) for name in ("synonyms", "avoid")}
    return Term(**{**raw, **lists})


def check(project: Project) -> list[Problem]:
    """Entries that contradict each other or name a page that does not exist."""
    found: list[Problem] = []
    owners: dict[str, list[Term]] = defaultdict(list)
    for term in load(project):
        owners[f"the anchor #{term.anchor}"].append(term)
        for form in (term.term, *term.refused):
            owners[f"`{form}`"].append(term)
        if term.page and not (project.docs / term.page.partition("#")[0]).is_file():
            what = f"`{term.term}` is explained on docs/{term.page}, which does not exist"
            found.append(Problem(_where(project, term), what, "name a page that exists"))
    for form, terms in owners.items():
        if len(terms) > 1:
            what = f"{form} belongs to `{terms[0].term}` and to `{terms[1].term}`"
            found.append(Problem(_where(project, terms[1]), what, "leave it with one of them"))
    return found


def _where(project: Project, term: Term) -> str:
    lines = (project.root / FILE).read_text("utf-8").splitlines()
    starts = re.compile(rf"\s*- term:\s*[\"']?{re.escape(term.term)}[\"']?\s*$")
    numbers = (number for number, line in enumerate(lines, start=1) if starts.match(line))
    return f"{FILE}:{next(numbers, 1)}"


# The gate, a rule of `handbook.site.prose`


def other_forms(lines: Iterable[source.Line], terms: Iterable[Term]) -> Iterator[Finding]:
    """Forms in a text that have a preferred one, in headings, tables and titles as well."""
    known = list(terms)
    for line in lines:
        prose = NOT_PROSE.sub(" ", line.text) if line.kind not in {"code", "blank"} else ""
        for term in known if prose else ():
            for form in term.refused:
                if _written(form, prose):
                    what = f"«{form}» is called «{term.term}» here"
                    yield Finding("term", line.number, line.number, what, f"write {term.term}")


def _written(form: str, prose: str) -> bool:
    """Whether `prose` has `form` at the start of a word; particles may follow."""
    return form.split()[0] in prose and _pattern(form).search(prose) is not None


@cache
def _pattern(form: str) -> re.Pattern[str]:
    words = r"\s+".join(map(re.escape, form.split()))
    return re.compile(rf"(?<![가-힣A-Za-z]){words}")


# The glossary


def glossary(terms: Iterable[Term], to_page: str) -> str:
    """The glossary's Markdown: a heading and a sentence a term, in alphabetical order.

    Args:
        terms: every term.
        to_page: the glossary itself, relative to `docs/`; links start there.
    """
    groups: dict[str, list[Term]] = defaultdict(list)
    for term in sorted(terms, key=_alphabetical):
        groups[term.initial].append(term)
    letters = " ".join(f"[{initial}](#{GROUPS[initial]})" for initial in groups)
    parts = [f"{letters}\n{{ .term-index }}"]
    for initial, members in groups.items():
        parts.append(f"## {initial} {{#{GROUPS[initial]} .term-group}}")
        parts += [_entry(term, posixpath.dirname(to_page) or ".") for term in members]
    return "\n\n".join(parts)


def _alphabetical(term: Term) -> tuple[bool, str]:
    """Korean before Latin."""
    return term.initial == LATIN, term.term.lower()


def _entry(term: Term, folder: str) -> str:
    english = "" if term.english == term.term else f' <span lang="en">({term.english})</span>'
    notes = [f"{_quoted(term.avoid)} 대신 씁니다."] if term.avoid else []
    if term.coined:
        notes.append("한국어 기술 문서에서 아직 널리 쓰이지 않는 말입니다.")
    if term.page:
        notes.append(f"[설명하는 페이지]({posixpath.relpath(term.page, folder)})")
    lines = [f"### {term.term}{english} {{#{term.anchor} .term}}", term.meaning]
    if notes:
        lines.append(" ".join(notes) + "\n{ .term-note }")
    return "\n\n".join(lines)


def _quoted(forms: Iterable[str]) -> str:
    return ", ".join(f"«{form}»" for form in forms)
