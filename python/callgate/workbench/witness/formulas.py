"""Conditions as formulas over atoms: what one comparison, scope or cost says of a call."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import reduce
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from callgate.workbench.rules import AllOf, AnyOf, Comparison, Not
from callgate.workbench.witness import truth
from callgate.workbench.witness.canonical import canonical

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Iterator, Sequence

    from callgate.workbench.rules import Check, Condition, Path

Quantifier: TypeAlias = Literal["every", "some"]
"""The elements of `[*]` for which a condition has to hold."""


@dataclass(frozen=True)
class Atom:
    """One comparison under one quantifier, a scope that has a value, or a cost that can be used."""

    path: Path
    op: str
    """An operator; `scope`: true if the path has a value; `cost`: true if it is a cost of at most `value`."""
    value: Any
    quantifier: Quantifier = "every"

    @property
    def key(self) -> Hashable:
        """Equal for atoms that are true of the same calls."""
        quantifier = self.quantifier if self.path.has_every else ""
        return self.path.root, self.path.keys, self.op, canonical(self.value), quantifier


@dataclass(frozen=True)
class Leaf:
    """An atom, by its number in the vocabulary."""

    atom: int


@dataclass(frozen=True)
class Junction:
    """`all` or `any` of formulas; without any, `all` is true and `any` is false."""

    is_all: bool
    parts: tuple[Formula, ...]


@dataclass(frozen=True)
class Negation:
    """`not` of a formula."""

    part: Formula


Formula: TypeAlias = "Leaf | Junction | Negation"

ALWAYS = Junction(is_all=True, parts=())
"""The formula that is always true."""


@dataclass(frozen=True)
class Demand:
    """A formula whose result has to be one of these truth values."""

    formula: Formula
    wanted: int
    """A set of truth values, as in `truth`."""


@dataclass
class Vocabulary:
    """The atoms of all formulas of one search; equal ones are one."""

    atoms: list[Atom] = field(default_factory=list)
    _numbers: dict[Hashable, int] = field(default_factory=dict)

    def check(self, check: Check) -> Formula:
        """The formula of a check: under `require` every element counts, under `deny_if` and `when` one is enough."""
        return self.every_of(check.conditions, "every" if check.part == "require" else "some")

    def every_of(self, conditions: Iterable[Condition], quantifier: Quantifier) -> Formula:
        """The formula that holds if all of these conditions do."""
        return Junction(is_all=True, parts=tuple(self._formula(one, quantifier) for one in conditions))

    def scope(self, path: Path) -> Formula:
        """The formula that is true where a scope has a value at this path."""
        return self._leaf(Atom(path, "scope", None))

    def cost(self, path: Path, most: Any) -> Formula:  # noqa: ANN401  a number
        """The formula that is true where the path holds a cost of at most so many units."""
        return self._leaf(Atom(path, "cost", most))

    def _formula(self, condition: Condition, quantifier: Quantifier) -> Formula:
        match condition:
            case Comparison():
                return self._leaf(Atom(condition.path, condition.op, condition.value, quantifier))
            case Not():
                swapped: Quantifier = "some" if quantifier == "every" else "every"
                return Negation(self._formula(condition.condition, swapped))
            case AllOf() | AnyOf():
                parts = tuple(self._formula(one, quantifier) for one in condition.conditions)
                return Junction(is_all=isinstance(condition, AllOf), parts=parts)

    def _leaf(self, atom: Atom) -> Leaf:
        number = self._numbers.setdefault(atom.key, len(self.atoms))
        if number == len(self.atoms):
            self.atoms.append(atom)
        return Leaf(number)


def result_of(formula: Formula, values: Sequence[int]) -> int:
    """The truth values that a formula may have, given those of each atom."""
    match formula:
        case Leaf(atom):
            return values[atom]
        case Negation(part):
            return truth.negated(result_of(part, values))
        case Junction(is_all, parts):
            fold, start = (truth.both, truth.TRUE) if is_all else (truth.either, truth.FALSE)
            return reduce(fold, (result_of(part, values) for part in parts), start)


def atoms_of(formula: Formula) -> Iterator[int]:
    """The numbers of the atoms in a formula."""
    match formula:
        case Leaf(atom):
            yield atom
        case Negation(part):
            yield from atoms_of(part)
        case Junction(_, parts):
            for part in parts:
                yield from atoms_of(part)
