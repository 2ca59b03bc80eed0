"""The prediction card: its answer comes from the lab, so it cannot become stale."""

from __future__ import annotations

from typing import Any

import pytest

from handbook.errors import CheckFailedError
from handbook.figures import prediction

OUTPUT = "kills=3 lost=3 ghosts=0\n"


def test_answer_is_what_the_output_says() -> None:
    """The group is the answer, the whole match its proof."""
    assert prediction.answer(OUTPUT, r"lost=(\d+)") == ("3", "lost=3")


@pytest.mark.parametrize(
    ("pattern", "what"),
    [
        (r"lost=(\d+", "is no pattern"),
        (r"sent=(\d+)", "is not in the cell's output"),
        (r"lost=\d+", "must have one group"),
        (r"(lost)=(\d+)", "must have one group"),
        (r"=(\d+)", "finds different answers"),
    ],
)
def test_answer_is_red_when_the_pattern_does_not_give_one(pattern: str, what: str) -> None:
    """No answer, a broken pattern and two answers are refused, each with what to do."""
    with pytest.raises(CheckFailedError, match=what) as caught:
        prediction.answer(OUTPUT, pattern)
    assert caught.value.next_step


@pytest.mark.parametrize("right", ["3", "3개", "3.", "3 (모두)"])
def test_choice_fits_when_it_begins_with_the_answer(right: str) -> None:
    """Korean counts with a unit; the number is what the lab printed."""
    assert prediction.choose(["0개", right, "30개"], "3") == 1


@pytest.mark.parametrize(
    ("choices", "what"),
    [
        (["0개", "1개", "2개"], "0 choices begin with it"),
        (["3개", "3 모두", "0개"], "2 choices begin with it"),
        (["30개", "3.5", "3,000"], "0 choices begin with it"),
        (["0개", "3개"], "has 2 choices"),
        (["0개", "1개", "2개", "3개"], "has 4 choices"),
    ],
)
def test_choice_is_red_when_not_exactly_one_of_three_is_right(
    choices: list[str], what: str
) -> None:
    """A lab that prints another number turns the page red, not the reader wrong."""
    with pytest.raises(CheckFailedError, match=what):
        prediction.choose(choices, "3")


def test_printed_joins_streams_and_results() -> None:
    """Text of every kind counts, in pieces or whole."""
    outputs: list[dict[str, Any]] = [
        {"output_type": "stream", "text": ["a=1\n", "b=2\n"]},
        {"output_type": "execute_result", "data": {"text/plain": "c=3"}},
        {"output_type": "display_data", "data": {"image/svg+xml": "<svg/>"}},
    ]
    assert prediction.printed(outputs) == "a=1\nb=2\nc=3"
