"""The classes of regular expressions, held to the engine over every character."""

from __future__ import annotations

import unicodedata
from itertools import islice
from typing import TYPE_CHECKING

import pytest

from callgate import Engine
from callgate.workbench.witness.words.charsets import CharSet

if TYPE_CHECKING:
    from collections.abc import Iterator

_MOST_VISITED = 10_000


def _assigned() -> Iterator[str]:
    """Characters that are assigned in this version of Unicode; the engine may know a newer one."""
    return (
        character
        for code in range(0x110000)
        if not 0xD800 <= code < 0xE000 and unicodedata.category(character := chr(code)) != "Cn"
    )


@pytest.mark.parametrize("name", ["d", "D", "w", "W", "s", "S"])
def test_every_character_is_in_the_classes_of_the_engine(name: str) -> None:
    condition = {"path": "args.l[*]", "op": "regex", "value": rf"^\{name}$"}
    engine = Engine.from_dict(
        {"version": "1", "default": "deny", "tools": {"t": {"require": [{"conditions": [condition]}]}}}
    )
    members = CharSet(classes=frozenset(name))
    others = CharSet(classes=frozenset(name.swapcase()))
    inside = (one for one in _assigned() if one in members)
    count = 0
    while chunk := list(islice(inside, _MOST_VISITED)):
        assert engine.explain(tool="t", grant="g", args={"l": chunk}).decision.allowed
        count += len(chunk)
    assert count > 0
    # The other class has all others; its own test asks the engine about them.
    assert count + sum(one in others for one in _assigned()) == sum(1 for _ in _assigned())
