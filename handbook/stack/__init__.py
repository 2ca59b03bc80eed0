"""PostgreSQL and Kafka for labs, tests and readers, whoever runs them: one `Stack` value."""

from handbook.stack.model import Faults, Kafka, Postgres, Service, Stack
from handbook.stack.processes import Say, quiet

__all__ = ["Faults", "Kafka", "Postgres", "Service", "Stack", "connect"]


def connect(*, say: Say = quiet) -> Stack:
    """The stack of this checkout, started first if it is down.

    Order: `DATABASE_URL` and `KAFKA_BOOTSTRAP_SERVERS` (external), the containers of a
    `handbook up --docker`, else the embedded servers.

    Args:
        say: is told of each step that takes time.

    Raises:
        UsageError: only one of the two variables is set, or one is malformed.
        StackError: the servers cannot be started or reached; the message says what to do.
    """
    from handbook.stack import compose, embedded, external  # late: the model alone loads quickly

    if external.configured():
        return external.connect()
    if compose.chosen():
        return compose.connect(say=say)
    return embedded.up(say=say)
