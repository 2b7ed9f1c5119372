"""The REST face under requests that schemathesis makes of its OpenAPI document, right ones and wrong ones."""

from __future__ import annotations

from typing import Any, Final

import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import CHECKS
from schemathesis.generation import GenerationMode

from callgate.admin.rest.events import EVENTS
from rest.conftest import Rest

_EXAMPLES: Final = 10
"""Of each operation and mode, so that all of them take less than a minute."""

_CHECKS: Final = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
)


def test_no_request_is_a_fault_of_the_server(rest: Rest) -> None:
    schema: Any = schemathesis.openapi.from_url(f"http://{rest.address}/openapi.json")
    checks = CHECKS.get_by_names(list(_CHECKS))
    tried, statuses = 0, set[int]()
    for found in schema.get_all_operations():
        operation = found.ok()
        if list(operation.definition.raw["responses"]["200"]["content"]) == [EVENTS]:
            continue
        tried += 1
        for mode in map(GenerationMode, ("positive", "negative")):
            statuses |= _try(operation.as_strategy(generation_mode=mode), checks, rest.token)
    assert tried > 40
    # Requests of both kinds came as far as the methods.
    assert statuses >= {200, 400, 404}
    faults = [event for event in rest.admin.events if event[1] == "admin_method_failed"]
    assert faults == []


def _try(strategy: Any, checks: Any, token: str) -> set[int]:
    """The statuses of answers to requests that a strategy makes."""
    statuses: set[int] = set()

    @given(case=strategy)
    @settings(
        max_examples=_EXAMPLES,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    def run(case: Any) -> None:
        # Of this client alone; what it would send as a token is made of nothing.
        headers = {"Authorization": f"Bearer {token}", "Accept": "application/json"}
        statuses.add(case.call_and_validate(headers=headers, checks=checks, timeout=30).status_code)

    run()
    return statuses
