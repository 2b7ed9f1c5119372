"""`callgate schema`."""

from enum import Enum
from importlib.resources import files
from typing import Annotated

import typer

from callgate._callgate import policy_schema


class Document(str, Enum):
    """What a schema is of."""

    POLICY = "policy"
    CATALOGUE = "catalogue"


def schema(
    document: Annotated[Document, typer.Argument(help="Which document's.")] = Document.POLICY,
) -> None:
    """Print the JSON Schema of policies, or of catalogues, for editors."""
    if document is Document.POLICY:
        text = policy_schema()
    else:
        text = files("callgate").joinpath("catalogue.schema.json").read_text(encoding="utf-8")
    typer.echo(text.rstrip("\n"))
