"""Changes of single arguments of calls."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from callgate.workbench.witness import ABSENT

if TYPE_CHECKING:
    from callgate.workbench.rules import Path
    from callgate.workbench.witness import Call


def value_in(call: Call, path: Path) -> Any:  # noqa: ANN401  JSON
    """The value of an argument; `ABSENT` if there is none, or the path leads to several."""
    value: Any = call.args
    for kind, key in path.keys:
        if kind == "every" or not path.is_of_arguments:
            return ABSENT
        # A text has no elements, although Python gives its characters.
        is_member = kind == "key" and isinstance(value, dict) and key in value
        is_element = kind == "index" and isinstance(value, list) and isinstance(key, int) and key < len(value)
        if not is_member and not is_element:
            return ABSENT
        value = value[key]
    return value


def with_value(call: Call, path: Path, value: Any) -> Call | None:  # noqa: ANN401  JSON
    """The call with another value in place of an argument; `ABSENT` leaves it out. None if it has no such argument."""
    if not path.is_of_arguments or not path.keys or value_in(call, path) is ABSENT:
        return None
    args = copy.deepcopy(dict(call.args))
    holder: Any = args
    for _, key in path.keys[:-1]:
        holder = holder[key]
    last = path.keys[-1][1]
    if value is not ABSENT:
        holder[last] = value
    elif isinstance(holder, dict):
        del holder[last]
    else:
        return None
    return replace(call, args=args)
