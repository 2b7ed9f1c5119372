"""Finite automata that read a word once, several beside each other."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol

from callgate.workbench.witness.words.charsets import ANY, CharSet, only
from callgate.workbench.witness.words.syntax import (
    Choice,
    Edge,
    Repeat,
    Sequence,
    UnsupportedSyntaxError,
)

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable

    from callgate.workbench.rules import Pattern
    from callgate.workbench.witness.words.syntax import Node

_MOST_STATES: Final = 2_000
"""States of one automaton; a larger repetition is not written out."""

_ANYTHING: Final = Repeat(ANY, 0, None)


class Reader(Protocol):
    """Something that reads words character by character and says which it accepts."""

    sets: frozenset[CharSet]
    """The sets of characters that it tells apart."""

    def start(self) -> Hashable:
        """The state before the first character."""

    def step(self, state: Hashable, character: str) -> Hashable:
        """The state after one more character."""

    def accepts(self, state: Hashable) -> bool:
        """True if the word may end here."""


@dataclass
class Length:
    """Accepts words with at least so many characters."""

    least: int
    sets: frozenset[CharSet] = frozenset()

    def start(self) -> int:
        """No character."""
        return 0

    def step(self, state: Hashable, character: str) -> int:  # noqa: ARG002  every character counts as one
        """One character more; above `least` it does not matter how many."""
        return min(int(str(state)) + 1, self.least)

    def accepts(self, state: Hashable) -> bool:
        """True if there are enough."""
        return state == self.least


class OneOf:
    """Accepts some words; its state is what was read, None if no word begins so."""

    def __init__(self, words: Iterable[str]) -> None:
        """Takes the words."""
        self._words = frozenset(words)
        self._beginnings = frozenset(word[:length] for word in self._words for length in range(len(word) + 1))
        self.sets = frozenset(only(character) for word in self._words for character in word)

    def start(self) -> str | None:
        """The empty text."""
        return "" if self._words else None

    def step(self, state: Hashable, character: str) -> str | None:
        """The text that was read, with one more character."""
        if state is None:
            return None
        read = f"{state}{character}"
        return read if read in self._beginnings else None

    def accepts(self, state: Hashable) -> bool:
        """True if what was read is a word."""
        return state in self._words


@dataclass
class Automaton:
    """A nondeterministic automaton; its state is the set of places that a word may have reached."""

    node: Node
    sets: frozenset[CharSet] = frozenset()
    _moves: list[list[tuple[int, int]]] = field(default_factory=list)
    """Moves with a character: the number of its set, and the place after it."""
    _jumps: list[list[tuple[str, int]]] = field(default_factory=list)
    """Moves without a character: anywhere (empty text), at the begin or at the end of the word."""
    _end: int = 0
    _steps: dict[tuple[frozenset[int], str], frozenset[int]] = field(default_factory=dict)
    _accepted: dict[Hashable, bool] = field(default_factory=dict)
    _numbers: dict[CharSet, int] = field(default_factory=dict)
    _members: dict[str, frozenset[int]] = field(default_factory=dict)
    """The numbers of the sets that each character belongs to."""

    def __post_init__(self) -> None:
        """Builds the automaton.

        Raises:
            UnsupportedSyntaxError: It would be too large.
        """
        first = self._place()
        self._end = self._build(self.node, first)
        self.sets = frozenset(self._numbers)

    def start(self) -> tuple[bool, frozenset[int]]:
        """Before the first character."""
        return True, self._reached({0}, ("", "begin"))

    def step(self, state: Hashable, character: str) -> tuple[bool, frozenset[int]]:
        """After one more character."""
        places = _places(state)
        known = self._steps.get((places, character))
        if known is None:
            inside = self._members.get(character)
            if inside is None:
                inside = self._members[character] = frozenset(
                    number for one, number in self._numbers.items() if character in one
                )
            moved = {to for place in places for one, to in self._moves[place] if one in inside}
            known = self._steps[places, character] = self._reached(moved, ("",))
        return False, known

    def accepts(self, state: Hashable) -> bool:
        """True if the word may end here."""
        known = self._accepted.get(state)
        if known is None:
            edges = ("", "begin", "end") if state == self.start() else ("", "end")
            known = self._accepted[state] = self._end in self._reached(set(_places(state)), edges)
        return known

    def _reached(self, places: set[int], edges: tuple[str, ...]) -> frozenset[int]:
        found, open_ = set(places), list(places)
        while open_:
            for edge, to in self._jumps[open_.pop()]:
                if edge in edges and to not in found:
                    found.add(to)
                    open_.append(to)
        return frozenset(found)

    def _place(self) -> int:
        if len(self._moves) >= _MOST_STATES:
            raise UnsupportedSyntaxError("a large repetition")
        self._moves.append([])
        self._jumps.append([])
        return len(self._moves) - 1

    def _build(self, node: Node, first: int) -> int:
        """Adds the places of a part that begins at a place; returns the place at its end."""
        last = first
        match node:
            case CharSet():
                last = self._place()
                self._moves[first].append((self._numbers.setdefault(node, len(self._numbers)), last))
            case Edge(which):
                last = self._place()
                self._jumps[first].append((which, last))
            case Sequence(parts):
                for part in parts:
                    last = self._build(part, last)
            case Choice(parts):
                last = self._place()
                for part in parts:
                    begin = self._place()
                    self._jumps[first].append(("", begin))
                    self._jumps[self._build(part, begin)].append(("", last))
            case Repeat(part, least, most):
                last = self._repeat(part, least, most, first)
        return last

    def _repeat(self, part: Node, least: int, most: int | None, first: int) -> int:
        for _ in range(least):
            first = self._build(part, first)
        last = self._place()
        if most is None:
            again = self._place()
            self._jumps[first].append(("", again))
            self._jumps[self._build(part, again)].append(("", again))
            self._jumps[again].append(("", last))
            return last
        for _ in range(most - least):
            self._jumps[first].append(("", last))
            first = self._build(part, first)
        self._jumps[first].append(("", last))
        return last


def literal(text: str) -> Sequence:
    """The one word."""
    return Sequence(tuple(map(only, text)))


def surrounded(node: Node, *, before: bool, after: bool) -> Sequence:
    """The part with anything before or after it."""
    return Sequence((*((_ANYTHING,) if before else ()), node, *((_ANYTHING,) if after else ())))


def of_pattern(pattern: Pattern) -> Sequence:
    """The names that a pattern of tools matches."""
    parts: list[Node] = []
    for kind, character in pattern.symbols:
        parts.append(_ANYTHING if kind == "many" else ANY if kind == "one" else only(character))
    return Sequence(tuple(parts))


def _places(state: Hashable) -> frozenset[int]:
    assert isinstance(state, tuple)  # noqa: S101  a state of this automaton
    places: frozenset[int] = state[1]
    return places
