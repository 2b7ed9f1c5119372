"""Values of one place in the arguments, of every type."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from itertools import combinations
from typing import TYPE_CHECKING, Any, Final

from callgate.workbench.witness.absent import ABSENT
from callgate.workbench.witness.fresh import fresh_text
from callgate.workbench.witness.values.numbers import numbers_around
from callgate.workbench.witness.words import words_for

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from callgate.workbench.witness.formulas import Atom

_MOST_ELEMENTS: Final = 5
"""Elements that `contains` asks for, up to which every subset is tried."""

_LONGEST: Final = 10_000
"""Elements of a list or an object that is made."""

_COST_BOUNDARIES: Final = (0, 10**12)


@dataclass(frozen=True)
class Values:
    """The values to try at one place."""

    values: tuple[Any, ...]
    """The most natural ones first; `ABSENT` stands for no value."""
    are_strings_complete: bool = True
    are_others_complete: bool = True


def leaf_values(atoms: Sequence[Atom]) -> Values:
    """The values that these conditions on one place tell apart."""
    words = words_for(atoms)
    boundaries = [one for atom in atoms for one in _boundaries(atom)]
    numbers, is_number_complete = numbers_around(boundaries, costs=any(atom.op == "cost" for atom in atoms))
    lists, is_list_complete = _lists(atoms)
    constants = [one for atom in atoms for one in _constants(atom)]
    objects = list(_objects(atoms))
    strings_first = any(isinstance(one, str) for one in constants) or not boundaries
    scalars = [*words.words, *numbers] if strings_first else [*numbers, *words.words]
    if any(atom.op in ("contains", "not_contains") for atom in atoms) and not strings_first:
        scalars = [*lists, *scalars]
    return Values(
        (*constants, *scalars, ABSENT, True, False, *lists, *objects, None),
        are_strings_complete=words.is_complete,
        are_others_complete=is_number_complete and is_list_complete,
    )


def _boundaries(atom: Atom) -> Iterator[int | Decimal]:
    if atom.op in ("lt", "lte", "gt", "gte"):
        yield atom.value
    elif atom.op == "cost":
        yield from (atom.value, *_COST_BOUNDARIES)
    else:
        yield from (one for one in _constants(atom) if isinstance(one, (int, Decimal)) and not isinstance(one, bool))


def _constants(atom: Atom) -> Iterator[Any]:
    """The values that a condition compares with as a whole."""
    if atom.op in ("eq", "neq"):
        yield atom.value
    elif atom.op in ("in", "not_in"):
        yield from atom.value


def _lengths(atoms: Sequence[Atom]) -> list[int]:
    found = {0, 1}
    for atom in atoms:
        if atom.op.startswith("len_"):
            found |= {int(atom.value) + more for more in (-1, 0, 1)}
    return sorted(one for one in found if 0 <= one <= _LONGEST)


def _lists(atoms: Sequence[Atom]) -> tuple[list[Any], bool]:
    """Lists of every length that matters, with every set of elements that matters; and if these are all."""
    wanted = [atom.value for atom in atoms if atom.op in ("contains", "not_contains")]
    constants = [one for atom in atoms for one in _constants(atom) if isinstance(one, list)]
    is_complete = len(wanted) <= _MOST_ELEMENTS and not (wanted and constants)
    is_complete = is_complete and all(atom.value < _LONGEST for atom in atoms if atom.op.startswith("len_"))
    chosen = wanted[:_MOST_ELEMENTS]
    subsets = [subset for size in range(len(chosen) + 1) for subset in combinations(chosen, size)]
    if len(wanted) > len(chosen):
        # Not every subset is tried then, but those that one condition more or less tells apart.
        subsets += [tuple(wanted), *(tuple(wanted[:number] + wanted[number + 1 :]) for number in range(len(wanted)))]
    found = []
    # Elements that no condition asks for.
    fresh = fresh_text(atom.value for atom in atoms)
    for length in sorted({*_lengths(atoms), *map(len, subsets)}):
        fill = [f"{fresh}-{number}" for number in range(length)]
        found += [[*subset, *fill[len(subset) :]] for subset in subsets if len(subset) <= length]
    return found, is_complete


def _objects(atoms: Sequence[Atom]) -> Iterator[dict[str, int]]:
    name = fresh_text(atom.value for atom in atoms).replace("-", "_")
    for length in _lengths(atoms):
        yield {f"{name}_{number}": number for number in range(length)}
