"""A term's first mention gives its English, «멱등성(idempotency)»; later ones are Korean only."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from handbook.site.prose_rules import Finding
from handbook.site.sentences import Sentence
from handbook.site.terms import Term

# What may follow a term: `커넥션 풀` is not meant in `커넥션 풀러`, nor `사가` in `사가지`.
PARTICLES = (
    "은|는|이|가|을|를|의|에|도|로|으로|와|과|만|나|이나|까지|부터|마다|처럼|보다|끼리|들|별|뿐|"
    "에서|에는|에도|에서는|에게|로는|으로는|와의|과의|이라|라|라는|이라는|입니다|이고|이며|인|이면"
)
END = rf"(?=(?:{PARTICLES})?(?![가-힣]))"
MEANT = frozenset({"text", "item", "title", "label"})


@dataclass(frozen=True)
class Mention:
    """A place where a term is written."""

    sentence: Sentence
    position: int
    term: Term

    @property
    def introduces(self) -> bool:
        """Whether its English follows."""
        after = self.sentence.flat[self.position + len(self.term.term) :]
        found = re.match(r"\s?\(([^()]*)\)", after)
        return found is not None and self.term.english.lower() in found[1].lower()


def check(page: Iterable[Sentence], terms: Iterable[Term]) -> Iterator[Finding]:
    """Terms that come without their English the first time, or with it once more."""
    met: set[str] = set()
    for mention in mentions(page, terms):
        again = mention.term.term in met
        if mention.introduces == again:
            yield _finding(mention, again=again)
        met.add(mention.term.term)


def mentioned(page: Iterable[Sentence], terms: Iterable[Term]) -> frozenset[str]:
    """The terms that a text mentions."""
    return frozenset(mention.term.term for mention in mentions(page, terms))


def mentions(page: Iterable[Sentence], terms: Iterable[Term]) -> Iterator[Mention]:
    """Every mention that counts, in order: headings and tables are read on their own."""
    by_name = {term.term: term for term in terms if not term.common and _is_korean(term)}
    if not by_name:
        return
    names = _pattern(tuple(by_name))
    for sentence in page:
        for found in names.finditer(sentence.flat) if sentence.place in MEANT else ():
            yield Mention(sentence, found.start(), by_name[found[0]])


def _is_korean(term: Term) -> bool:
    return re.search("[가-힣]", term.term) is not None


@lru_cache(maxsize=8)
def _pattern(names: Sequence[str]) -> re.Pattern[str]:
    """Any of the names at the start of a word, the longest first."""
    longest_first = "|".join(map(re.escape, sorted(names, key=len, reverse=True)))
    return re.compile(rf"(?<![가-힣A-Za-z])(?:{longest_first}){END}")


def _finding(mention: Mention, *, again: bool) -> Finding:
    line = mention.sentence.line_of(mention.position)
    name = mention.term.term
    full = f"{name}({mention.term.english})"
    if again:
        what, step = f"«{full}» gives its English once more", f"write «{name}» from now on"
    else:
        what = f"«{name}» comes without its English the first time"
        step = f"write «{full}»; a term that needs none is `common: true` in docs/_data/terms.yml"
    return Finding("introduction", line, line, what, step)
