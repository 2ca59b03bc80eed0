"""Delivery: what a consumer makes of a Kafka record before it acts on it.

Guarantees:
    What is no event of ours, or one of a newer schema, is `Undecodable`: it is told apart before
    the handler sees it, and no retry is spent on it.

Does not guarantee:
    That the payload has the fields that a handler reads.

Assumes:
    Events as `relay` sends them: a JSON object, a key, the header `event-id`. A payload of another
    version than 1 says so in its field `schema`.

Proved by:
    E30 tests/snippets/test_consumer.py::test_record_is_rejected_when_it_is_no_event

Source: Hohpe and Woolf, Enterprise Integration Patterns (2003), Invalid Message Channel.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import msgspec
from aiokafka.structs import ConsumerRecord
from psycopg import AsyncConnection

from snippets.errors import Rejected


class Undecodable(Rejected):
    """No event of ours, or one that this code is too old for."""


# --8<-- [start:delivery]
@dataclass(frozen=True)
class Delivery:
    """One event as it arrived, perhaps not for the first time.

    Attributes:
        topic: Where it was found, with `partition` and `offset`.
        partition: See `topic`.
        offset: See `topic`.
        key: Events of one key come in order.
        payload: The facts.
        event_id: The same in every delivery of this event.
        headers: All of them, as text.
    """

    topic: str
    partition: int
    offset: int
    key: str
    payload: Mapping[str, Any]
    event_id: UUID
    headers: Mapping[str, str]


Handler = Callable[[AsyncConnection, Delivery], Awaitable[None]]
"""The effect: runs inside the transaction, for the first delivery of an event; never commits."""
# --8<-- [end:delivery]


# --8<-- [start:decode]
def decode(record: ConsumerRecord[Any, Any], *, schema: int = 1) -> Delivery:
    """The event in `record`; `schema` is the newest version that the handler knows.

    Raises:
        Undecodable: it will never be understood by this code.
    """
    try:
        headers = {name: value.decode() for name, value in record.headers}
        payload = msgspec.json.decode(record.value or b"", type=dict[str, Any])
        key, event_id = (record.key or b"").decode(), UUID(headers["event-id"])
    except (msgspec.DecodeError, RecursionError, ValueError, KeyError) as error:
        raise Undecodable(f"no event: {type(error).__name__}") from error
    if payload.get("schema", 1) not in range(1, schema + 1):
        raise Undecodable(f"schema is not one of 1 to {schema}: update this consumer first")
    place = record.topic, record.partition, record.offset
    return Delivery(*place, key, payload, event_id, headers)
    # --8<-- [end:decode]
