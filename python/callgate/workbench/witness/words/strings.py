"""Strings that the conditions on one value tell apart."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from callgate.workbench.witness.canonical import Canonical, canonical
from callgate.workbench.witness.fresh import fresh_text, other_text
from callgate.workbench.witness.words.automaton import Automaton, Length, OneOf, literal, surrounded
from callgate.workbench.witness.words.special import folders, hosts, networks
from callgate.workbench.witness.words.syntax import UnsupportedSyntaxError, parse_expression
from callgate.workbench.witness.words.walk import walk

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from callgate.workbench.witness.formulas import Atom
    from callgate.workbench.witness.words.automaton import Reader

_LONGEST_COUNTED: Final = 80
"""Characters up to which an automaton counts; longer strings are made by filling up."""

_LONGEST_MADE: Final = 100_000

_SPECIAL: Final = {"path_within": folders, "host_in": hosts, "cidr_in": networks}

_SINGLE: Final = frozenset({"eq", "neq", "in", "not_in"})
"""Operators that compare with single values."""

_EXACT: Final = _SINGLE | {"exists"}


@dataclass(frozen=True)
class Words:
    """Strings to try for one value."""

    words: tuple[str, ...]
    is_complete: bool
    """True if every other string gives the same results as one of them."""


@dataclass(frozen=True)
class _Condition:
    """An operator with its value, hashable by its canonical form."""

    op: str
    form: Canonical
    value: Any = field(compare=False)


def words_for(atoms: Sequence[Atom]) -> Words:
    """The strings that these conditions on one value tell apart."""
    return _words(tuple(_Condition(atom.op, canonical(atom.value), atom.value) for atom in atoms))


# Many tools have the same conditions.
@lru_cache(maxsize=1_024)
def _words(conditions: tuple[_Condition, ...]) -> Words:
    readers: list[Reader] = []
    is_regular = True
    found: dict[str, None] = {}
    special: set[str] = set()
    fresh = fresh_text(one.value for one in conditions)
    single = {text for one in conditions if one.op in _SINGLE for text in _texts(one.op, one.value)}
    for one in conditions:
        if one.op in _SPECIAL:
            special.add(one.op)
            found.update(dict.fromkeys(_SPECIAL[one.op](_list(one.value), fresh, single)))
        elif one.op in _SINGLE:
            found.update(dict.fromkeys(_texts(one.op, one.value)))
        made, is_all = reader_of(one.op, one.value)
        is_regular = is_regular and is_all
        readers += made
    walked = walk(readers)
    found.update(dict.fromkeys(walked.words.values()))
    found.update(dict.fromkeys(_joined(conditions)))
    found.update(dict.fromkeys(_filled(conditions, list(found), single)))
    found.update(dict.fromkeys([fresh] if single else []))
    is_regular = is_regular and walked.is_complete
    if all(one.op in _EXACT or one.op.startswith("len_") for one in conditions):
        # Strings of each length that matters are made, whatever it is.
        is_regular = all(one.value <= _LONGEST_MADE for one in conditions if one.op.startswith("len_"))
    if special:
        # Values of one special kind, beside single values: each region of the kind has a candidate that is none of the
        # single values.
        others = {one.op for one in conditions} - special
        is_regular = len(special) == 1 and others <= _EXACT
    return Words(tuple(found), is_regular)


def reader_of(op: str, value: Any) -> tuple[list[Reader], bool]:  # noqa: ANN401, PLR0911  JSON, one return for each kind
    """The automata of an operator on strings, none if it tells no strings apart by itself; and if they say all."""
    match op.removeprefix("not_"):
        case "eq" | "neq" | "in":
            return [OneOf(_texts(op, value))], True
        case "starts_with":
            return _literal(value, before=False, after=True)
        case "ends_with":
            return _literal(value, before=True, after=False)
        case "contains" if isinstance(value, str):
            return _literal(value, before=True, after=True)
        case "regex":
            return _expression(value)
        case "len_lt" | "len_gte":
            return _length(value)
        case "len_lte" | "len_gt":
            return _length(value + 1)
        case _:
            return [], True


def _literal(text: str, *, before: bool, after: bool) -> tuple[list[Reader], bool]:
    try:
        return [Automaton(surrounded(literal(text), before=before, after=after))], True
    except UnsupportedSyntaxError:
        return [], False


def _expression(text: str) -> tuple[list[Reader], bool]:
    try:
        expression = parse_expression(text)
        return [Automaton(surrounded(expression.node, before=True, after=True))], expression.is_exact
    except (UnsupportedSyntaxError, ValueError, IndexError):
        return [], False


def _length(least: int) -> tuple[list[Reader], bool]:
    if least <= 0:
        return [], True
    return ([Length(int(least))], True) if least <= _LONGEST_COUNTED else ([], False)


def _joined(conditions: Iterable[_Condition]) -> Iterable[str]:
    """Strings with all parts that conditions ask for, and with all but one: there may be too many to walk through."""
    parts = {"starts_with": [""], "contains": list[str](), "ends_with": [""]}
    for one in conditions:
        known = parts.get(one.op.removeprefix("not_"))
        if known is not None and isinstance(one.value, str):
            known.append(one.value)
    if len(parts["contains"]) > 1:
        middles = [
            parts["contains"],
            *(_without(parts["contains"], number) for number in range(len(parts["contains"]))),
        ]
        for middle in middles:
            yield " ".join((parts["starts_with"][-1], *middle, parts["ends_with"][-1])).strip()


def _without(parts: list[str], number: int) -> list[str]:
    return [*parts[:number], *parts[number + 1 :]]


def _filled(conditions: Iterable[_Condition], short: list[str], single: set[str]) -> Iterable[str]:
    """Strings around the lengths that matter: one that is no single value, and long ones that begin with another."""
    for one in conditions:
        if not one.op.startswith("len_") or one.value > _LONGEST_MADE:
            continue
        for length in (int(one.value) + more for more in (-1, 0, 1)):
            if length > _LONGEST_COUNTED:
                yield from (word.ljust(length, "x") for word in short[:4] or [""])
            if length >= 0:
                yield other_text(length, single)


def _texts(op: str, value: Any) -> list[str]:  # noqa: ANN401  JSON
    values = _list(value) if op in ("in", "not_in") else [value]
    return [one for one in values if isinstance(one, str)]


def _list(value: Any) -> list[Any]:  # noqa: ANN401  JSON
    return value if isinstance(value, list) else [value]
