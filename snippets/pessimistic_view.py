"""Pessimistic view: steps in the order in which a reader who comes between them errs safely.

Guarantees:
    Whoever reads between the steps of a move sees no seat that does not exist: what shrinks the
    view is done first and can be undone, what widens it is done last and is never undone.
    Nobody is sold a seat that a compensation would have to take back.

Does not guarantee:
    A right view: until the move ends seats are missing, and somebody may be refused one.

Assumes:
    Too few is the safe side. Where it is not (seats that must be paid for), turn the order round.
    The last step succeeds in the end: it is retriable, and has no rule that could refuse it.

Proved by:
    R40 tests/snippets/test_pessimistic_view.py::test_no_seat_is_seen_twice_when_taking_comes_first
    R40 tests/snippets/test_pessimistic_view.py::test_nothing_is_sold_twice_when_the_source_refuses

Source: Richardson, Microservices Patterns, section 4.3.2; Frank and Zahle, Semantic ACID Properties
in Multidatabases (1998).
"""

from __future__ import annotations

from snippets.saga import Saga, Step
from snippets.services.campus import Campus


# --8<-- [start:move]
def move(source: Campus, target: Campus) -> Saga:
    """Seats of a course move from one campus to another."""
    steps = (
        Step("take", source.take, source.give_back),
        Step("give", target.give, kind="retriable"),
    )
    return Saga("move-seats", steps)
    # --8<-- [end:move]
