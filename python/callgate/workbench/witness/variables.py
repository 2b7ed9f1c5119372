"""The parts of a call as variables, whose choices are the values that conditions tell apart."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import product
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from callgate.workbench.witness import truth
from callgate.workbench.witness.absent import ABSENT, LIST, OBJECT, UNKNOWN
from callgate.workbench.witness.places import Place, arguments_with
from callgate.workbench.witness.values import Values, leaf_values, lists_of, ordered_lists_of

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence

    from callgate.workbench.witness.formulas import Atom

Results: TypeAlias = "dict[int, int]"
Ask: TypeAlias = "Callable[[Any], Results | None]"
"""The truth values of a variable's atoms for a value; None if no call can have it."""

_MOST_UNKNOWN: Final = 128
"""Combinations of results that are told apart where no value is known for them."""

_MOST_VISITED: Final = 10_000
"""Elements that one `[*]` may visit in a call (`docs/policy.md` section 3)."""

_MOST_PRODUCTS: Final = 2_000
_MOST_ELEMENTS: Final = 40

_ON_STRINGS: Final = {
    **dict.fromkeys(
        (
            *("eq", "neq", "in", "not_in", "regex", "not_regex", "contains", "not_contains", "starts_with"),
            *("ends_with", "len_lt", "len_lte", "len_gt", "len_gte"),
        ),
        truth.TRUE | truth.FALSE,
    ),
    **dict.fromkeys(("path_within", "host_in", "cidr_in"), truth.TRUE | truth.FALSE | truth.ERROR),
}
"""Results that a string may give."""


@dataclass(frozen=True)
class Choice:
    """One value of a variable."""

    value: Any
    """A JSON value, or a mark."""
    results: Results = field(hash=False)
    """The truth values of the variable's atoms; sets of them where they are not settled."""
    opens: tuple[Variable, ...] = ()
    """Variables that are chosen only with this value."""


@dataclass(frozen=True, eq=False)
class Variable:
    """One value of a call."""

    name: str
    """`args` paths in the words of policies, or `session`, `grant.id` and so on."""
    steps: tuple[tuple[str, str | int], ...] | None
    """Its place in the arguments; None for others."""
    atoms: tuple[int, ...]
    choices: tuple[Choice, ...]

    def limited(self, is_possible: Callable[[Results], bool]) -> Variable:
        """The variable without choices whose results are not possible."""
        kept = []
        for choice in self.choices:
            results: Results = {}
            for opened in choice.opens:
                results |= opened.results()
            if is_possible({**results, **choice.results}):
                kept.append(choice)
        return replace(self, choices=tuple(kept))

    def results(self) -> Results:
        """The truth values that each atom may have while nothing is chosen."""
        found = dict.fromkeys(self.atoms, 0)
        for choice in self.choices:
            for atom, values in choice.results.items():
                found[atom] |= values
            for opened in choice.opens:
                for atom, values in opened.results().items():
                    found[atom] |= values
        return found


def plain_variable(name: str, atoms: Sequence[int], values: Iterable[Any], ask: Ask) -> Variable:
    """A variable with these values and no others."""
    return Variable(name, None, tuple(atoms), tuple(_distinct(values, ask, ())))


def string_variable(
    name: str, numbers: Sequence[int], atoms: Sequence[Atom], ask: Ask, *, may_be_absent: bool, may_be_empty: bool
) -> Variable:
    """A variable that is a string, or absent."""
    # Where the empty string is none of the values, it must not stand for strings that give the same results.
    values = leaf_values([*atoms, replace(atoms[0], op="len_gte", value=1)])
    found = [one for one in values.values if isinstance(one, str) and (one or may_be_empty)]
    choices = list(_distinct([*found, *([ABSENT] if may_be_absent else [])], ask, ()))
    if not values.are_strings_complete:
        choices += _unknown_strings(dict(zip(numbers, atoms, strict=True)), choices)
    return Variable(name, None, tuple(numbers), tuple(choices))


class ArgumentVariables:
    """Makes the variables of arguments."""

    def __init__(self, atoms: list[Atom], ask: Ask) -> None:
        """Takes all atoms and a way to ask for their results on whole arguments."""
        self._atoms = atoms
        self._ask = ask

    def of(self, place: Place) -> Variable:
        """The variable of a place, with those of the places below it."""
        own = place.all_atoms()
        name = _name(place)

        def ask(value: Any) -> Results | None:  # noqa: ANN401  JSON
            results = self._ask(arguments_with(place.steps, value))
            return None if results is None else {atom: results[atom] for atom in own}

        if place.is_whole(self._atoms):
            values, is_complete = self._whole(place)
            choices = list(_distinct(values, ask, ()))
            if not is_complete:
                choices.append(Choice(UNKNOWN, dict.fromkeys(own, truth.ANY_TRUTH)))
            choices += self._too_many(place, own)
            return Variable(name, place.steps, tuple(own), tuple(choices))
        known = self._leaf(place)
        found = list(_distinct(_outside(known.values, place), ask, ()))
        found += self._unknown(place, known, found)
        for mark, empty, below in ((OBJECT, {}, place.keys), (LIST, [], place.indexes)):
            if below:
                results = ask(empty) or {}
                opened = {atom for one in below.values() for atom in one.all_atoms()}
                direct = {atom: result for atom, result in results.items() if atom not in opened}
                # Where members can be chosen the call says most; so this choice comes first.
                found.insert(0, Choice(mark, direct, tuple(self.of(one) for one in below.values())))
        return Variable(name, place.steps, tuple(own), tuple(found))

    def _too_many(self, place: Place, own: list[int]) -> Iterator[Choice]:
        """Choices for calls with more elements than `[*]` may visit; what other conditions say of them is open."""
        open_ = dict.fromkeys(own, truth.ANY_TRUTH)
        nested: dict[Hashable, list[int]] = {}
        for one in own:
            steps = self._atoms[one].path.keys
            every = [number for number, (kind, _) in enumerate(steps) if kind == "every"]
            if len(every) > 1:
                nested.setdefault(steps[: every[-1]], []).append(one)
        for atoms in nested.values():
            # Each list may be short where there are many.
            yield Choice(UNKNOWN, {**open_, **dict.fromkeys(atoms, truth.ERROR)})
        for below in place.below():
            if below.every is not None and (below.indexes or (below.atoms and _is_in_list(below))):
                yield Choice(UNKNOWN, {**open_, **dict.fromkeys(below.every.all_atoms(), truth.ERROR)})

    def _leaf(self, place: Place) -> Values:
        return leaf_values([self._atoms[one] for one in place.atoms])

    def _unknown(self, place: Place, known: Values, found: list[Choice]) -> list[Choice]:
        if not known.are_others_complete:
            return [Choice(UNKNOWN, dict.fromkeys(place.all_atoms(), truth.ANY_TRUTH))]
        if known.are_strings_complete:
            return []
        return _unknown_strings({one: self._atoms[one] for one in place.all_atoms()}, found)

    def _whole(self, place: Place) -> tuple[list[Any], bool]:
        """The values of a place with all that is below it, and if they are all that matter."""
        known = self._leaf(place)
        values = list(known.values)
        is_complete = known.are_strings_complete and known.are_others_complete
        children = any(True for _ in place.children())
        if children and any(self._atoms[one].op != "exists" for one in place.atoms):
            # A condition that sees the whole value may tell apart more than its members do.
            is_complete = False
        made: list[Any] = []
        if place.keys:
            members, are_all = self._members(place)
            made += members
            is_complete = is_complete and are_all
        if place.indexes:
            lists, are_all = self._indexed(place)
            made += lists
            is_complete = is_complete and are_all
        elif place.every is not None:
            elements, are_all = self._whole(place.every)
            distinct = self._distinct_elements(place, elements)
            lists, are_lists_all = lists_of(distinct[:_MOST_ELEMENTS], min(len(place.every.all_atoms()), 4))
            made += lists
            few = len(place.every.all_atoms()) <= 4 and len(distinct) <= _MOST_ELEMENTS  # noqa: PLR2004  as above
            is_complete = is_complete and are_all and are_lists_all and few
        if place.every is not None and (place.atoms or place.indexes) and not _is_in_list(place):
            # More elements than one `[*]` may visit: only conditions beside it tell such a list from another type.
            values.append([None] * (_MOST_VISITED + 1))
        return [*made, *values], is_complete

    def _indexed(self, place: Place) -> tuple[list[Any], bool]:
        """Lists where conditions look at elements by index, and perhaps at every element."""
        values: list[Any] = []
        are_all = True
        for child in place.children():
            if child not in place.keys.values():
                found, is_complete = self._whole(child)
                values += found
                are_all = are_all and is_complete
        seen: dict[tuple[int, ...], Any] = {}
        for value in values:
            if value is ABSENT:
                continue
            # The element alone, and at each index that a condition looks at.
            asked = [[value], *([*[None] * index, value] for index in place.indexes)]
            results = [self._ask(arguments_with(place.steps, one)) for one in asked]
            key = tuple(one[atom] for one in results if one for atom in place.all_atoms())
            seen.setdefault(key, value)
        conditions = len(place.every.all_atoms()) if place.every is not None else 0
        lists, are_lists_all = ordered_lists_of(list(seen.values()), max(place.indexes) + 1 + conditions)
        return lists, are_all and are_lists_all

    def _members(self, place: Place) -> tuple[list[Any], bool]:
        names, is_complete, columns = list(place.keys), True, []
        for child in place.keys.values():
            values, are_all = self._whole(child)
            is_complete = is_complete and are_all
            columns.append(self._distinct_at(child, values))
        made: list[Any] = []
        for row in product(*columns):
            if len(made) == _MOST_PRODUCTS:
                return made, False
            made.append({name: one for name, one in zip(names, row, strict=True) if one is not ABSENT})
        return made, is_complete

    def _distinct_at(self, place: Place, values: list[Any]) -> list[Any]:
        return list(self._by_results(place.all_atoms(), values, lambda one: arguments_with(place.steps, one)))

    def _distinct_elements(self, place: Place, elements: list[Any]) -> list[Any]:
        below = [atom for child in place.children() for atom in child.all_atoms()]
        kept = [one for one in elements if one is not ABSENT]
        return list(self._by_results(below, kept, lambda one: arguments_with(place.steps, [one])))

    def _by_results(self, atoms: list[int], values: list[Any], made: Callable[[Any], Any]) -> Iterator[Any]:
        seen: set[tuple[int, ...]] = set()
        for value in values:
            results = self._ask(made(value))
            if results is None:
                continue
            key = tuple(results[atom] for atom in atoms)
            if key not in seen:
                seen.add(key)
                yield value


def _is_in_list(place: Place) -> bool:
    """True if the place is one of an element."""
    return any(kind != "key" for kind, _ in place.steps)


def _outside(values: Iterable[Any], place: Place) -> Iterator[Any]:
    """The values of a place that are not chosen member by member."""
    for value in values:
        if not (isinstance(value, dict) and place.keys) and not (isinstance(value, list) and place.indexes):
            yield value


def _distinct(values: Iterable[Any], ask: Ask, opens: tuple[Variable, ...]) -> Iterator[Choice]:
    """One choice for each combination of results; the first value that has it."""
    seen: set[tuple[int, ...]] = set()
    for value in values:
        results = ask(value)
        if results is None:
            continue
        key = tuple(results.values())
        if key not in seen:
            seen.add(key)
            yield Choice(value, results, opens)


def _unknown_strings(atoms: dict[int, Atom], known: Sequence[Choice]) -> list[Choice]:
    """Choices for combinations of results that a string may give although none was found."""
    strings = [choice for choice in known if isinstance(choice.value, str)]
    if not strings:
        return [Choice(UNKNOWN, dict.fromkeys(atoms, truth.ANY_TRUTH))]
    may_be = {number: _on_string(atom, strings[0].results[number]) for number, atom in atoms.items()}
    columns = [truth.truths_in(values) for values in may_be.values()]
    size = 1
    for column in columns:
        size *= len(column)
    if size > _MOST_UNKNOWN:
        return [Choice(UNKNOWN, may_be)]
    found = {tuple(choice.results[number] for number in atoms) for choice in strings}
    return [Choice(UNKNOWN, dict(zip(atoms, row, strict=True))) for row in product(*columns) if row not in found]


def _on_string(atom: Atom, example: int) -> int:
    """The results that an atom may have on strings; one on a place below has the same on all of them."""
    if example == truth.ERROR and atom.op not in ("path_within", "host_in", "cidr_in"):
        return truth.ERROR
    return _ON_STRINGS.get(atom.op, example)


def _name(place: Place) -> str:
    name = "args"
    for kind, key in place.steps:
        name += f".{key}" if kind == "key" else f"[{key if kind == 'index' else '*'}]"
    return name
