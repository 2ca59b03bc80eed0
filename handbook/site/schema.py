"""JSON Schema as one question: does this document fit, and if not, where and why?"""

from __future__ import annotations

from typing import Any

import jsonschema


def fault(document: Any, schema: dict[str, Any]) -> str | None:
    """The first fault as `place: message`, or None when the document fits its schema."""
    try:
        jsonschema.validate(document, schema)  # type: ignore[no-untyped-call]
    except jsonschema.ValidationError as error:
        place = "/".join(map(str, error.absolute_path)) or "the top level"
        return f"{place}: {error.message}"
    return None
