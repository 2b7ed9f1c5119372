r"""Patterns of tool names: `*`, `?`, and `\` to escape (`docs/policy.md` section 1)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

Symbol = tuple[Literal["char", "one", "many"], str]
"""A part of a pattern: one character, `?` or `*`."""


@dataclass(frozen=True)
class Pattern:
    """The names that a key of `tools` or an element of `hide` matches."""

    text: str
    """The pattern as it is written. It is valid: it does not end in a lone `\\`."""

    @cached_property
    def symbols(self) -> tuple[Symbol, ...]:
        """Its parts, without the escapes; adjacent stars are one."""
        found: list[Symbol] = []
        characters = iter(self.text)
        for character in characters:
            if character == "\\":
                found.append(("char", next(characters)))
            elif character == "?":
                found.append(("one", ""))
            elif character != "*":
                found.append(("char", character))
            elif not found or found[-1][0] != "many":
                found.append(("many", ""))
        return tuple(found)

    @cached_property
    def name(self) -> str | None:
        """The one name that it matches; None if it has a wildcard."""
        is_exact = all(kind == "char" for kind, _ in self.symbols)
        return "".join(character for _, character in self.symbols) if is_exact else None

    @cached_property
    def literal_length(self) -> int:
        """The number of its literal characters: of two globs that match a name, the one with more applies."""
        return sum(kind == "char" for kind, _ in self.symbols)

    def matches(self, name: str) -> bool:
        """Returns True if it matches the whole of a name."""
        symbols, symbol, position = self.symbols, 0, 0
        # The last star and the place to which it has matched: on a mismatch it takes one more character. An earlier
        # star need not be tried again, because the last one reaches every place that it could reach.
        star: tuple[int, int] | None = None
        while position < len(name):
            kind, character = symbols[symbol] if symbol < len(symbols) else ("", "")
            if kind == "many":
                star = (symbol, position)
                symbol += 1
            elif kind == "one" or (kind == "char" and character == name[position]):
                symbol, position = symbol + 1, position + 1
            elif star is None:
                return False
            else:
                star = (star[0], star[1] + 1)
                symbol, position = star[0] + 1, star[1]
        return all(kind == "many" for kind, _ in symbols[symbol:])

    def example(self, fill: str = "x") -> str:
        """A name that it matches: each `?` is `fill`, each `*` is empty, or `fill` if the name would be empty."""
        name = "".join(
            character if kind == "char" else fill if kind == "one" else "" for kind, character in self.symbols
        )
        return name or fill
