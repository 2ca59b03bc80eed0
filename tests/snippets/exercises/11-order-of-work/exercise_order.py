"""11-order-of-work: what cannot be undone comes after the pivot, and is tried until it is done."""

from snippets.saga import Call, Saga, Step


def in_order(seat: Step, admit: Step, mail: Call) -> Saga:
    """Take the seat, decide, then send the mail."""
    return Saga("own-order", (seat, admit, Step("mail", mail, kind="retriable")))
