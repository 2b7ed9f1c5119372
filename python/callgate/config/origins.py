"""The effective configuration, value by value, with the origin of each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from callgate.config.judge import dotted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from callgate.config.document import KeyPath
    from callgate.config.load import Loaded


@dataclass(frozen=True)
class Effective:
    """One effective value."""

    key: str
    """The key, such as ``admin.listen`` or ``grants[0].id``."""
    value: Any
    """The value as JSON; secrets are masked."""
    origin: str
    """``default``, ``option --listen``, ``environment variable `...` `` or ``file:line:column``."""


def effective(loaded: Loaded) -> Iterator[Effective]:
    """Every value, in the order of the model."""
    # The dump masks secrets, and writes durations and sizes in their usual notation.
    values = loaded.config.model_dump(mode="json")
    for path, value in _values(loaded.config, values, ()):
        yield Effective(dotted(path), value, loaded.origin(path))


def _values(model: Any, dumped: Any, path: KeyPath) -> Iterator[tuple[KeyPath, Any]]:  # noqa: ANN401  any part of a model
    if isinstance(model, BaseModel):
        for name in type(model).model_fields:
            yield from _values(getattr(model, name), dumped[name], (*path, name))
    elif isinstance(model, dict) and model:
        for name, member in model.items():
            yield from _values(member, dumped[name], (*path, name))
    elif isinstance(model, list) and model:
        for index, item in enumerate(model):
            yield from _values(item, dumped[index], (*path, index))
    else:
        yield path, dumped
