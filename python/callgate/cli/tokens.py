"""New tokens, which are shown once."""

import json
import sys
from collections.abc import Collection

import typer
from pydantic import BaseModel

from callgate._callgate import hash_token, new_token
from callgate.config.fields import checked_text
from callgate.config.key import read_or_create_key
from callgate.config.load import Loaded
from callgate.text import did_you_mean, quoted


def new(loaded: Loaded) -> tuple[str, str]:
    """A new token and its hash; creates a missing key.

    Raises:
        ConfigError: The key cannot be read or written.
    """
    key, made = read_or_create_key(loaded.config)
    if made is not None:
        typer.echo(f"made the key `{made}`: keep it, and keep it secret", err=True)
    token = new_token()
    return token, hash_token(key, token)


def tell(token: str, key: str, entry: BaseModel, *, as_json: bool) -> None:
    """Prints the token and the entry for the configuration; stderr explains which is which."""
    fields = entry.model_dump(mode="json", exclude_defaults=True)
    if as_json:
        typer.echo(json.dumps({"token": token, "entry": fields}, ensure_ascii=False))
        return
    typer.echo("the token, which is shown here and nowhere else:", err=True)
    typer.echo(token)
    sys.stdout.flush()
    typer.echo(f"the line for `{key}` in the configuration:", err=True)
    # A JSON object is valid YAML.
    typer.echo(f"- {json.dumps(fields, ensure_ascii=False)}")


def must_be_known(option: str, what: str, name: str, known: Collection[str]) -> None:
    """Refuses a key that names nothing."""
    if name not in known:
        message = f"unknown {what} {quoted(name)}{did_you_mean(name, sorted(known))}"
        raise typer.BadParameter(message, param_hint=option)


def must_be_text(option: str, value: str) -> None:
    """Refuses text that is not valid as a name."""
    try:
        checked_text(value)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint=option) from None


def label(text: str) -> tuple[str, str]:
    """The name and value of a label from the command line."""
    must_be_text("--label", text)
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise typer.BadParameter(f"{quoted(text)}: expected NAME=VALUE", param_hint="--label")
    return name, value
