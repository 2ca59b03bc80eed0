"""05-isolation-matrix: a row that vanishes between two reads is a phantom, too."""

from snippets.anomalies import Level

T2 = {"b2": "BEGIN", "d2": "DELETE FROM enrolment WHERE member = '나멤버'", "c2": "COMMIT"}
ORDER = "b1 b2 p1 d2 c2 p1 c1"
WEAKEST = Level.REPEATABLE_READ
