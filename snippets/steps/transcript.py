"""What happened: one line for a step, and another when a step that waited goes on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

State = Literal["ran", "waiting", "resumed", "error"]
Row = Mapping[str, str | int | None]


# --8<-- [start:line]
@dataclass(frozen=True)
class Line:
    """What a step came to.

    Attributes:
        step: Its name.
        session: Whose it is.
        sql: What was sent.
        state: `resumed` is `ran` after a wait.
        result: The rows, or the command tag where it says more than the statement did. COMMIT of a
            transaction that failed is answered with ROLLBACK.
        sqlstate: Of the error.
        waits_for: The session whose lock it waits for; the first one, when there are two.
        rows: What is committed now.
    """

    step: str
    session: str
    sql: str
    state: State
    result: str | None = None
    sqlstate: str | None = None
    waits_for: str | None = None
    rows: tuple[Row, ...] = ()
    # --8<-- [end:line]

    @property
    def answer(self) -> str:
        """What the session was told."""
        if self.waits_for:
            return f"waits for {self.waits_for}"
        return self.sqlstate or self.result or "done"

    def data(self) -> dict[str, Any]:
        """A step of docs/_data/schema/steps.schema.json."""
        told = {name: value for name, value in vars(self).items() if value is not None}
        del told["step"]
        return {**told, "rows": [dict(row) for row in self.rows]}

    def __str__(self) -> str:
        again = "... " if self.state == "resumed" else ""
        said = "" if self.answer == "done" else f"  → {self.answer}"
        return f"{self.session:3} {self.step:4} {again}{self.sql}{said}"


@dataclass(frozen=True)
class Transcript:
    """The lines of one run."""

    sessions: tuple[str, ...]
    lines: tuple[Line, ...]

    @property
    def answers(self) -> tuple[tuple[str, str], ...]:
        """Steps and their answers, in order: what came back, without what was sent."""
        return tuple((line.step, line.answer) for line in self.lines)

    @property
    def end(self) -> str:
        """What is committed in the end, written like the result of a query."""
        return written([tuple(row.values()) for row in self.lines[-1].rows])

    def told(self, step: str) -> str:
        """All answers to a step: `10`, `10 → 12` when played twice, `waits for T1 → 40001`."""
        return " → ".join(answer for name, answer in self.answers if name == step)

    def data(self) -> dict[str, Any]:
        """For docs/_data/schema/steps.schema.json; title, level and verdict are the caller's."""
        return {"sessions": list(self.sessions), "steps": [line.data() for line in self.lines]}

    def __str__(self) -> str:
        return "\n".join(str(line) for line in self.lines)


def written(rows: Sequence[tuple[Any, ...]]) -> str:
    """Rows in one line: `10`, `(1, 10), (2, 20)`, `0 rows`."""
    if not rows:
        return "0 rows"
    texts = [", ".join(_text(value) for value in row) for row in rows]
    if len(rows[0]) > 1:
        texts = [f"({text})" for text in texts]
    return ", ".join(texts)


def plain(value: Any) -> str | int | None:
    """A value as JSON and the figures have it: a number, a word or nothing."""
    if isinstance(value, bool):
        return str(value).lower()
    return value if value is None or isinstance(value, int) else str(value)


def _text(value: Any) -> str:
    return "NULL" if value is None else str(plain(value))
