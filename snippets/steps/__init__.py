"""Steps: up to three sessions play an explicit interleaving, and the transcript is data.

Guarantees:
    A step is reported as waiting after PostgreSQL has said for whom, and again when it goes on.
    The same script and permutation give the same transcript, on every run.
    It ends: each step has a deadline, a permutation that cannot go on is refused, and its sessions
    are closed either way.

Does not guarantee:
    That another interleaving has the same outcome: a permutation is one order of many.
    Which session PostgreSQL refuses in a deadlock; as a rule the one that waited first.

Assumes:
    `setup` makes its tables anew, and nobody else uses them. What reads many rows has an ORDER BY.
    No step locks what `rows` reads against reading (ACCESS EXCLUSIVE); such a script is refused.

Proved by:
    R37 tests/snippets/test_steps.py::test_step_waits_then_goes_on_when_another_holds_its_row
    R37 tests/snippets/test_steps.py::test_permutation_is_refused_when_it_cannot_go_on
    R38 tests/snippets/test_anomalies.py::test_transcripts_are_equal_on_every_run

Source: PostgreSQL, src/test/isolation/README (specs, sessions, steps, permutations);
PostgreSQL 18, 9.27 System Information Functions, pg_blocking_pids.
"""

from snippets.steps.runner import Overdue, Stuck, run
from snippets.steps.script import Script, Step
from snippets.steps.transcript import Line, Row, State, Transcript

__all__ = ["Line", "Overdue", "Row", "Script", "State", "Step", "Stuck", "Transcript", "run"]
