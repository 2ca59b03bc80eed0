"""Korean search, made of the theme's own: what is done to the site after it was built.

The index gets the other words for what a page is about, and the theme's search worker gets our
`theme/scripts/lunr.ko.js` in place of the file that it loads for Korean anyway. Both rest on how
the theme works inside, so the build fails when that changes.
"""

from __future__ import annotations

import html
import json
import posixpath
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

from handbook.errors import CheckFailedError
from handbook.site.terms import Term

INDEX = "search/search_index.json"
WORKERS = "assets/javascripts/workers"
SOURCES = "scripts"
SOURCE = f"{SOURCES}/lunr.ko.js"
SCRIPT = "assets/javascripts/lunr/min/lunr.ko.min.js"
LUNR = "2.3.9"
LOADS = "/min/lunr.${n}.min.js"

# A page explains what its lab shows, so it comes first when both answer.
LAB_BOOST = 0.4

# The fields of a section beside its title and text: other words for what stands in them.
OF_TITLE, OF_TEXT = "ht", "hx"

TAG = re.compile(r"<[^>]+>")
# The theme's indexer takes its time over every tag, and these tell it nothing.
SILENT = re.compile(r"</?span\b[^>]*>|<a id=\"__codelineno[^>]*></a>|<svg\b.*?</svg>", re.DOTALL)
BETWEEN = re.compile(r"[\s_-]+")
LATIN = re.compile(r"[A-Za-z0-9 -]+")
PARTICLE = "(?:은|는|이|가|을|를|과|와|의|에|도|만|으로|로|까지)?"

Index = dict[str, Any]


def finish(
    site: Path, theme: Path, terms: Sequence[Term], keywords: Mapping[str, list[str]]
) -> None:
    """Make the search of a built site a Korean one.

    Args:
        site: the built site, changed in place.
        theme: our part of the theme.
        terms: every term, for its other names.
        keywords: a page's address to what its front matter names.

    Raises:
        CheckFailedError: the theme's search is not the one that this was written for.
    """
    check_theme(site)
    (site / SCRIPT).write_text(compact((theme / SOURCE).read_text("utf-8")), "utf-8")
    index = json.loads((site / INDEX).read_text("utf-8"))
    text = json.dumps(expand(index, terms, keywords), ensure_ascii=False, separators=(",", ":"))
    (site / INDEX).write_text(text, "utf-8")


def readable(content: str) -> str:
    """A page as the theme's indexer reads it in half the time: without drawings and colours."""
    return SILENT.sub("", content)


def check_theme(site: Path) -> None:
    """Does nothing when the theme's worker still is what our script was written for.

    Raises:
        CheckFailedError: says what changed.
    """
    workers = list((site / WORKERS).glob("search.*.js"))
    code = workers[0].read_text("utf-8") if len(workers) == 1 else ""
    version = re.search(r"\bversion=\"([\d.]+)\"", code)
    if len(workers) != 1:
        fault = f"has {len(workers)} search workers in {WORKERS}/"
    elif LOADS not in code or not (site / SCRIPT).is_file():
        fault = f"does not load {SCRIPT} any more"
    elif not version or version[1] != LUNR:
        fault = f"searches with lunr {version[1] if version else 'of no version'}, not {LUNR}"
    else:
        return
    raise CheckFailedError(
        f"the theme {fault}; Korean search would fail without a word",
        f"pin the last mkdocs-material that built, or adapt theme/{SOURCE} and "
        "handbook/site/search.py until tests/site/test_search_browser.py passes",
    )


def compact(script: str) -> str:
    """The script without the lines that only explain, and without indentation."""
    lines = (line.strip() for line in script.splitlines())
    return "\n".join(line for line in lines if line and not line.startswith("//")) + "\n"


def expand(index: Index, terms: Sequence[Term], keywords: Mapping[str, list[str]]) -> Index:
    """The index with the other words: for each section those of its title, and those of its text.

    A page's keywords count as other words for its title, and so do all forms of a term for the
    section that explains it.
    """
    known = tuple(_Meaning(term.forms, tuple(map(_joined, term.forms))) for term in terms)
    wanted = defaultdict(list, {place: list(words) for place, words in keywords.items()})
    for term in terms:
        if term.page:
            wanted[_location(term.page)] += term.forms
    return {**index, "docs": [_section(entry, known, wanted) for entry in index["docs"]]}


def _location(page: str) -> str:
    """Where the site has a page: `events/outbox.md#relay` at `events/outbox/#relay`."""
    file, mark, anchor = page.partition("#")
    folder, name = posixpath.split(file)
    address = folder if name == "index.md" else file.removesuffix(".md")
    return (f"{address}/" if address else "") + mark + anchor


@dataclass(frozen=True)
class _Meaning:
    """The forms of a term, and the letters of each."""

    forms: tuple[str, ...]
    letters: tuple[str, ...]


def _section(entry: Index, terms: tuple[_Meaning, ...], wanted: Mapping[str, list[str]]) -> Index:
    title, text = entry["title"], entry["text"]
    of_title = [*wanted.get(entry["location"], ()), *_others(title, terms)]
    of_text = [word for word in _others(text, terms) if word not in of_title]
    fields = {OF_TITLE: of_title, OF_TEXT: of_text}
    added = {name: " ".join(dict.fromkeys(words)) for name, words in fields.items() if words}
    return {**entry, **added}


# While the site is served, most sections of the next build are those of the last.
@lru_cache(maxsize=4096)
def _others(markup: str, terms: tuple[_Meaning, ...]) -> list[str]:
    """For every term that is meant, the forms that are not there yet."""
    text = html.unescape(TAG.sub(" ", markup)).lower()
    joined = _joined(text)
    added: list[str] = []
    for term in terms:
        # Of most terms not even the letters are there, which is quickly seen.
        there = [at for at, letters in enumerate(term.letters) if letters in joined]
        meant = {form for form in map(term.forms.__getitem__, there) if _pattern(form).search(text)}
        added += [form for form in term.forms if meant and form not in meant]
    return added


def _joined(text: str) -> str:
    return BETWEEN.sub("", text.lower())


@cache
def _pattern(form: str) -> re.Pattern[str]:
    """A form as text may write it: `dead_letter_topic`, 보상트랜잭션.

    Hangul begins a word, or else 검사가 would mean 사가. What follows are particles and the rest
    of a compound; after a single syllable particles only.
    """
    parts = r"[\s_-]*".join(re.escape(part) for part in BETWEEN.split(form.lower()))
    if LATIN.fullmatch(form):
        return re.compile(rf"(?<![a-z0-9]){parts}(?![a-z0-9])")
    end = rf"{PARTICLE}(?![가-힣])" if len(form) == 1 else ""
    # Any letter or digit; as a range of Hangul it would take a hundred times as long to compile.
    return re.compile(rf"(?<![^\W_]){parts}{end}")
