"""Places in the arguments as a tree: which conditions look at each, and where their paths part."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from callgate.workbench.witness.absent import ABSENT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from callgate.workbench.witness.formulas import Atom

Steps = tuple[tuple[str, str | int], ...]

_SEES_CONTENTS: Final = ("eq", "neq", "in", "not_in", "len_lt", "len_lte", "len_gt", "len_gte", "scope")
"""Operators whose result depends on the members of an object or the elements of a list."""


@dataclass
class Place:
    """One place in the arguments."""

    steps: Steps
    """The steps from `args`."""
    atoms: list[int] = field(default_factory=list)
    """Atoms whose path ends here."""
    keys: dict[str, Place] = field(default_factory=dict)
    indexes: dict[int, Place] = field(default_factory=dict)
    every: Place | None = None

    def below(self) -> Iterator[Place]:
        """This place and all places below it."""
        yield self
        for place in self.children():
            yield from place.below()

    def children(self) -> Iterator[Place]:
        """The places one step below."""
        yield from self.keys.values()
        yield from self.indexes.values()
        if self.every is not None:
            yield self.every

    def all_atoms(self) -> list[int]:
        """The atoms that look at this place or below it."""
        return [atom for place in self.below() for atom in place.atoms]

    def is_whole(self, atoms: list[Atom]) -> bool:
        """True if its value cannot be chosen member by member: `[*]` goes over it, or a condition sees all of it."""
        sees = any(atoms[one].op in _SEES_CONTENTS for one in self.atoms)
        sees_elements = bool(self.indexes) and any("contains" in atoms[one].op for one in self.atoms)
        return self.every is not None or sees_elements or (sees and any(True for _ in self.children()))


def tree_of(atoms: list[Atom]) -> Place:
    """The tree of all places that these atoms look at."""
    top = Place(())
    for number, atom in enumerate(atoms):
        if not atom.path.is_of_arguments:
            continue
        place = top
        for step in atom.path.keys:
            place = _child(place, *step)
        place.atoms.append(number)
    return top


def arguments_with(steps: Steps, value: Any) -> Any:  # noqa: ANN401  JSON
    """The smallest arguments that have a value at a place; for `ABSENT` those that have all above it."""
    if not steps:
        return {} if value is ABSENT else value
    (kind, key), *below = steps
    is_absent = value is ABSENT and not below
    inner = ABSENT if is_absent else arguments_with(tuple(below), value)
    if kind == "key":
        return {} if is_absent else {key: inner}
    before = [None] * (key if isinstance(key, int) else 0)
    return before if is_absent else [*before, inner]


def _child(place: Place, kind: str, key: str | int) -> Place:
    steps = (*place.steps, (kind, key))
    if kind == "every":
        if place.every is None:
            place.every = Place(steps)
        return place.every
    if kind == "index":
        return place.indexes.setdefault(int(key), Place(steps))
    return place.keys.setdefault(str(key), Place(steps))
