"""Doubles effects: a Kafka transaction is aborted, what was done to the database meanwhile is not.

The right way: `snippets.services.member_transform.derive`, with an inbox.

Proved by:
    E32 tests/snippets/test_kafka_transaction.py::test_effect_in_a_database_stays_when_kafka_aborts
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from psycopg import AsyncConnection

from snippets.delivery import Delivery
from snippets.services.member import add_course


# --8<-- [start:derive]
async def derive(conn: AsyncConnection, delivery: Delivery) -> Mapping[str, Any]:
    """Count the course, and trust that Kafka calls once; the news."""
    manager = delivery.payload["manager"]
    await add_course(conn, manager)
    return {"manager": manager, "course": delivery.key}
    # --8<-- [end:derive]
