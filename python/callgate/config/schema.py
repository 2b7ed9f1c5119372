"""The JSON Schema of configurations, for editors."""

from __future__ import annotations

from typing import Any

from callgate.config.model import Config


def config_schema() -> dict[str, Any]:
    """JSON Schema 2020-12 of `callgate.yaml`."""
    schema = Config.model_json_schema(mode="validation")
    # A secret, which must not be in the file.
    schema["properties"].pop("grant_key")
    short = {"type": "string", "pattern": "^(memory|file:.+)$"}
    schema["properties"]["counters"] = {"anyOf": [short, schema["properties"]["counters"]]}
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "required": ["servers"]}
