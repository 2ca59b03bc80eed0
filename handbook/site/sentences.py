"""The sentences of a page as a reader reads them: no code, no addresses, no marks."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

from handbook.site import source
from handbook.site.proofs import NODE

Place = Literal["text", "item", "title", "heading", "label"]

CODE = "□"  # what stands for code, a link to a test and a key: a word without letters
INLINE_CODE = re.compile(r"(?P<ticks>`+).+?(?P=ticks)")
COMMENT = re.compile(r"<!--.*?-->")
IMAGE_OR_LINK = re.compile(r"!?\[(?P<text>[^\]]*)\](?:\([^)]*\)|\[[^\]]*\])(?:\{[^}]*\})?")
DROPPED = re.compile(r"<https?://[^>]*>|\[\^[^\]]+\]:?|</?[a-zA-Z][^>]*>|\{[^{}]*\}|\\(?=\W)")
TEST = re.compile(rf"\btest:{NODE}")
KEYS = re.compile(r"\+\+[\w+-]+\+\+")
EMPHASIS = re.compile(r"\*+|(?<!\w)_+|_+(?!\w)|==|~~|\^\^")
MARKER = re.compile(r"^\s*(?:(?:[-*+]|\d+[.)])\s+(?:\[[ xX]\]\s+)?|>\s?)")
TITLE = re.compile(
    r"^\s*(?:[!?]{3}\+?\s+\S+.*?\"(?P<quoted>.*)\"|/{3,}\s*[\w-]+\s*\|\s*(?P<bare>.*))"
)
LABEL = re.compile(r"^\s*\*\*(?P<label>[^*]+[.?:])\*\*(?=\s|$)")
OPEN, CLOSE = "«“‘(「『", "»”’)」』"
ENDS = ".?!:"


@dataclass(frozen=True)
class Sentence:
    """One sentence, or the rest of a block that is none.

    `text` keeps the page's line breaks, so that a position in it has a line. `end` is its full
    stop, question mark or colon; empty when it has none. `labelled`: it follows a bold label.
    """

    line: int
    text: str
    place: Place
    end: str = ""
    labelled: bool = False

    @property
    def flat(self) -> str:
        """The text in one line, each character at its place."""
        return self.text.replace("\n", " ")

    @property
    def last_line(self) -> int:
        """The line of its end."""
        return self.line + self.text.rstrip().count("\n")

    def line_of(self, position: int) -> int:
        """The line of a position in the text."""
        return self.line + self.text.count("\n", 0, position)


def read(text: str) -> list[Sentence]:
    """Every sentence of a page's whole source, in order; tables are no sentences."""
    return [sentence for block in _blocks(source.lines(text)) for sentence in block]


def clean(text: str) -> str:
    """A line without what is no prose. Code becomes a sign that stands for a word."""
    text = COMMENT.sub("", text)
    text = TEST.sub(CODE, KEYS.sub(CODE, INLINE_CODE.sub(CODE, text)))
    while (linked := IMAGE_OR_LINK.sub(lambda found: found["text"], text)) != text:
        text = linked
    return EMPHASIS.sub("", DROPPED.sub("", text))


def _blocks(lines: list[source.Line]) -> Iterator[list[Sentence]]:
    block: list[source.Line] = []
    for line in lines:
        if line.kind == "text" and block:
            block.append(line)
            continue
        if block:
            yield _block(block)
        block = [line] if line.kind in {"text", "item"} else []
        if line.kind == "heading":
            found = source.HEADING.match(line.text)
            yield [Sentence(line.number, clean(found["text"]) if found else "", "heading")]
        elif line.kind == "mark" and (title := _title(line.text)):
            yield list(_split(line.number, clean(title), "title"))
    if block:
        yield _block(block)


def _title(text: str) -> str:
    found = TITLE.match(text)
    if not found or re.match(r"\s*/{3,}\s*(?:cell|figure|predict)\b", text):
        return ""
    return (found["quoted"] or found["bare"] or "").strip()


def _block(lines: list[source.Line]) -> list[Sentence]:
    """A paragraph or an item; its bold beginning is a label."""
    first = lines[0].number
    place: Place = "item" if lines[0].kind == "item" else "text"
    texts = [MARKER.sub("", line.text).strip() for line in lines]
    found: list[Sentence] = []
    if label := LABEL.match(texts[0]):
        found.append(Sentence(first, clean(label["label"]), "label"))
        texts[0] = texts[0][label.end() :]
    rest = _split(first, "\n".join(map(clean, texts)), place)
    return [*found, *(replace(sentence, labelled=bool(label)) for sentence in rest)]


def _split(first: int, text: str, place: Place) -> Iterator[Sentence]:
    begin = 0
    for end in _ends(text):
        yield from _sentence(first, text, begin, end, place)
        begin = end
    yield from _sentence(first, text, begin, len(text), place)


def _ends(text: str) -> Iterator[int]:
    """Positions behind full stops that are in no brackets; a colon counts at a line's end."""
    depth = 0
    for position, sign in enumerate(text):
        depth += (sign in OPEN) - (sign in CLOSE)
        after = text[position + 1 : position + 2]
        inside_line = sign == ":" and after == " "
        if sign in ENDS and depth <= 0 and (not after or after.isspace()) and not inside_line:
            depth = 0
            yield position + 1


def _sentence(first: int, text: str, begin: int, end: int, place: Place) -> Iterator[Sentence]:
    raw = text[begin:end]
    body = raw.strip()
    if body:
        line = first + text.count("\n", 0, begin + raw.index(body[0]))
        yield Sentence(line, body, place, body[-1] if body[-1] in ENDS else "")
