"""Anomalies: which of them each isolation level lets happen, played on a running PostgreSQL.

Guarantees:
    An anomaly happened when the transcript shows its sign: what sessions were told, or what is
    committed in the end. No expectation goes into that.
    `HERMITAGE` holds fourteen cases of the literature, `COURSE` the seven anomalies with names, in
    terms of courses. Each says what the standard allows and PostgreSQL does, level by level.

Does not guarantee:
    That a level is safe: a case is one interleaving. Only SERIALIZABLE excludes all anomalies.
    The same on other servers: REPEATABLE READ of InnoDB loses updates.

Assumes:
    What the standard allows is read as in Berenson et al. (Table 4) and Adya: READ UNCOMMITTED is
    PL-1, READ COMMITTED PL-2, REPEATABLE READ PL-2.99, SERIALIZABLE PL-3. Read to the letter, as
    three phenomena (PostgreSQL's Table 13.1), REPEATABLE READ allows write skew as well.

Proved by:
    R37 tests/snippets/test_anomalies.py::test_course_case_ends_as_expected
    R38 tests/snippets/test_anomalies.py::test_hermitage_case_ends_as_expected
    R38 tests/snippets/test_anomalies.py::test_read_uncommitted_answers_as_read_committed_does

Source: Kleppmann, Hermitage; Berenson et al., A Critique of ANSI SQL Isolation Levels (SIGMOD
1995); Adya, Liskov and O'Neil, Generalized Isolation Level Definitions (ICDE 2000); Fekete, O'Neil
and O'Neil, A Read-Only Transaction Anomaly Under Snapshot Isolation (SIGMOD Record 2004);
PostgreSQL 18, 13.2 Transaction Isolation.
"""

from snippets.anomalies.case import Case, Level, Observation, Outcome, observe
from snippets.anomalies.course import CASES as COURSE
from snippets.anomalies.hermitage import CASES as HERMITAGE
from snippets.anomalies.matrix import matrix, observe_all, table

__all__ = [
    "COURSE",
    "HERMITAGE",
    "Case",
    "Level",
    "Observation",
    "Outcome",
    "matrix",
    "observe",
    "observe_all",
    "table",
]
