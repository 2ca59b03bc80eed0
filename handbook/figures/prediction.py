"""E: what will the lab print? Three choices; the answer is read from the cell's stored output."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree as ET

from handbook.errors import CheckFailedError
from handbook.figures.markup import element

CHOICES = 3


@dataclass(frozen=True)
class Prediction:
    """One card. Texts may hold inline Markdown, which the page renders later."""

    name: str
    question: str
    choices: Sequence[str]
    right: int
    printed: str
    lab: str
    href: str
    why: Sequence[str] = ()


def printed(outputs: Iterable[dict[str, Any]]) -> str:
    """What a cell's stored outputs say as text."""
    texts = [one.get("text") or one.get("data", {}).get("text/plain", "") for one in outputs]
    return "".join(text if isinstance(text, str) else "".join(text) for text in texts)


def answer(output: str, pattern: str) -> tuple[str, str]:
    """The answer in an output, and the words around it that prove it.

    Raises:
        CheckFailedError: the pattern is none, finds nothing, or finds different answers.
    """
    try:
        found = list(re.finditer(pattern, output))
    except re.error as error:
        raise CheckFailedError(f"`answer: {pattern}` is no pattern: {error}", "mend it") from error
    if not found:
        raise CheckFailedError(
            f"`answer: {pattern}` is not in the cell's output `{output.strip()}`",
            "name a part of the stored output",
        )
    if found[0].re.groups != 1:
        raise CheckFailedError(
            f"`answer: {pattern}` must have one group, which is the answer",
            r"write for example `answer: lost=(\d+)`",
        )
    if len({match[1] for match in found}) > 1:
        raise CheckFailedError(
            f"`answer: {pattern}` finds different answers in `{output.strip()}`",
            "name more of the words around the one that is meant",
        )
    return found[0][1], found[0][0]


def choose(choices: Sequence[str], right: str) -> int:
    """The index of the choice that says `right`: `3` or `3개`, but not `30`.

    Raises:
        CheckFailedError: there are not three choices, or not exactly one is right.
    """
    if len(choices) != CHOICES:
        raise CheckFailedError(
            f"the card has {len(choices)} choices, not {CHOICES}", "list three with `- `"
        )
    says = re.compile(rf"{re.escape(right)}(?![.,]?[0-9A-Za-z])")
    fitting = [index for index, choice in enumerate(choices) if says.match(choice)]
    if len(fitting) != 1:
        raise CheckFailedError(
            f"the lab printed `{right}`, and {len(fitting)} choices begin with it",
            f"begin exactly one choice with `{right}`",
        )
    return fitting[0]


def card(asked: Prediction) -> ET.Element:
    """The card as elements, so that the page's Markdown can render their texts."""
    label = element("span", {"class": "predict__label"}, "예측")
    fields = element(
        "fieldset",
        {"class": "predict__fields", "data-right": asked.right},
        element("legend", {}, label, f" {asked.question}"),
        *(_choice(asked.name, index, choice) for index, choice in enumerate(asked.choices)),
        element("button", {"type": "button", "hidden": "hidden"}, "맞춰 보기"),
        element("p", {"class": "predict__verdict", "role": "status"}),
    )
    return element("div", {"class": "predict"}, fields, _answer(asked))


def _choice(name: str, index: int, choice: str) -> ET.Element:
    radio = element("input", {"type": "radio", "name": name, "value": index})
    return element("label", {"class": "predict__choice"}, radio, element("span", {}, choice))


def _answer(asked: Prediction) -> ET.Element:
    right = element("strong", {}, asked.choices[asked.right])
    source = element(
        "p",
        {},
        right,
        " (",
        element("a", {"href": asked.href}, f"실습 {asked.lab}"),
        "의 출력 ",
        element("code", {}, asked.printed),
        ")",
    )
    why = [element("p", {}, part) for part in asked.why]
    summary = element("summary", {}, "답 보기")
    return element("details", {"class": "predict__answer"}, summary, source, *why)
