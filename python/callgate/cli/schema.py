"""`callgate schema`."""

import json
from enum import Enum
from importlib.resources import files
from typing import Annotated, Final

import typer

from callgate._callgate import policy_schema
from callgate.config.schema import config_schema

EXAMPLES: Final = (
    "callgate schema policy",
    "callgate schema config",
    "callgate schema tests",
    "callgate schema openapi",
)


class Document(str, Enum):
    """The kind of document."""

    POLICY = "policy"
    CATALOGUE = "catalogue"
    CONFIG = "config"
    RATE_LIMITS = "rate-limits"
    FREEZES = "freezes"
    TESTS = "tests"
    OPENAPI = "openapi"


def schema(
    document: Annotated[Document, typer.Argument(help="The kind of document.")] = Document.POLICY,
) -> None:
    """Print the JSON Schema of a document for editors, or the OpenAPI description of the decision API over HTTP."""
    if document is Document.POLICY:
        text = policy_schema()
    elif document is Document.CONFIG:
        text = json.dumps(config_schema(), indent=2)
    elif document is Document.TESTS:
        from callgate.workbench.policy_tests.schema import suite_schema  # noqa: PLC0415  it takes long to import

        text = json.dumps(suite_schema(), indent=2)
    else:
        name = "openapi.json" if document is Document.OPENAPI else f"{document.value}.schema.json"
        text = files("callgate").joinpath(name).read_text(encoding="utf-8")
    typer.echo(text.rstrip("\n"))
