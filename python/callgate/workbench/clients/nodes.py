"""Values of a configuration file with their places in its text."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from callgate.config.faults import Fault, InvalidConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator

DEEPEST: Final = 128
"""Levels of a configuration file: no client nests deeper."""


@dataclass(slots=True)
class Node:
    """A value, and the span of its text."""

    start: int
    end: int
    value: Any = None
    """A text, number, truth value or None; of objects and lists see `data`."""
    members: dict[str, Member] | None = None
    """Of an object: its members by key."""
    items: list[Node] | None = None
    """Of a list: its items."""

    def get(self, *path: str) -> Node | None:
        """The value at a path of keys; None if there is none."""
        node: Node | None = self
        for key in path:
            member = None if node is None or node.members is None else node.members.get(key)
            node = None if member is None else member.node
        return node

    def data(self) -> Any:  # noqa: ANN401  a configuration holds anything
        """The value without places."""
        if self.members is not None:
            return {key: member.node.data() for key, member in self.members.items()}
        if self.items is not None:
            return [item.data() for item in self.items]
        return self.value

    def objects(self) -> Iterator[tuple[str, Node]]:
        """The members of an object that are objects themselves."""
        for key, member in (self.members or {}).items():
            if member.node.members is not None:
                yield key, member.node


@dataclass(slots=True)
class Member:
    """A member of an object."""

    key_start: int
    """The beginning of the last word of its key."""
    statement_start: int
    """The beginning of its key; in TOML, a key may have several words."""
    node: Node = field(repr=False)
    is_inline: bool = True
    """False in TOML for a line of its own."""


def fault(file: str, text: str, offset: int, message: str) -> InvalidConfigError:
    """The error for a fault at an offset of a text."""
    line = text.count("\n", 0, offset) + 1
    column = offset - text.rfind("\n", 0, offset)
    return InvalidConfigError([Fault(message, file, line, column)])
