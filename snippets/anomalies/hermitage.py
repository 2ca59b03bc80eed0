"""Fourteen cases of the literature, on two rows: x is row 1, y is row 2.

Steps are named by action and session: `rx1` reads x, `wy2` writes y, `r` reads all rows, `p` and
`q` read by a predicate, `i` inserts, `d` deletes, `b` begins, `c` commits, `a` aborts.
"""

from __future__ import annotations

from snippets.anomalies.case import END, HAPPENS, PREVENTED, Case, refused
from snippets.steps import Script

SETUP = """
DROP TABLE IF EXISTS test;
CREATE TABLE test (id int PRIMARY KEY, value int NOT NULL);
INSERT INTO test VALUES (1, 10), (2, 20);
"""
# Ordered wherever a query may find many rows: an UPDATE moves the row that it changes.
ALL = "SELECT id, value FROM test ORDER BY id"
X = "SELECT value FROM test WHERE id = 1"
Y = "SELECT value FROM test WHERE id = 2"
THREES = "SELECT id, value FROM test WHERE value % 3 = 0 ORDER BY id"


def script(*sessions: dict[str, str]) -> Script:
    """Actions to steps: the session's number goes behind each name, BEGIN and COMMIT go along."""
    steps = {
        f"T{number}": {
            f"{action}{number}": sql
            for action, sql in {"b": "BEGIN", **actions, "c": "COMMIT"}.items()
        }
        for number, actions in enumerate(sessions, start=1)
    }
    return Script(SETUP, rows=ALL, sessions=steps)


# --8<-- [start:g0]
G0 = Case(
    id="g0",
    name="더티 쓰기",
    script=script(
        {
            "wx": "UPDATE test SET value = 11 WHERE id = 1",
            "wy": "UPDATE test SET value = 21 WHERE id = 2",
            "r": ALL,
        },
        {
            "wx": "UPDATE test SET value = 12 WHERE id = 1",
            "wy": "UPDATE test SET value = 22 WHERE id = 2",
        },
    ),
    permutation="b1 b2 wx1 wx2 wy1 r1 c1 wy2 c2",
    sign={"r1": "(1, 12), (2, 21)"},
    standard=(False, False, False, False),
    postgres=(PREVENTED, PREVENTED, refused("wx2"), refused("wx2")),
    damage="T2가 T1이 커밋하지 않은 값을 덮어써서, T1이 자기가 쓴 11 대신 12를 읽습니다.",
    kept="T2는 T1이 끝날 때까지 행 락을 기다립니다.",
)
# --8<-- [end:g0]

# --8<-- [start:g1a]
G1A = Case(
    id="g1a",
    name="더티 읽기: 중단된 값",
    script=script(
        {"wx": "UPDATE test SET value = 101 WHERE id = 1", "a": "ROLLBACK"},
        {"r": ALL},
    ),
    permutation="b1 b2 wx1 r2 a1 r2 c2",
    sign={"r2": "(1, 101), (2, 20) → (1, 10), (2, 20)"},
    standard=(True, False, False, False),
    postgres=(PREVENTED, PREVENTED, PREVENTED, PREVENTED),
    damage="T2가 롤백된 값 101을 읽습니다.",
    kept="T2는 롤백될 값 101을 읽지 않습니다.",
)
# --8<-- [end:g1a]

# --8<-- [start:g1b]
G1B = Case(
    id="g1b",
    name="더티 읽기: 중간 값",
    script=script(
        {
            "wx": "UPDATE test SET value = 101 WHERE id = 1",
            "vx": "UPDATE test SET value = 11 WHERE id = 1",
        },
        {"r": ALL},
    ),
    permutation="b1 b2 wx1 r2 vx1 c1 r2 c2",
    sign={"r2": "(1, 101), (2, 20) → (1, 11), (2, 20)"},
    standard=(True, False, False, False),
    postgres=(PREVENTED, PREVENTED, PREVENTED, PREVENTED),
    damage="T2가 T1이 나중에 바꾼 중간 값 101을 읽습니다.",
    kept="T2는 중간 값 101을 읽지 않습니다.",
)
# --8<-- [end:g1b]

# --8<-- [start:g1c]
G1C = Case(
    id="g1c",
    name="더티 읽기: 순환하는 정보",
    script=script(
        {"wx": "UPDATE test SET value = 11 WHERE id = 1", "ry": Y},
        {"wy": "UPDATE test SET value = 22 WHERE id = 2", "rx": X},
    ),
    permutation="b1 b2 wx1 wy2 ry1 rx2 c1 c2",
    sign={"ry1": "22", "rx2": "11"},
    standard=(True, False, False, False),
    postgres=(PREVENTED, PREVENTED, PREVENTED, refused("c2")),
    damage="T1과 T2가 서로 상대가 커밋하지 않은 값을 읽습니다.",
    kept="T1과 T2는 상대가 커밋하지 않은 값을 읽지 않습니다.",
)
# --8<-- [end:g1c]

# --8<-- [start:otv]
OTV = Case(
    id="otv",
    name="관찰한 트랜잭션의 사라짐",
    script=script(
        {
            "wx": "UPDATE test SET value = 11 WHERE id = 1",
            "wy": "UPDATE test SET value = 19 WHERE id = 2",
        },
        {
            "wx": "UPDATE test SET value = 12 WHERE id = 1",
            "wy": "UPDATE test SET value = 18 WHERE id = 2",
        },
        {"rx": X, "ry": Y},
    ),
    permutation="b1 b2 b3 wx1 wy1 wx2 c1 rx3 wy2 ry3 c2 ry3 rx3 c3",
    sign={"ry3": "19 → 18", "rx3": "11 → 11"},  # T2 is seen on y, and then not on x
    standard=(True, True, False, False),
    postgres=(PREVENTED, PREVENTED, refused("wx2"), refused("wx2")),
    damage="T3은 T2의 변경을 y에서 보고, 그 뒤에 x에서는 보지 못합니다.",
    kept="T3은 T2의 변경을 모두 보거나 하나도 보지 않습니다.",
)
# --8<-- [end:otv]

# --8<-- [start:pmp-read]
PMP_READ = Case(
    id="pmp-read",
    name="팬텀 읽기",
    script=script(
        {"p": "SELECT id, value FROM test WHERE value = 30 ORDER BY id", "q": THREES},
        {"i": "INSERT INTO test VALUES (3, 30)"},
    ),
    permutation="b1 b2 p1 i2 c2 q1 c1",
    sign={"p1": "0 rows", "q1": "(3, 30)"},
    standard=(True, True, True, False),
    postgres=(HAPPENS, HAPPENS, PREVENTED, PREVENTED),
    damage="T1의 두 번째 조회에 없던 행 (3, 30)이 나타납니다.",
    kept="T1의 두 조회는 같은 스냅숏을 봅니다.",
)
# --8<-- [end:pmp-read]

# --8<-- [start:pmp-write]
PMP_WRITE = Case(
    id="pmp-write",
    name="쓰기 조건의 팬텀",
    script=script(
        {"w": "UPDATE test SET value = value + 10"},
        {
            "d": "DELETE FROM test WHERE value = 20",
            "p": "SELECT id, value FROM test WHERE value = 20 ORDER BY id",
        },
    ),
    permutation="b1 b2 w1 d2 c1 p2 c2",
    sign={"d2": "waits for T1 → DELETE 0", "p2": "(1, 20)"},
    standard=(True, True, True, False),
    postgres=(HAPPENS, HAPPENS, refused("d2"), refused("d2")),
    damage="T2의 DELETE는 값이 20인 행을 지우지 못하는데, 바로 다음 조회에는 그런 행이 있습니다.",
    kept="T2는 스냅숏을 찍은 뒤에 바뀐 행을 지우지 못합니다.",
)
# --8<-- [end:pmp-write]

# --8<-- [start:p4]
P4 = Case(
    id="p4",
    name="갱신 손실",
    script=script(
        {"rx": X, "wx": "UPDATE test SET value = 10 + 1 WHERE id = 1"},
        {"rx": X, "wx": "UPDATE test SET value = 10 + 5 WHERE id = 1"},
    ),
    permutation="b1 b2 rx1 rx2 wx1 wx2 c1 c2",
    sign={"rx1": "10", "rx2": "10", END: "(1, 15), (2, 20)"},  # 16 when one comes after the other
    standard=(True, True, False, False),
    postgres=(HAPPENS, HAPPENS, refused("wx2"), refused("wx2")),
    damage="둘 다 커밋했는데 T1이 더한 1이 없습니다: 16이 아니라 15입니다.",
    kept="T2는 자기가 읽은 뒤에 바뀐 행을 덮어쓰지 못합니다.",
)
# --8<-- [end:p4]

# --8<-- [start:g-single]
G_SINGLE = Case(
    id="g-single",
    name="읽기 스큐",
    script=script(
        {"rx": X, "ry": Y},
        {
            "rx": X,
            "ry": Y,
            "wx": "UPDATE test SET value = 12 WHERE id = 1",
            "wy": "UPDATE test SET value = 18 WHERE id = 2",
        },
    ),
    permutation="b1 b2 rx1 rx2 ry2 wx2 wy2 c2 ry1 c1",
    sign={"rx1": "10", "ry1": "18"},
    standard=(True, True, False, False),
    postgres=(HAPPENS, HAPPENS, PREVENTED, PREVENTED),
    damage="T1이 본 x=10과 y=18은 한 번도 함께 커밋된 적이 없습니다.",
    kept="T1은 x=10과 함께 있던 y=20을 봅니다.",
)
# --8<-- [end:g-single]

# --8<-- [start:g-single-pred]
G_SINGLE_PRED = Case(
    id="g-single-pred",
    name="읽기 스큐: 조건으로 읽기",
    script=script(
        {"p": "SELECT id, value FROM test WHERE value % 5 = 0 ORDER BY id", "q": THREES},
        {"w": "UPDATE test SET value = 12 WHERE value = 10"},
    ),
    permutation="b1 b2 p1 w2 c2 q1 c1",
    sign={"p1": "(1, 10), (2, 20)", "q1": "(1, 12)"},
    standard=(True, True, False, False),
    postgres=(HAPPENS, HAPPENS, PREVENTED, PREVENTED),
    damage="T1은 한 행을 10으로 읽고, 다음 조회에서는 12로 읽습니다.",
    kept="T1의 두 조회는 같은 스냅숏을 봅니다.",
)
# --8<-- [end:g-single-pred]

# --8<-- [start:g-single-write]
G_SINGLE_WRITE = Case(
    id="g-single-write",
    name="읽기 스큐: 조건으로 쓰기",
    script=script(
        {"rx": X, "d": "DELETE FROM test WHERE value = 20"},
        {
            "r": ALL,
            "wx": "UPDATE test SET value = 12 WHERE id = 1",
            "wy": "UPDATE test SET value = 18 WHERE id = 2",
        },
    ),
    permutation="b1 b2 rx1 r2 wx2 wy2 c2 d1 c1",
    sign={"rx1": "10", "d1": "DELETE 0"},
    standard=(True, True, False, False),
    postgres=(HAPPENS, HAPPENS, refused("d1"), refused("d1")),
    damage="T1이 읽은 x=10과 함께 있던 y=20을 DELETE가 찾지 못합니다.",
    kept="T1은 스냅숏을 찍은 뒤에 바뀐 행을 지우지 못합니다.",
)
# --8<-- [end:g-single-write]

# --8<-- [start:g2-item]
G2_ITEM = Case(
    id="g2-item",
    name="쓰기 스큐",
    script=script(
        {"r": ALL, "wx": "UPDATE test SET value = 11 WHERE id = 1"},
        {"r": ALL, "wy": "UPDATE test SET value = 21 WHERE id = 2"},
    ),
    permutation="b1 b2 r1 r2 wx1 wy2 c1 c2",
    sign={"r1": "(1, 10), (2, 20)", "r2": "(1, 10), (2, 20)", END: "(1, 11), (2, 21)"},
    standard=(True, True, False, False),
    postgres=(HAPPENS, HAPPENS, HAPPENS, refused("c2")),
    damage="둘 다 상대의 변경을 보지 못한 채 커밋합니다: 맞는 차례가 없습니다.",
    kept="상대의 변경을 보지 못한 두 트랜잭션 가운데 하나만 커밋합니다.",
)
# --8<-- [end:g2-item]

# --8<-- [start:g2]
G2 = Case(
    id="g2",
    name="쓰기 스큐: 조건으로 읽기",
    script=script(
        {"p": THREES, "i": "INSERT INTO test VALUES (3, 30)"},
        {"p": THREES, "i": "INSERT INTO test VALUES (4, 42)"},
    ),
    permutation="b1 b2 p1 p2 i1 i2 c1 c2",
    sign={"p1": "0 rows", "p2": "0 rows", END: "(1, 10), (2, 20), (3, 30), (4, 42)"},
    standard=(True, True, True, False),
    postgres=(HAPPENS, HAPPENS, HAPPENS, refused("c2")),
    damage="둘 다 3의 배수가 없음을 확인하고 하나씩 넣어, 3의 배수가 둘입니다.",
    kept="3의 배수가 없음을 확인한 두 트랜잭션 가운데 하나만 커밋합니다.",
)
# --8<-- [end:g2]

# --8<-- [start:g2-fekete]
G2_FEKETE = Case(
    id="g2-fekete",
    name="읽기 전용 트랜잭션의 이상",
    script=script(
        {"r": ALL, "wx": "UPDATE test SET value = 0 WHERE id = 1"},
        {"wy": "UPDATE test SET value = value + 5 WHERE id = 2"},
        {"r": ALL},
    ),
    permutation="b1 r1 b2 wy2 c2 b3 r3 c3 wx1 c1",
    sign={"r1": "(1, 10), (2, 20)", "r3": "(1, 10), (2, 25)", END: "(1, 0), (2, 25)"},
    standard=(True, True, False, False),
    postgres=(HAPPENS, HAPPENS, HAPPENS, refused("wx1")),
    damage="T1이 읽은 값은 T2보다 앞이고, T3은 T2만 보고 T1은 보지 못합니다: 맞는 차례가 없습니다.",
    kept="T3이 본 것과 차례가 맞지 않는 T1은 커밋하지 못합니다.",
)
# --8<-- [end:g2-fekete]

CASES = (
    G0,
    G1A,
    G1B,
    G1C,
    OTV,
    PMP_READ,
    PMP_WRITE,
    P4,
    G_SINGLE,
    G_SINGLE_PRED,
    G_SINGLE_WRITE,
    G2_ITEM,
    G2,
    G2_FEKETE,
)
