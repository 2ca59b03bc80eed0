"""JSON Schema as one question: does this document fit, and if not, where and why?"""

from __future__ import annotations

from typing import Any

from jsonschema.exceptions import best_match
from jsonschema.validators import validator_for


def fault(document: Any, schema: dict[str, Any]) -> str | None:
    """The first fault as `place: message`, or None when the document fits its schema.

    The schema itself is trusted: checking it would cost ten times as much as the document, on every
    build. A test checks the schemas.
    """
    validator = validator_for(schema)(schema)
    error = best_match(validator.iter_errors(document))  # type: ignore[no-untyped-call]
    if error is None:
        return None
    place = "/".join(map(str, error.absolute_path)) or "the top level"
    return f"{place}: {error.message}"
