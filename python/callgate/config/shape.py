"""The shape of the model: its keys, and the positions of paths."""

from __future__ import annotations

import types
import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from callgate.config.fields import PathMark, meanings
from callgate.config.model import Config

if typing.TYPE_CHECKING:
    from callgate.config.document import KeyPath


@dataclass(frozen=True)
class Shape:
    """The allowed values at a place: a section, a mapping or list of something, or a plain value.

    One that has both is a section, or a list of such.
    """

    section: type[BaseModel] | None = None
    members: Shape | None = None
    items: Shape | None = None
    path: PathMark | None = None
    others: tuple[Shape, ...] = ()
    """Sections that may stand here instead of a plain value."""

    def at(self, step: str | int) -> Shape | None:
        """The shape under a key or index; None if nothing is allowed there."""
        if isinstance(step, int) and self.items is not None:
            return self.items
        if self.section is not None:
            return shapes_of(self.section).get(str(step))
        if self.others:
            return next((shape for other in self.others if (shape := other.at(step))), None)
        return self.items if isinstance(step, int) else self.members


TOP: typing.Final = Shape(section=Config)


def keys_at(path: KeyPath, top: Shape = TOP) -> list[str]:
    """The keys of a section; none if the path does not lead to a section."""
    shape: Shape | None = top
    for step in path:
        shape = shape.at(step) if shape else None
    return list(shapes_of(shape.section)) if shape and shape.section else []


@cache
def shapes_of(section: type[BaseModel]) -> Mapping[str, Shape]:
    """The shape of each key of a section."""
    hints = typing.get_type_hints(section, include_extras=True)
    return {name: _shape(hints[name]) for name in section.model_fields}


def leaves(section: type[BaseModel] = Config, before: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], str]]:
    """Every key with its meaning; `<name>` and `[]` stand for the keys of mappings and the items of lists."""
    texts = meanings(section)
    for name, field in section.model_fields.items():
        text = texts.get(name, "")
        shape, path = shapes_of(section)[name], (*before, name)
        if shape.members and shape.members.section:
            yield path, text
            yield from leaves(shape.members.section, (*path, "<name>"))
        elif shape.items and shape.items.section and not shape.section:
            yield path, text
            yield from leaves(shape.items.section, (*path, "[]"))
        elif shape.section:
            if not field.is_required() and field.default is None:
                yield path, text
            yield from leaves(shape.section, path)
        else:
            yield path, text


def anchored(value: Any, base: Path, shape: Shape | None = TOP) -> Any:  # noqa: ANN401  a document holds anything
    """A copy of a value in which relative paths start at `base`; values that are not paths are left to later checks."""
    if shape is None:
        return value
    if isinstance(value, dict):
        return {key: anchored(member, base, shape.at(key)) for key, member in value.items()}
    if isinstance(value, list):
        return [anchored(item, base, shape.items) for item in value]
    if shape.path is not None and isinstance(value, str) and value.startswith(shape.path.prefix):
        plain = value.removeprefix(shape.path.prefix)
        # An empty path is refused later; joined to the folder, it would name the folder.
        return shape.path.prefix + str(base / plain) if plain not in {"", "-"} else value
    return value


def _shape(hint: Any) -> Shape:  # noqa: ANN401  a type form
    origin = typing.get_origin(hint)
    if origin is typing.Annotated:
        inner, *marks = typing.get_args(hint)
        path = next((mark for mark in marks if isinstance(mark, PathMark)), None)
        return Shape(path=path) if path else _shape(inner)
    if origin in {typing.Union, types.UnionType}:
        first, *others = (_shape(part) for part in typing.get_args(hint) if part is not type(None))
        items = next((other.items for other in others if other.items), None)
        if first.section is None and first.items is None and first.members is None:
            first = replace(first, others=tuple(other for other in others if other.section))
        return replace(first, items=items) if first.section and items else first
    if origin is dict:
        return Shape(members=_shape(typing.get_args(hint)[1]))
    if origin is list:
        return Shape(items=_shape(typing.get_args(hint)[0]))
    if isinstance(hint, type) and issubclass(hint, BaseModel):
        return Shape(section=hint)
    return Shape()
