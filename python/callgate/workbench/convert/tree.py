"""Rules for whole descriptors, arranged as a tree that is searched without backtracking."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, TypeAlias

from callgate.errors import ConfigError
from callgate.workbench.convert.rules import Descriptor, RateLimit

if TYPE_CHECKING:
    from collections.abc import Sequence

Entries: TypeAlias = "tuple[tuple[str, str], ...]"
"""Keys and values of a descriptor; an empty value stands for every value."""

_LARGEST: Final = 100_000
"""Most descriptors of one domain."""


@dataclass(frozen=True)
class Rule:
    """A limit and its descriptors."""

    entries: Entries
    limit: RateLimit


def build(rules: Sequence[Rule]) -> tuple[Descriptor, ...]:
    """The tree in which every descriptor finds its rule; no two rules may match one descriptor.

    A named value is tried before its key alone, without backtracking. So the rules below the key alone are repeated
    below each named value; the counts stay the same, because each value has its own.

    Raises:
        ConfigError: The tree would be too large.
    """
    return _level([(rule.entries, rule) for rule in rules], [_LARGEST])


def _level(rules: list[tuple[Entries, Rule]], left: list[int]) -> tuple[Descriptor, ...]:
    by_entry: dict[str, dict[str, list[int]]] = {}
    for number, (entries, _) in enumerate(rules):
        key, value = entries[0]
        by_entry.setdefault(key, {}).setdefault(value, []).append(number)
    descriptors = []
    for key, by_value in by_entry.items():
        of_every_value = by_value.pop("", [])
        for value, numbers in [*by_value.items(), *([("", [])] if of_every_value else [])]:
            left[0] -= 1
            if left[0] < 0:
                message = f"the limits of one domain need more than {_LARGEST} descriptors; split the domain"
                raise ConfigError(message)
            inner = [(rules[number][0][1:], rules[number][1]) for number in sorted([*numbers, *of_every_value])]
            ends = [rule for entries, rule in inner if not entries]
            descriptors.append(
                Descriptor(
                    key=key,
                    value=value,
                    rate_limit=ends[0].limit if ends else None,
                    descriptors=_level([(entries, rule) for entries, rule in inner if entries], left),
                )
            )
    return tuple(descriptors)


@dataclass
class Overlaps:
    """Finds, among rules for the same keys, one that matches some of the same descriptors."""

    _by_mask: dict[tuple[bool, ...], list[tuple[Entries, int]]] = field(default_factory=dict)
    _tables: dict[tuple[tuple[bool, ...], tuple[bool, ...]], dict[Entries, int]] = field(default_factory=dict)

    def find(self, entries: Entries) -> int | None:
        """The number of an overlapping rule."""
        mask = _mask(entries)
        for other in self._by_mask:
            both = tuple(a and b for a, b in zip(mask, other, strict=True))
            number = self._table(other, both).get(_project(entries, both))
            if number is not None:
                return number
        return None

    def add(self, entries: Entries, number: int) -> None:
        """Adds a rule."""
        mask = _mask(entries)
        self._by_mask.setdefault(mask, []).append((entries, number))
        for (of, both), table in self._tables.items():
            if of == mask:
                table.setdefault(_project(entries, both), number)

    def _table(self, mask: tuple[bool, ...], both: tuple[bool, ...]) -> dict[Entries, int]:
        """The rules with values at the same places, indexed by some of the values to avoid comparing all pairs."""
        table = self._tables.get((mask, both))
        if table is None:
            table = self._tables[mask, both] = {}
            for entries, number in self._by_mask[mask]:
                table.setdefault(_project(entries, both), number)
        return table


def _mask(entries: Entries) -> tuple[bool, ...]:
    return tuple(bool(value) for _, value in entries)


def _project(entries: Entries, mask: tuple[bool, ...]) -> Entries:
    return tuple(entry for entry, is_in in zip(entries, mask, strict=True) if is_in)
