"""The JSON Schema of files of tests, for editors."""

from __future__ import annotations

from typing import Any

from callgate.config.schema import SCHEMA, schema_id
from callgate.workbench.policy_tests.model import Suite


def suite_schema() -> dict[str, Any]:
    """JSON Schema 2020-12 of a file of policy tests."""
    schema = Suite.model_json_schema(mode="validation")
    return {"$schema": SCHEMA, "$id": schema_id("tests"), **schema}
