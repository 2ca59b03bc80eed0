"""What a page's Markdown asks for, with line numbers: embedded cells, quotes, typed fences.

Markdown extensions no longer know line numbers when they run, so the gates read the source here
and the extensions only render.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal, cast, get_args

from mkdocs.utils import meta

Part = Literal["source", "output", "both"]

FENCE = re.compile(r"^(?P<indent>[\s>]*)(?P<ticks>`{3,}|~{3,})(?P<info>.*)$")
LANGUAGE = re.compile(r"^\s*\{?\s*\.?(?P<name>[\w+#.-]*)")
CELL = re.compile(r"^\s*/{3,}\s*cell\b(?P<argument>.*)$")
END = re.compile(r"^\s*/{3,}\s*$")
OPTION = re.compile(r"^\s{4,}(?P<name>[\w-]+):\s*(?P<value>\S*)\s*$")
ARGUMENT = re.compile(r"^\|\s*(?P<lab>[^\s#|]+)#(?P<cell>[^\s#|]+)\s*$")
QUOTE = re.compile(r"^\s*-{1,}8<-{1,}(?P<rest>.*)$")
QUOTED = re.compile(r"""^\s+(["'])(?P<path>[^"':]+?)(?::(?P<section>[A-Za-z][\w-]*))?\1\s*$""")


@dataclass(frozen=True)
class Embed:
    """`/// cell | lab#cell`."""

    line: int
    lab: str
    cell: str
    part: Part = "both"

    @property
    def ref(self) -> str:
        """`lab#cell`."""
        return f"{self.lab}#{self.cell}"


@dataclass(frozen=True)
class Quote:
    """`--8<-- "path:section"`."""

    line: int
    path: str
    section: str | None

    @property
    def ref(self) -> str:
        """`path:section`, or `path` for the whole file."""
        return f"{self.path}:{self.section}" if self.section else self.path


@dataclass(frozen=True)
class Fence:
    """A fenced code block; `typed` is the line of the first code written into the page itself."""

    line: int
    language: str
    typed: int | None


@dataclass(frozen=True)
class Malformed:
    """Something that looks like an embed or a quote and is none."""

    line: int
    what: str
    next_step: str


@dataclass
class Marks:
    """Everything found in one page."""

    front_matter: dict[str, Any] = field(default_factory=dict)
    embeds: list[Embed] = field(default_factory=list)
    quotes: list[Quote] = field(default_factory=list)
    fences: list[Fence] = field(default_factory=list)
    malformed: list[Malformed] = field(default_factory=list)


def read(text: str) -> Marks:
    """The marks of a page's whole source, front matter included."""
    body, front_matter = meta.get_data(text)
    marks = Marks(front_matter=dict(front_matter))
    first = text.count("\n") - body.count("\n") + 1
    lines = iter(list(enumerate(body.splitlines(), start=first)))
    for number, line in lines:
        if fence := FENCE.match(line):
            marks.fences.append(_fence(number, fence, lines, marks))
        elif cell := CELL.match(line):
            _embed(number, cell["argument"].strip(), lines, marks)
        elif quote := QUOTE.match(line):
            _quote(number, quote["rest"], marks)
    return marks


def _fence(
    start: int, opening: re.Match[str], lines: Iterator[tuple[int, str]], marks: Marks
) -> Fence:
    closing = re.compile(rf"^[\s>]*{re.escape(opening['ticks'])}\s*$")
    language = cast("re.Match[str]", LANGUAGE.match(opening["info"]))["name"].lower()
    typed: int | None = None
    for number, line in lines:
        if closing.match(line):
            break
        if quote := QUOTE.match(line):
            _quote(number, quote["rest"], marks)
        elif line.strip() and typed is None:
            typed = number
    return Fence(start, language, typed)


def _embed(start: int, argument: str, lines: Iterator[tuple[int, str]], marks: Marks) -> None:
    options: dict[str, str] = {}
    for _, line in lines:
        if END.match(line):
            break
        if option := OPTION.match(line):
            options[option["name"]] = option["value"]
        elif line.strip():
            options["text"] = line.strip()
    else:
        marks.malformed.append(
            Malformed(start, "the cell block is not closed", "end it with `///`")
        )
        return
    embed = parse_embed(start, argument, options)
    if isinstance(embed, Embed):
        marks.embeds.append(embed)
    else:
        marks.malformed.append(embed)


def parse_embed(line: int, argument: str, options: dict[str, str]) -> Embed | Malformed:
    """An embed from its argument (`| lab#cell`) and options, or what is wrong with them."""
    found = ARGUMENT.match(argument)
    if not found:
        return Malformed(
            line,
            f"`/// cell {argument}` names no cell",
            "write `/// cell | LAB#CELL`, for example `/// cell | 13-outbox#setup`",
        )
    if unknown := sorted(set(options) - {"part"}):
        return Malformed(
            line,
            f"the cell block holds `{unknown[0]}`, which it does not know",
            "leave only `part: source`, `part: output` or `part: both` in it, indented by four",
        )
    part = options.get("part", "both")
    if part not in get_args(Part):
        return Malformed(line, f"`part: {part}` does not exist", "use source, output or both")
    return Embed(line, found["lab"], found["cell"], cast("Part", part))


def _quote(line: int, rest: str, marks: Marks) -> None:
    found = QUOTED.match(rest)
    if found:
        marks.quotes.append(Quote(line, found["path"], found["section"]))
    else:
        marks.malformed.append(
            Malformed(
                line,
                f"`--8<--{rest}` quotes nothing",
                'write `--8<-- "FILE:SECTION"`, one quote a line',
            )
        )
