"""Breaks atomicity: an error of the checked kind commits what was written before it.

The default rule of Spring's `@Transactional`: it rolls back on RuntimeException and Error, and
commits on every exception that Java makes a method declare. `rollbackFor` changes it.

Proved by:
    E12 tests/snippets/test_unit_of_work.py::test_written_row_is_kept_when_a_checked_error_is_raised

Source: Spring Framework, Data Access, Rolling Back a Declarative Transaction.
"""

from __future__ import annotations

from types import TracebackType

from snippets import unit_of_work
from snippets.errors import CallError

# What a Java method declares with `throws`: refusals of the business, failures of a call.
CHECKED = CallError


class UnitOfWork(unit_of_work.UnitOfWork):
    """The transaction of one `with` block."""

    # --8<-- [start:unit]
    def __exit__(
        self, _: type[BaseException] | None, error: BaseException | None, ___: TracebackType | None
    ) -> None:
        if isinstance(error, CHECKED):
            self._conn.commit()
        else:
            self._conn.rollback()
            # --8<-- [end:unit]
