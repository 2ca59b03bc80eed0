"""Breaks when a service adds a field: it takes a reply that has exactly the fields it knows.

The right way: `snippets.contracts.read`.

Proved by:
    R08 tests/snippets/test_contracts.py::test_strict_client_fails_when_a_field_is_added
"""

from __future__ import annotations

from typing import TypeVar

import msgspec

from snippets.contracts import ContractBroken

T = TypeVar("T")


# --8<-- [start:read]
def read(content: bytes, kind: type[T]) -> T:
    """The reply as `kind`; a field too many is an error."""
    try:
        return kind(**msgspec.json.decode(content))
    except TypeError as error:
        raise ContractBroken(f"{kind.__name__}: {error}") from error
    # --8<-- [end:read]
