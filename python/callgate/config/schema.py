"""The JSON Schema of configurations, for editors."""

from __future__ import annotations

from typing import Any, Final

from callgate.config.model import Config
from callgate.config.shared_place import SHARED_PATTERN

SCHEMA: Final = "https://json-schema.org/draft/2020-12/schema"


def schema_id(document: str) -> str:
    """The `$id` of the schema of a kind of document: a name by which tools tell schemas apart, not an address."""
    return f"https://github.com/callgate/callgate/schemas/{document}.schema.json"


def config_schema() -> dict[str, Any]:
    """JSON Schema 2020-12 of `callgate.yaml`."""
    schema = Config.model_json_schema(mode="validation")
    # A secret, which must not be in the file.
    schema["properties"].pop("grant_key")
    short = {"type": "string", "pattern": f"^(memory|file:.+|{SHARED_PATTERN})$"}
    counters = schema["properties"]["counters"]
    schema["properties"]["counters"] = {"description": counters["description"], "anyOf": [short, counters]}
    return {"$schema": SCHEMA, "$id": schema_id("config"), **schema, "required": ["servers"]}
