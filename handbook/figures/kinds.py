"""Which kinds of picture there are, what their data has to look like, and what draws them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from handbook.figures import explorer, matrix, scene, space_time, steps, timeline

Data = dict[str, Any]


@dataclass(frozen=True)
class Kind:
    """One kind. `schema` is the name of its JSON Schema; `faults` finds what that cannot say."""

    schema: str
    render: Callable[[Data], str]
    faults: Callable[[Data], Iterator[str]]


KINDS: dict[str, Kind] = {
    "space-time": Kind("trace", space_time.render, scene.faults),
    "timeline": Kind("spans", timeline.render, timeline.faults),
    "matrix": Kind("matrix", matrix.render, matrix.faults),
    "steps": Kind("steps", steps.render, steps.faults),
    "explorer": Kind("explorer", explorer.render, explorer.faults),
}
