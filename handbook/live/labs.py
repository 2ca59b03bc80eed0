"""A lab's cells as a page needs them: their code, and what they printed when last checked."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from handbook.notebooks import canonical, store


def cells(name: str, folder: Path) -> list[dict[str, Any]]:
    """The code cells of a lab, in order.

    Raises:
        UsageError: there is no such lab.
        CheckFailedError: its file is no notebook.
    """
    return [
        {
            "id": cell.id,
            "source": cell.source,
            "output": text(cell.outputs),
            "fails": "raises-exception" in cell.tags,
            "judges": "exercise-check" in cell.tags,
        }
        for cell in store.load(name, folder).cells
        if cell.kind == "code"
    ]


def text(outputs: Iterable[dict[str, Any]]) -> str:
    """What of stored outputs can be compared; the client makes the same of new ones."""
    return "".join(map(_text, outputs))


def _text(output: dict[str, Any]) -> str:
    match output["output_type"]:
        case "stream":
            return canonical.join(output["text"])
        case "error":
            return f"{output['ename']}: {output['evalue']}\n"
        case _:
            return canonical.join(output.get("data", {}).get("text/plain", "")) + "\n"
