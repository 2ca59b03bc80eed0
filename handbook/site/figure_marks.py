"""Gate over `/// figure` and `/// predict` in a page's source, where lines are still known."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import dropwhile, takewhile

import yaml

from handbook.errors import CheckFailedError, HandbookError
from handbook.figures import prediction
from handbook.site import figure_data
from handbook.site.marks import END, FENCE
from handbook.site.problems import Problem
from handbook.site.project import Project

OPEN = re.compile(r"^(?P<indent>\s*)/{3,}\s*(?P<block>figure|predict)\b\s*(?P<argument>.*)$")
FIGURE = re.compile(r"^\|\s*(?P<kind>[\w-]+)\s+(?P<name>[^\s|]+\.json)\s*$")
PREDICT = re.compile(r"^\|\s*(?P<lab>[^\s#|]+)#(?P<cell>[^\s#|]+)\s*$")
CHOICE = re.compile(r"^[-*+]\s+(?P<text>.*\S)\s*$")
OPTION = re.compile(r"^ {4,}\S")

FIGURE_FORM = "write `/// figure | KIND PATH.json`, for example `space-time trace/LAB/NAME.json`"
PREDICT_FORM = "write `/// predict | LAB#CELL`, for example `/// predict | 13-outbox#setup`"


@dataclass
class Found:
    """One block of a page."""

    line: int
    block: str
    argument: str
    indent: str = ""
    closed: bool = False
    lines: list[str] = field(default_factory=list)

    @property
    def options(self) -> dict[str, str]:
        """The indented lines directly below the first, as pymdownx reads them."""
        try:
            read = yaml.safe_load("\n".join(takewhile(OPTION.match, self.lines)))
        except yaml.YAMLError:
            return {}
        return {str(key): str(read[key]) for key in read} if isinstance(read, dict) else {}

    @property
    def body(self) -> list[str]:
        """What is written below the options, without empty lines."""
        return [line for line in dropwhile(OPTION.match, self.lines) if line.strip()]

    @property
    def choices(self) -> list[str]:
        """The list in the block."""
        return [found["text"] for line in self.body if (found := CHOICE.match(line))]


def read(text: str) -> list[Found]:
    """The blocks of a page's whole source; those in fenced code are only shown, not meant."""
    blocks: list[Found] = []
    fence, current = "", None
    for number, line in enumerate(text.splitlines(), start=1):
        ticks = FENCE.match(line)
        if fence:
            fence = "" if ticks and ticks["ticks"] == fence and not ticks["info"].strip() else fence
        elif ticks:
            fence = ticks["ticks"]
        elif current and END.match(line):
            current.closed, current = True, None
        elif opened := OPEN.match(line):
            current = Found(number, opened["block"], opened["argument"].strip(), opened["indent"])
            blocks.append(current)
        elif current:
            current.lines.append(line.removeprefix(current.indent))
    return blocks


def pictures(text: str) -> list[str]:
    """The data files that a page shows, relative to `docs/_data/`."""
    found = [FIGURE.match(block.argument) for block in read(text) if block.block == "figure"]
    return [match["name"] for match in found if match]


def check(project: Project, file: str, text: str) -> Iterator[Problem]:
    """Everything wrong with the blocks of one page. `file` is its name for the message."""
    for block in read(text):
        try:
            _check(project, block)
        except HandbookError as error:
            yield Problem(f"{file}:{block.line}", error.what, error.next_step)


def _check(project: Project, block: Found) -> None:
    if not block.closed:
        raise CheckFailedError(f"the {block.block} block is not closed", "end it with `///`")
    if block.block == "figure":
        _figure(project, block)
    else:
        _predict(project, block)


def _figure(project: Project, block: Found) -> None:
    named = FIGURE.match(block.argument)
    if not named:
        raise CheckFailedError(f"`/// figure {block.argument}` names no data", FIGURE_FORM)
    figure_data.load(project, named["kind"], named["name"])
    if not block.body:
        raise CheckFailedError(
            "the picture has no caption", "say in a sentence what the reader should see in it"
        )


def _predict(project: Project, block: Found) -> None:
    named = PREDICT.match(block.argument)
    if not named:
        raise CheckFailedError(f"`/// predict {block.argument}` names no cell", PREDICT_FORM)
    if "answer" not in block.options:
        raise CheckFailedError(
            "the prediction does not say which part of the output is its answer",
            r"add `answer: lost=(\d+)` below the first line, indented by four",
        )
    right, _ = figure_data.predicted(project, named["lab"], named["cell"], block.options["answer"])
    prediction.choose(block.choices, right)
    if CHOICE.match(block.body[0]):
        raise CheckFailedError("the prediction asks nothing", "begin it with a question")
