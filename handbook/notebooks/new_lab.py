"""The first version of a lab: two writes that stop half-way, and the same in one transaction.

It runs and passes the gates as it is; the writer replaces its subject cell by cell.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from handbook.errors import UsageError
from handbook.notebooks import canonical, store
from handbook.site.project import Project

NAME = re.compile(r"^[0-9]{2}-[a-z0-9]+(?:-[a-z0-9]+)*$")
TITLE = "둘째 행을 쓰지 못하면 무엇이 남습니까"

ABOUT = """\
# {number}. {title}

행 두 개를 함께 써야 하는 일을 세 번 하고, 그때마다 도중에 멈춥니다.
한 행만 남은 일의 수를 세어 보고, 트랜잭션 하나로 고칩니다.

| 실험 | 질문 |
| --- | --- |
| E{experiment} | 두 행 사이에서 멈추면 짝이 없는 행은 몇 개입니까? |"""

SETUP = """\
from psycopg import Rollback

from handbook.lab import Lab

lab = Lab("{name}")
lab.execute("CREATE TABLE entry (work int, side text)")
ALONE = "SELECT count(*) FROM (SELECT work FROM entry GROUP BY work HAVING count(*) = 1) AS found\""""

ABOUT_LOSES = """\
## E{experiment}. 두 행을 따로 커밋합니다

왼쪽 행을 커밋하고, 오른쪽 행을 쓰기 전에 멈춥니다.

**예측.** 짝이 없는 행은 몇 개입니까?"""

LOSES = """\
trace = lab.trace("stopped")
for work in range(3):
    lab.execute("INSERT INTO entry VALUES (%s, 'left')", [work])
trace.add("course", "local", "왼쪽 행을 씁니다")
trace.add("course", "commit", "커밋")
trace.add("course", "local", "멈춥니다")
trace.save()
alone = lab.value(ALONE)
assert alone == 3
print(f"stops=3 alone={{alone}}")"""

ABOUT_KEEPS = """\
## 한 트랜잭션으로 씁니다

같은 자리에서 멈춥니다.
트랜잭션이 커밋하지 않았으므로 왼쪽 행도 남지 않습니다."""

KEEPS = """\
lab.execute("TRUNCATE entry")
with lab.connect() as conn:
    for work in range(3):
        with conn.transaction():
            conn.execute("INSERT INTO entry VALUES (%s, 'left')", [work])
            raise Rollback
alone = lab.value(ALONE)
print(f"stops=3 alone={{alone}}")"""

INVARIANT = """\
assert alone == 0
print("모든 일은 두 행이거나, 한 행도 없습니다")"""

CELLS = (
    ("markdown", "title", ABOUT),
    ("code", "setup", SETUP),
    ("markdown", "about-loses", ABOUT_LOSES),
    ("code", "e{experiment}-stop-loses", LOSES),
    ("markdown", "about-keeps", ABOUT_KEEPS),
    ("code", "e{experiment}-transaction-keeps", KEEPS),
    ("code", "e{experiment}-invariant", INVARIANT),
    ("code", "cleanup", "lab.close()"),
)


def create(project: Project, name: str, title: str | None, experiment: int) -> Path:
    """Write the lab, which has not been run yet.

    Raises:
        UsageError: the name is none for a lab, or is taken.
    """
    if not NAME.match(name):
        raise UsageError(f"`{name}` cannot name a lab", "write NN-slug, for example 14-relay")
    path = project.notebooks / f"{name}.ipynb"
    number = name[:2]
    if taken := [lab for lab in store.names(project.notebooks) if lab.startswith(f"{number}-")]:
        raise UsageError(
            f"number {number} belongs to the lab `{taken[0]}`", f"use {_free(project)}-{name[3:]}"
        )
    values = {
        "name": name,
        "number": number,
        "title": title or TITLE,
        "experiment": str(experiment),
    }
    canonical.write(path, _notebook(values))
    return path


def _free(project: Project) -> str:
    used = {lab[:2] for lab in store.names(project.notebooks)}
    return next(f"{number:02}" for number in range(1, 100) if f"{number:02}" not in used)


def _notebook(values: dict[str, str]) -> dict[str, Any]:
    cells = [_cell(kind, *(part.format(**values) for part in parts)) for kind, *parts in CELLS]
    return {"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}


def _cell(kind: str, name: str, source: str) -> dict[str, Any]:
    cell: dict[str, Any] = {"cell_type": kind, "id": name, "metadata": {}, "source": source}
    return cell | {"execution_count": None, "outputs": []} if kind == "code" else cell
