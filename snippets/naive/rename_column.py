"""Breaks the old code that still runs: it asks for a column that has another name now (42703).

A release is not deployed in one moment: for a while old and new code use one database.
The right way: `snippets.expand_contract`.

Proved by:
    R08 tests/snippets/test_contracts.py::test_old_code_fails_when_the_column_is_renamed
"""

from __future__ import annotations

# --8<-- [start:rename]
# Takes ACCESS EXCLUSIVE for a moment.
RENAME = "ALTER TABLE course RENAME COLUMN manager TO manager_name"
# --8<-- [end:rename]
