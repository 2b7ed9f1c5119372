"""Arguments whose values are neither kept nor shown to people."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from callgate._callgate import Engine
from callgate.errors import PolicyError
from callgate.exact_json import read_json
from callgate.text import quoted

if TYPE_CHECKING:
    from collections.abc import Sequence

MASK: Final = "***"

Step: TypeAlias = str | int | None
"""One step of a path in arguments: a key, an index, or None for every element of a list."""

_STEP: Final = re.compile(r'\.(?P<key>[^.\[\]"]+)|\[(?:(?P<index>[0-9]+)|(?P<quoted>"(?:[^"\\]|\\.)*")|\*)\]')


@dataclass(frozen=True)
class MaskedPath:
    """The path of an argument: its text in the configuration, and its steps after ``args``."""

    text: str
    steps: tuple[Step, ...]


def check_path(text: str) -> str:
    """Returns the path of an argument as it is.

    Raises:
        ValueError: It is none, as policies write it.
    """
    if text != "args" and not text.startswith(("args.", "args[")):
        message = f"expected the path of an argument, such as `args.password`, got {quoted(text)}"
        raise ValueError(message)
    # The engine reads it, so that a path means here what it means in policies.
    condition = {"path": text, "op": "eq", "value": 1}
    rules = {"deny_if": [{"conditions": [condition]}]}
    policy: dict[str, Any] = {"version": "1", "name": "mask", "default": "deny", "tools": {"t": rules}}
    try:
        Engine.from_dict(policy, counter_capacity=1)
    except PolicyError as error:
        raise ValueError(error.message) from None
    return text


def steps_of(path: str) -> tuple[Step, ...]:
    """The steps after ``args`` of a path that `check_path` accepts."""
    steps: list[Step] = []
    for found in _STEP.finditer(path.removeprefix("args")):
        if found["index"] is not None:
            steps.append(int(found["index"]))
        elif found["quoted"] is not None:
            steps.append(str(read_json(found["quoted"].encode())))
        else:
            steps.append(found["key"])
    return tuple(steps)


def masked_arguments(arguments: Any, paths: Sequence[MaskedPath]) -> tuple[Any, list[str]]:  # noqa: ANN401  JSON
    """The arguments with `MASK` in place of the values at these paths, and the paths that were there."""
    masked = []
    for path in paths:
        arguments, found = _masked(arguments, path.steps)
        if found:
            masked.append(path.text)
    return arguments, masked


def _masked(value: Any, steps: tuple[Step, ...]) -> tuple[Any, bool]:  # noqa: ANN401  JSON
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
