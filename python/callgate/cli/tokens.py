"""New tokens, which are shown once."""

import json
import sys
from collections.abc import Collection
from datetime import datetime, timezone
from typing import TypeVar

import typer
from pydantic import BaseModel, ValidationError

from callgate._callgate import hash_token, new_token
from callgate.config.fields import checked_text, format_instant, parse_instant
from callgate.config.key import read_key, read_or_create_key
from callgate.config.load import Loaded
from callgate.config.messages import message_of
from callgate.config.units import parse_duration
from callgate.text import did_you_mean, quoted

_Section = TypeVar("_Section", bound=BaseModel)


def new(loaded: Loaded, *, may_make_key: bool = True) -> tuple[str, str]:
    """A new token and its hash; creates a missing key if it may.

    Raises:
        ConfigError: The key cannot be read or written.
    """
    key, made = read_or_create_key(loaded.config) if may_make_key else (read_key(loaded.config), None)
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
    """Refuses an unknown name."""
    if name not in known:
        message = f"unknown {what} {quoted(name)}{did_you_mean(name, sorted(known))}"
        raise typer.BadParameter(message, param_hint=option)


def must_be_text(option: str, value: str) -> None:
    """Refuses text that is not valid as a name."""
    try:
        checked_text(value)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint=option) from None


def assignment(option: str, text: str, form: str) -> tuple[str, str]:
    """A name and its value from the command line."""
    must_be_text(option, text)
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise typer.BadParameter(f"{quoted(text)}: expected {form}", param_hint=option)
    return name, value


def moment(option: str, text: str) -> datetime:
    """A time, as a duration from now or in RFC 3339."""
    try:
        return datetime.now(timezone.utc).replace(microsecond=0) + parse_duration(text)
    except (ValueError, OverflowError):
        pass
    try:
        return parse_instant(text)
    except ValueError:
        example = format_instant(datetime(2027, 1, 31, tzinfo=timezone.utc))
        message = f"{quoted(text)}: expected a duration such as `30d`, or a time such as `{example}`"
        raise typer.BadParameter(message, param_hint=option) from None


def valid(option: str, section: type[_Section], **values: str) -> _Section:
    """A section of the configuration from the command line."""
    try:
        return section(**values)
    except ValidationError as error:
        message = message_of(error.errors(include_url=False)[0], ())
        raise typer.BadParameter(message, param_hint=option) from None
