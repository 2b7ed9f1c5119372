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
)


class Document(str, Enum):
    """The kind of document."""

    POLICY = "policy"
    CATALOGUE = "catalogue"
    CONFIG = "config"
    RATE_LIMITS = "rate-limits"


def schema(
    document: Annotated[Document, typer.Argument(help="The kind of document.")] = Document.POLICY,
) -> None:
    """Print the JSON Schema of policies, catalogues, configurations or files of rate limits, for editors."""
    if document is Document.POLICY:
        text = policy_schema()
    elif document is Document.CONFIG:
        text = json.dumps(config_schema(), indent=2)
    else:
        text = files("callgate").joinpath(f"{document.value}.schema.json").read_text(encoding="utf-8")
    typer.echo(text.rstrip("\n"))
