"""Many observations as one map: cases down, levels across."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from snippets.anomalies.case import Case, Level, Observation, observe


# --8<-- [start:observe_all]
def observe_all(dsn: str, cases: Iterable[Case]) -> list[Observation]:
    """Play each case at each level; errors as `steps.run` has them."""
    return [observe(dsn, case, level) for case in cases for level in Level]
    # --8<-- [end:observe_all]


def matrix(observations: Sequence[Observation], title: str) -> dict[str, Any]:
    """All of docs/_data/schema/matrix.schema.json but the lab and the name."""
    levels = [{"id": level.slug, "name": level.value} for level in Level]
    cases: dict[str, dict[str, Any]] = {}
    for seen in observations:
        new = {"id": seen.case.id, "name": seen.case.name, "results": {}}
        case = cases.setdefault(seen.case.id, new)
        case["results"][seen.level.slug] = _result(seen)
    return {"title": title, "levels": levels, "cases": list(cases.values())}


def table(observations: Sequence[Observation]) -> str:
    """The same as text: `happens`, `prevented`, or the SQLSTATE and the step that got it."""
    rows: dict[str, dict[Level, str]] = {}
    for seen in observations:
        rows.setdefault(seen.case.id, {})[seen.level] = str(seen.outcome)
    lines = [_line("", list(Level))]
    lines += [_line(case, [row.get(level, "") for level in Level]) for case, row in rows.items()]
    return "\n".join(lines)


def _result(seen: Observation) -> dict[str, Any]:
    result: dict[str, Any] = {
        "happens": seen.outcome.happens,
        "standard": seen.case.allowed(seen.level),
        "transcript": seen.name,
    }
    return {**result, "sqlstate": seen.outcome.sqlstate} if seen.outcome.sqlstate else result


def _line(first: str, cells: Sequence[str]) -> str:
    return f"{first:20}{''.join(f'{cell:18}' for cell in cells)}".rstrip()
