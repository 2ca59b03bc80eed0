"""Spans: measure from when to when a request holds a connection, a row lock, a remote call.

Guarantees:
    One span for each thing held, also when the request fails; its outcome tells how it ended.
    Spans of one request lie in each other, or after each other, as what they measure did.

Does not guarantee:
    More than milliseconds: a span ends when its holder lets go, and a COMMIT or ROLLBACK that
    follows takes its time, too.

Assumes:
    The clock never goes back.

Proved by:
    E10 tests/snippets/test_pool.py::test_spans_lie_as_the_code_is_nested
    E10 tests/snippets/test_pool.py::test_spans_fit_the_schema_when_a_call_hangs

Source: OpenTelemetry Specification, Trace API, Span.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from operator import itemgetter
from typing import Any, Literal

from psycopg.errors import LockNotAvailable, QueryCanceled
from psycopg_pool import PoolTimeout

from snippets.errors import InDoubt
from snippets.pool import Conflict, Watch, What

Outcome = Literal["ok", "commit", "rollback", "conflict", "timeout", "waiting", "starved"]
LATE = (InDoubt, PoolTimeout, LockNotAvailable, QueryCanceled)


@dataclass(frozen=True)
class Span:
    """From when to when a request held something, or waited for it; milliseconds.

    `waiting` got it in the end, `starved` never did; all others held it.
    """

    who: str
    what: What
    from_ms: int
    to_ms: int
    outcome: Outcome


class Recorder:
    """Measures what requests hold, and for what they wait.

    Args:
        shortest_wait: Milliseconds; a shorter wait is none.
        clock: Seconds from any beginning on; the first reading is zero.
    """

    def __init__(
        self, *, shortest_wait: float = 1, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._shortest_wait = shortest_wait
        self._clock = clock
        self._begun = clock()
        self._spans: list[tuple[float, Span]] = []

    def watch(self, who: str) -> Watch:
        """To pass to the functions above: notes what the request `who` holds."""
        return partial(self._span, who)

    @contextmanager
    def _span(self, who: str, what: What, *, waiting: bool = False) -> Iterator[None]:
        since, outcome = self._now(), _success(what, waiting=waiting)
        try:
            yield
        except BaseException as error:
            outcome = _failure(error, waiting=waiting)
            raise
        finally:
            until = self._now()
            if not waiting or until - since >= self._shortest_wait:
                span = Span(who, what, round(since), round(until), outcome)
                self._spans.append((since, span))  # what is in one millisecond keeps its order

    def _now(self) -> float:
        return 1000 * (self._clock() - self._begun)

    @property
    def spans(self) -> list[Span]:
        """What has ended so far, by its beginning."""
        return [span for _, span in sorted(self._spans, key=itemgetter(0))]

    def as_data(self) -> list[dict[str, Any]]:
        """The spans as JSON can hold them."""
        return [asdict(span) for span in self.spans]


def _success(what: What, *, waiting: bool) -> Outcome:
    if waiting:
        return "waiting"
    return "ok" if what == "remote" else "commit"


def _failure(error: BaseException, *, waiting: bool) -> Outcome:
    if isinstance(error, Conflict):
        return "conflict"
    if isinstance(error, LATE):
        return "starved" if waiting else "timeout"
    return "rollback"
