"""Arguments whose values are neither kept nor shown to people."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

MASK: Final = "***"


@dataclass(frozen=True)
class MaskedPath:
    """The path of an argument: its text in the configuration, and its steps after ``args``.

    A step is a key, an index, or None for every element of a list.
    """

    text: str
    steps: tuple[str | int | None, ...]


def masked_arguments(arguments: Any, paths: Sequence[MaskedPath]) -> tuple[Any, list[str]]:  # noqa: ANN401  JSON
    """The arguments with `MASK` in place of the values at these paths, and the paths that were there."""
    masked = []
    for path in paths:
        arguments, found = _masked(arguments, path.steps)
        if found:
            masked.append(path.text)
    return arguments, masked


def _masked(value: Any, steps: tuple[str | int | None, ...]) -> tuple[Any, bool]:  # noqa: ANN401  JSON
    if not steps:
        return MASK, True
    step, rest = steps[0], steps[1:]
    if isinstance(step, str) and isinstance(value, dict) and step in value:
        inner, found = _masked(value[step], rest)
        return {**value, step: inner}, found
    if step is None and isinstance(value, list):
        both = [_masked(element, rest) for element in value]
        return [element for element, _ in both], any(found for _, found in both)
    if isinstance(step, int) and isinstance(value, list) and step < len(value):
        inner, found = _masked(value[step], rest)
        return [*value[:step], inner, *value[step + 1 :]], found
    return value, False
