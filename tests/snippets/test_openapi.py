"""The services do what their OpenAPI descriptions say, with good input and with bad."""

from __future__ import annotations

from collections import Counter
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from running import NO_TLS, Trio
from schemathesis import APIOperation, Case, GenerationMode
from schemathesis.core.failures import FailureGroup

from snippets.services.keyed import HEADER

pytestmark = pytest.mark.stack
SERVICES = ["member", "board", "course"]
# The same examples every time, all of them, however long they take: time is not what is tested.
REPEATABLE = settings(
    derandomize=True,
    database=None,
    deadline=None,
    max_examples=8,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)


def url_of(trio: Trio, name: str) -> str:
    """Where a service is."""
    return {"member": trio.member, "board": trio.board, "course": trio.service}[name].url


def description(url: str) -> dict[str, Any]:
    """What the service says of itself."""
    described: dict[str, Any] = httpx.get(f"{url}/openapi.json", verify=NO_TLS).json()
    return described


def compare(described: dict[str, Any], url: str) -> Counter[str]:
    """Try each operation with input that the description allows, and with what it does not.

    Returns:
        How often each class of replies came, such as 2xx.

    Raises:
        FailureGroup: a reply is not what the description says.
    """
    seen: Counter[str] = Counter()
    schema = schemathesis.openapi.from_dict(described)
    schema.validate()
    for found in schema.get_all_operations():
        operation: APIOperation[Any, Any, Any, Any] = found.ok()  # type: ignore[union-attr]
        takes = operation.query or operation.path_parameters or operation.body
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE) if takes else ():
            _try(operation.as_strategy(mode), url, seen, mode is GenerationMode.POSITIVE)
    return seen


def _try(cases: Any, url: str, seen: Counter[str], good: bool) -> None:
    @REPEATABLE
    @given(case=cases)
    def validate(case: Case[Any]) -> None:
        if good and HEADER in case.headers and isinstance(case.body, dict):
            # Rightly refused are used keys and unknown terms.
            case.headers[HEADER] = f"example-{seen.total()}"
            case.body.pop("term", None)
        reply = case.call_and_validate(base_url=url)
        seen[f"{reply.status_code // 100}xx"] += 1

    validate()


@pytest.mark.parametrize("name", SERVICES)
def test_service_answers_as_it_is_described(trio: Trio, name: str) -> None:
    """Status, media type, headers and body; what the description forbids is refused."""
    url = url_of(trio, name)
    seen = compare(description(url), url)
    assert seen["2xx"] > 0
    assert seen["4xx"] > 0
    assert seen["5xx"] == 0


def test_comparison_is_red_when_the_description_is_wrong(trio: Trio) -> None:
    """Twin: another type of a field, a status that is missing."""
    url = url_of(trio, "board")
    wrong_type, no_404 = description(url), description(url)
    for described in (wrong_type, no_404):
        described["paths"] = {"/boards/{course_id}": described["paths"]["/boards/{course_id}"]}
    wrong_type["components"]["schemas"]["Row"]["properties"]["name"] = {"type": "integer"}
    del no_404["paths"]["/boards/{course_id}"]["get"]["responses"]["404"]
    for described in (wrong_type, no_404):
        with pytest.raises((FailureGroup, ExceptionGroup)):
            compare(described, url)


@pytest.mark.parametrize("name", SERVICES)
def test_description_has_every_operation(trio: Trio, name: str) -> None:
    """OpenAPI 3.1, with the health checks; every operation has a name of its own."""
    described = description(url_of(trio, name))
    names = [one["operationId"] for path in described["paths"].values() for one in path.values()]
    assert described["openapi"] == "3.1.0"
    assert described["info"]["title"] == name
    expected = {
        "course": ["create", "creation", "find", "find_many", "overviews"],
        "member": ["cancel", "find", "find_many", "register"],
    }
    assert sorted(names) == sorted(["live", "ready", *expected.get(name, expected["member"])])
