"""Correlation id: one name for all that one request sets in motion, over HTTP and over Kafka.

Whoever is called takes the id over and passes it on; whoever begins makes one.
"""

from __future__ import annotations

import re
from contextvars import ContextVar
from uuid import uuid4

HTTP_HEADER = "X-Correlation-Id"
KAFKA_HEADER = "correlation-id"
SAFE_ID = re.compile(r"[\w.:-]{1,64}", re.ASCII)

correlation_id: ContextVar[str] = ContextVar("correlation_id", default="-")
"""The id of what this task works for."""


def take_over(given: str, *, otherwise: str | None = None) -> str:
    """Work for `given` from now on when it is harmless in a log; else for another or a new id."""
    chosen = given if SAFE_ID.fullmatch(given) else otherwise or uuid4().hex
    correlation_id.set(chosen)
    return chosen
