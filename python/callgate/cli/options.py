"""Options shared by several commands, and options that stand for keys of the configuration."""

from collections.abc import Sequence
from datetime import timedelta
from enum import Enum
from typing import Annotated, Any

import typer
from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from callgate.config.counters import Counters
from callgate.config.document import KeyPath
from callgate.config.fields import meanings
from callgate.config.shared_place import is_shared
from callgate.config.units import format_duration


def key_option(section: type[BaseModel], key: str, *names: str, note: str = "", **settings: Any) -> Any:  # noqa: ANN401  as typer has it
    """An option for a key of the configuration: its help and its default are those of the model.

    Args:
        section: The section of the model.
        key: Its key.
        names: Names of the option; by default that of the parameter.
        note: A sentence that holds for this command alone, after the model's text.
        settings: Further settings of `typer.Option`.
    """
    text = " ".join(meanings(section)[key].split()).replace("`", "")
    settings.setdefault("show_default", _shown(section.model_fields[key].default))
    return typer.Option(*names, help=f"{text} {note}".rstrip(), **settings)


def _shown(default: object) -> str | bool:
    """A default as a user writes it; false if there is none."""
    if default is None or default is PydanticUndefined or (isinstance(default, (Sequence, dict)) and not default):
        return False
    if isinstance(default, bool):
        return "on" if default else "off"
    if isinstance(default, timedelta):
        return format_duration(default)
    return str(default.value if isinstance(default, Enum) else default)


CountersPlace = Annotated[
    str | None, key_option(Counters, "store", "--counters", metavar="memory|file:PATH|redis://HOST:PORT")
]


def counters_key(place: str | None) -> KeyPath:
    """The key that `--counters` stands for: that of shared counters if it names such."""
    return ("counters", "shared", "url") if place is not None and is_shared(place) else ("counters", "store")
