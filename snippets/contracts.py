"""Contracts between services: a reader takes what it needs, a provider asks before it takes away.

Guarantees:
    `read` takes a reply that has at least the fields its reader names, in their types, whatever
    else is in it: a provider may add fields at any time.
    `unmet` names each field that a consumer needs and a running provider does not give.

Does not guarantee:
    That a field still means what it meant: euros instead of won pass every check of shape.
    Anything about consumers that have not said what they need.

Assumes:
    A consumer decodes only the fields that it uses. The provider runs `unmet` for all its
    consumers before a release, against a service with the data that the paths name.

Proved by:
    R08 tests/snippets/test_contracts.py::test_old_client_reads_on_when_a_field_is_added
    R08 tests/snippets/test_contracts.py::test_contract_test_is_red_when_a_field_is_removed

Source: Fowler, Tolerant Reader (martinfowler.com, 2011); Robinson, Consumer-Driven Contracts
(martinfowler.com, 2006); msgspec, Schema Evolution.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import httpx
import msgspec

from snippets.errors import Rejected
from snippets.services.gateways import call

T = TypeVar("T")


class ContractBroken(Rejected):
    """The other service answered in a shape that its consumer cannot use; a repeat is no help."""


# --8<-- [start:read]
def read(content: bytes, kind: type[T]) -> T:
    """The reply as `kind`: its fields are required in their types, all others are ignored.

    Raises:
        ContractBroken: a field is missing or of another type, or the reply is no JSON.
    """
    try:
        return msgspec.json.decode(content, type=kind)
    except msgspec.DecodeError as error:
        raise ContractBroken(f"{kind.__name__}: {error}") from error
    # --8<-- [end:read]


# --8<-- [start:unmet]
@dataclass(frozen=True)
class Need:
    """What one consumer uses of one reply.

    Attributes:
        consumer: Who has to be told before the provider changes it.
        path: What it asks for, such as /managers/c-1.
        fields: The consumer's own reader: a struct with the fields that it uses.
    """

    consumer: str
    path: str
    fields: type[msgspec.Struct]


async def unmet(http: httpx.AsyncClient, url: str, needs: Sequence[Need]) -> list[str]:
    """What a running provider owes its consumers; empty when it may be released.

    Args:
        http: A client.
        url: The provider, such as http://127.0.0.1:8001.
        needs: Of all consumers.

    Raises:
        CallError: the provider did not answer, or not with an object.
    """
    owed = []
    for need in needs:
        reply = await call(http, "GET", url + need.path)
        faults = problems(reply.content, need.fields)
        owed += [f"{need.consumer}: GET {need.path}: {fault}" for fault in faults]
    return owed


def problems(content: bytes, kind: type[msgspec.Struct]) -> list[str]:
    """All fields of `kind` that a reply does not satisfy; `read` stops at the first."""
    reply = read(content, dict[str, msgspec.Raw])
    found = []
    for field in msgspec.structs.fields(kind):
        if field.encode_name not in reply:
            found += [f"{field.encode_name} is missing"] if field.required else []
            continue
        try:
            msgspec.json.decode(reply[field.encode_name], type=field.type)
        except msgspec.ValidationError as error:
            found.append(f"{field.encode_name}: {error}")
    return found
    # --8<-- [end:unmet]
