"""PostgreSQL and Kafka for labs, tests and readers: external, Compose or embedded, one `Stack` value."""

from handbook.stack.model import Faults, Kafka, Postgres, Service, Stack

__all__ = ["Faults", "Kafka", "Postgres", "Service", "Stack", "connect"]


def connect() -> Stack:
    """The stack of this checkout, started first if it is down.

    Order: `DATABASE_URL` and `KAFKA_BOOTSTRAP_SERVERS` (external), a Compose project that is up,
    else the embedded servers.

    Raises:
        StackError: the servers cannot be started or reached; the message says what to do.
    """
    from handbook.stack import embedded  # imported late: reading the model must not load a JVM path

    return embedded.up()
