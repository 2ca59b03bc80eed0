"""The page on choosing an isolation level says what the benchmark measured."""

from __future__ import annotations

import json

import isolation_price

from handbook import paths

PAGE = (paths.ROOT / "docs" / "isolation" / "choose.md").read_text(encoding="utf-8")
REPORT = json.loads(isolation_price.RESULT.read_text(encoding="utf-8"))


def test_prices_on_the_page_are_those_of_the_stored_result() -> None:
    """Table, date and version are the result's."""
    assert isolation_price.quoted(REPORT) in PAGE


def test_prices_rule_is_red_when_a_ratio_was_typed() -> None:
    """Twin: another result is noticed."""
    serializable = {**REPORT["crowded"]["serializable"], "ratio": 99.9}
    other = {**REPORT, "crowded": {**REPORT["crowded"], "serializable": serializable}}

    assert isolation_price.quoted(other) not in PAGE


def test_retries_cost_more_when_all_want_one_row() -> None:
    """What the page concludes: those who retry run more than once, and pay for it in a crowd."""
    crowded = REPORT["crowded"]

    assert [crowded[way]["runs"] for way in ("atomic", "row_lock")] == [1.0, 1.0]
    for way in ("version", "repeatable_read", "serializable"):
        assert crowded[way]["runs"] > 1
        assert crowded[way]["ratio"] > REPORT["calm"][way]["ratio"]
