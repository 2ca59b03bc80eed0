"""The seven anomalies by name, each where it hurts: courses, their seats and their managers."""

from __future__ import annotations

from snippets.anomalies.case import END, HAPPENS, PREVENTED, Case, refused
from snippets.steps import Script

COURSES = """
DROP TABLE IF EXISTS course;
CREATE TABLE course (id int PRIMARY KEY, seats int NOT NULL);
INSERT INTO course VALUES (1, 10), (2, 20);
"""
SEATS = "SELECT id, seats FROM course ORDER BY id"
READ_1 = "SELECT seats FROM course WHERE id = 1"
READ_2 = "SELECT seats FROM course WHERE id = 2"

# --8<-- [start:dirty-write]
DIRTY_WRITE = Case(
    id="dirty-write",
    name="더티 쓰기",
    script=Script(
        setup="""
            DROP TABLE IF EXISTS duty;
            CREATE TABLE duty (place text PRIMARY KEY, manager text NOT NULL);
            INSERT INTO duty VALUES ('과정', '박담당'), ('게시판', '박담당');
        """,
        rows="SELECT place, manager FROM duty ORDER BY place",
        sessions={
            "T1": {
                "b1": "BEGIN",
                "wc1": "UPDATE duty SET manager = '김담당' WHERE place = '과정'",
                "wb1": "UPDATE duty SET manager = '김담당' WHERE place = '게시판'",
                "c1": "COMMIT",
            },
            "T2": {"b2": "BEGIN", "w2": "UPDATE duty SET manager = '이담당'", "c2": "COMMIT"},
        },
    ),
    permutation="b1 b2 wc1 w2 wb1 c1 c2",
    sign={END: "(게시판, 김담당), (과정, 이담당)"},
    standard=(False, False, False, False),
    postgres=(PREVENTED, PREVENTED, refused("w2"), refused("w2")),
    damage="T2가 T1이 커밋하지 않은 값을 덮어써서, 과정과 게시판의 담당자가 다릅니다.",
    kept="T2가 T1이 끝나기를 기다려서, 과정과 게시판의 담당자가 같습니다.",
)
# --8<-- [end:dirty-write]

# --8<-- [start:dirty-read]
DIRTY_READ = Case(
    id="dirty-read",
    name="더티 읽기",
    script=Script(
        setup=COURSES,
        rows=SEATS,
        sessions={
            "T1": {
                "b1": "BEGIN",
                "w1": "UPDATE course SET seats = 100 WHERE id = 1",
                "a1": "ROLLBACK",
            },
            "T2": {"b2": "BEGIN", "r2": READ_1, "c2": "COMMIT"},
        },
    ),
    permutation="b1 b2 w1 r2 a1 c2",
    sign={"r2": "100"},
    standard=(True, False, False, False),
    postgres=(PREVENTED, PREVENTED, PREVENTED, PREVENTED),
    damage="T2가 정원을 100으로 읽습니다: T1이 롤백하므로 있었던 적이 없는 값입니다.",
    kept="T2는 커밋된 정원 10을 읽습니다.",
)
# --8<-- [end:dirty-read]

# --8<-- [start:non-repeatable-read]
NON_REPEATABLE_READ = Case(
    id="non-repeatable-read",
    name="비반복 읽기",
    script=Script(
        setup=COURSES,
        rows=SEATS,
        sessions={
            "T1": {"b1": "BEGIN", "r1": READ_1, "c1": "COMMIT"},
            "T2": {
                "b2": "BEGIN",
                "w2": "UPDATE course SET seats = 12 WHERE id = 1",
                "c2": "COMMIT",
            },
        },
    ),
    permutation="b1 b2 r1 w2 c2 r1 c1",
    sign={"r1": "10 → 12"},
    standard=(True, True, False, False),
    postgres=(HAPPENS, HAPPENS, PREVENTED, PREVENTED),
    damage="T1이 같은 과정의 정원을 두 번 읽는데 10과 12로 다릅니다.",
    kept="T1은 정원을 두 번 다 10으로 읽습니다.",
)
# --8<-- [end:non-repeatable-read]

# --8<-- [start:read-skew]
READ_SKEW = Case(
    id="read-skew",
    name="읽기 스큐",
    script=Script(
        setup=COURSES,
        rows=SEATS,
        sessions={
            "T1": {"b1": "BEGIN", "rx1": READ_1, "ry1": READ_2, "c1": "COMMIT"},
            "T2": {
                "b2": "BEGIN",
                "wx2": "UPDATE course SET seats = seats - 5 WHERE id = 1",
                "wy2": "UPDATE course SET seats = seats + 5 WHERE id = 2",
                "c2": "COMMIT",
            },
        },
    ),
    permutation="b1 b2 rx1 wx2 wy2 c2 ry1 c1",
    sign={"rx1": "10", "ry1": "25"},
    standard=(True, True, False, False),
    postgres=(HAPPENS, HAPPENS, PREVENTED, PREVENTED),
    damage="T1이 본 정원의 합은 35입니다: 옮기기 전에도 뒤에도 합은 30입니다.",
    kept="T1이 본 정원의 합은 30입니다.",
)
# --8<-- [end:read-skew]

# --8<-- [start:lost-update]
LOST_UPDATE = Case(
    id="lost-update",
    name="갱신 손실",
    script=Script(
        setup=COURSES,
        rows=SEATS,
        sessions={
            "T1": {
                "b1": "BEGIN",
                "r1": READ_1,
                "w1": "UPDATE course SET seats = 10 - 1 WHERE id = 1",
                "c1": "COMMIT",
            },
            "T2": {
                "b2": "BEGIN",
                "r2": READ_1,
                "w2": "UPDATE course SET seats = 10 - 2 WHERE id = 1",
                "c2": "COMMIT",
            },
        },
    ),
    permutation="b1 b2 r1 r2 w1 w2 c1 c2",
    sign={"r1": "10", "r2": "10", END: "(1, 8), (2, 20)"},  # 7 when one comes after the other
    standard=(True, True, False, False),
    postgres=(HAPPENS, HAPPENS, refused("w2"), refused("w2")),
    damage="세 자리를 신청받았는데 두 자리만 줄었습니다: 남은 자리가 7이 아니라 8입니다.",
    kept="T2는 자기가 읽은 뒤에 바뀐 행을 덮어쓰지 못합니다.",
)
# --8<-- [end:lost-update]

# --8<-- [start:phantom]
PHANTOM = Case(
    id="phantom",
    name="팬텀 읽기",
    script=Script(
        setup="""
            DROP TABLE IF EXISTS enrolment;
            CREATE TABLE enrolment (course_id int, member text, PRIMARY KEY (course_id, member));
            INSERT INTO enrolment VALUES (1, '가멤버'), (1, '나멤버');
        """,
        rows="SELECT course_id, member FROM enrolment ORDER BY course_id, member",
        sessions={
            "T1": {
                "b1": "BEGIN",
                "p1": "SELECT count(*) FROM enrolment WHERE course_id = 1",
                "c1": "COMMIT",
            },
            "T2": {
                "b2": "BEGIN",
                "i2": "INSERT INTO enrolment VALUES (1, '다멤버')",
                "c2": "COMMIT",
            },
        },
    ),
    permutation="b1 b2 p1 i2 c2 p1 c1",
    sign={"p1": "2 → 3"},
    standard=(True, True, True, False),
    postgres=(HAPPENS, HAPPENS, PREVENTED, PREVENTED),
    damage="T1이 신청자를 두 번 세는데 2명에서 3명이 됩니다.",
    kept="T1은 신청자를 두 번 다 2명으로 셉니다.",
)
# --8<-- [end:phantom]

# --8<-- [start:write-skew]
ON_DUTY = "SELECT count(*) FROM manager WHERE state = '근무'"
WRITE_SKEW = Case(
    id="write-skew",
    name="쓰기 스큐",
    script=Script(
        setup="""
            DROP TABLE IF EXISTS manager;
            CREATE TABLE manager (name text PRIMARY KEY, state text NOT NULL);
            INSERT INTO manager VALUES ('김담당', '근무'), ('이담당', '근무');
        """,
        rows="SELECT name, state FROM manager ORDER BY name",
        sessions={
            "T1": {
                "b1": "BEGIN",
                "p1": ON_DUTY,
                "w1": "UPDATE manager SET state = '휴가' WHERE name = '김담당'",
                "c1": "COMMIT",
            },
            "T2": {
                "b2": "BEGIN",
                "p2": ON_DUTY,
                "w2": "UPDATE manager SET state = '휴가' WHERE name = '이담당'",
                "c2": "COMMIT",
            },
        },
    ),
    permutation="b1 b2 p1 p2 w1 w2 c1 c2",
    sign={"p1": "2", "p2": "2", END: "(김담당, 휴가), (이담당, 휴가)"},
    standard=(True, True, False, False),
    postgres=(HAPPENS, HAPPENS, HAPPENS, refused("c2")),
    damage="둘 다 다른 담당자가 남는다고 확인했는데, 근무하는 담당자가 없습니다.",
    kept="담당자 한 명은 근무합니다.",
)
# --8<-- [end:write-skew]

CASES = (
    DIRTY_WRITE,
    DIRTY_READ,
    NON_REPEATABLE_READ,
    READ_SKEW,
    LOST_UPDATE,
    PHANTOM,
    WRITE_SKEW,
)
