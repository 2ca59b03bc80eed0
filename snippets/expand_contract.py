"""Expand, migrate, contract: a column gets another name while old and new code both run.

Guarantees:
    Between `EXPAND` and `CONTRACT` whatever old code writes under the old name is there under the
    new one, and the other way round, in the same transaction.
    `backfill` fills what was there before, locks one batch at a time, and ends when nothing is
    left to fill, whatever old code writes meanwhile.

Does not guarantee:
    That `CONTRACT` comes late enough: old code that still runs then gets 42703.
    Anything to code that writes two different values under the two names: the new name wins.

Assumes:
    Each migration is a run of its own (`migrate` runs what it gets in one transaction). Code that
    reads the new name is deployed after `VALIDATE` and before `CONTRACT`.

Proved by:
    R08 tests/snippets/test_contracts.py::test_old_and_new_code_run_between_validate_and_contract
    R08 tests/snippets/test_contracts.py::test_nothing_is_lost_when_both_write_during_migration
    R08 tests/snippets/test_contracts.py::test_backfill_goes_on_when_old_code_fills_its_row_first

Source: Sato, Parallel Change (martinfowler.com, 2014); PostgreSQL 18, ALTER TABLE, Notes.
"""

from __future__ import annotations

from dataclasses import dataclass

from psycopg import AsyncConnection


# --8<-- [start:releases]
@dataclass(frozen=True)
class Release:
    """What one release of the course service sends to its database."""

    write: str
    read: str


CREATE_TABLE = """
CREATE TABLE IF NOT EXISTS course (id text PRIMARY KEY, title text NOT NULL, manager text NOT NULL)
"""
OLD = Release(
    write="""
    INSERT INTO course (id, title, manager) VALUES (%s, '', %s)
    ON CONFLICT (id) DO UPDATE SET manager = excluded.manager
    """,
    read="SELECT manager FROM course WHERE id = %s",
)
NEW = Release(
    write="""
    INSERT INTO course (id, title, manager_name) VALUES (%s, '', %s)
    ON CONFLICT (id) DO UPDATE SET manager_name = excluded.manager_name
    """,
    read="SELECT manager_name FROM course WHERE id = %s",
)
# --8<-- [end:releases]

# --8<-- [start:expand]
# Takes ACCESS EXCLUSIVE for a moment. Whoever waits for that lock makes everybody else wait behind
# it: after two seconds the migration gives up (55P03), and is run again.
EXPAND = """
SET LOCAL lock_timeout = '2s';
ALTER TABLE course ADD COLUMN manager_name text;

CREATE FUNCTION give_manager_two_names() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        NEW.manager_name := coalesce(NEW.manager_name, NEW.manager);
        NEW.manager := NEW.manager_name;
    ELSIF NEW.manager_name IS DISTINCT FROM OLD.manager_name THEN  -- new code, or the backfill
        NEW.manager := NEW.manager_name;
    ELSE                                                           -- old code, or another column
        NEW.manager_name := NEW.manager;
    END IF;
    RETURN NEW;
END $$;

CREATE TRIGGER manager_has_two_names BEFORE INSERT OR UPDATE ON course
    FOR EACH ROW EXECUTE FUNCTION give_manager_two_names();
"""
# --8<-- [end:expand]

# --8<-- [start:backfill]
# Locks one batch of rows, in the order of their keys: two backfills do not deadlock. A row that
# others filled while it waited is passed over for the next one.
FILL = """
UPDATE course SET manager_name = manager WHERE id IN (
    SELECT id FROM course WHERE manager_name IS NULL ORDER BY id LIMIT %s FOR UPDATE
)
"""


async def backfill(conn: AsyncConnection, *, batch: int = 1000) -> int:
    """Fill the new column, one transaction a batch; returns how many rows it filled.

    Args:
        conn: In autocommit mode.
        batch: Rows that are locked at a time.

    Raises:
        ValueError: a batch would be empty, or all batches one transaction.
    """
    if batch < 1 or not conn.autocommit:
        raise ValueError("backfill needs a connection in autocommit mode and batches of 1 or more")
    filled = 0
    while rows := (await conn.execute(FILL, (batch,))).rowcount:
        filled += rows
    return filled
    # --8<-- [end:backfill]


# --8<-- [start:contract]
# Takes ACCESS EXCLUSIVE for a moment: looks at no row.
REQUIRE = """
SET LOCAL lock_timeout = '2s';
ALTER TABLE course ADD CONSTRAINT manager_name_filled NOT NULL manager_name NOT VALID;
"""
# Looks at all rows, and blocks neither those who read nor those who write.
VALIDATE = "ALTER TABLE course VALIDATE CONSTRAINT manager_name_filled"

# When no old code runs any more.
CONTRACT = """
SET LOCAL lock_timeout = '2s';
DROP TRIGGER manager_has_two_names ON course;
DROP FUNCTION give_manager_two_names();
ALTER TABLE course DROP COLUMN manager;
"""
# --8<-- [end:contract]
