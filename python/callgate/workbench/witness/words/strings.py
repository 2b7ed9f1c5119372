"""Strings that the conditions on one value tell apart."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from callgate.workbench.witness.words.automaton import Automaton, Length, literal, one_of, surrounded
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

_EXACT: Final = frozenset({"eq", "neq", "in", "not_in", "exists"})


@dataclass(frozen=True)
class Words:
    """Strings to try for one value."""

    words: tuple[str, ...]
    is_complete: bool
    """True if every other string gives the same results as one of them."""


def words_for(atoms: Sequence[Atom]) -> Words:
    """The strings that these conditions on one value tell apart."""
    readers: list[Reader] = []
    is_regular = True
    found: dict[str, None] = {}
    special: set[str] = set()
    for atom in atoms:
        if atom.op in _SPECIAL:
            special.add(atom.op)
            found.update(dict.fromkeys(_SPECIAL[atom.op](_list(atom.value))))
        elif atom.op in ("eq", "neq", "in", "not_in"):
            found.update(dict.fromkeys(_texts(atom.op, atom.value)))
        made, is_all = reader_of(atom.op, atom.value)
        is_regular = is_regular and is_all
        readers += made
    walked = walk(readers)
    found.update(dict.fromkeys(walked.words.values()))
    found.update(dict.fromkeys(_filled(atoms, list(found))))
    is_regular = is_regular and walked.is_complete
    if special:
        # Values of one special kind, beside single values: each of these regions has one of its own candidates.
        others = {atom.op for atom in atoms} - special
        is_regular = len(special) == 1 and others <= _EXACT
    return Words(tuple(found), is_regular)


def reader_of(op: str, value: Any) -> tuple[list[Reader], bool]:  # noqa: ANN401  JSON
    """The automata of an operator on strings, none if it tells no strings apart by itself; and if they say all."""
    match op.removeprefix("not_"):
        case "eq" | "neq" | "in":
            return [Automaton(one_of(iter(_texts(op, value))))], True
        case "starts_with":
            return [Automaton(surrounded(literal(value), before=False, after=True))], True
        case "ends_with":
            return [Automaton(surrounded(literal(value), before=True, after=False))], True
        case "contains" if isinstance(value, str):
            return [Automaton(surrounded(literal(value), before=True, after=True))], True
        case "regex":
            return _expression(value)
        case "len_lt" | "len_gte":
            return _length(value)
        case "len_lte" | "len_gt":
            return _length(value + 1)
        case _:
            return [], True


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


def _filled(atoms: Iterable[Atom], short: list[str]) -> Iterable[str]:
    """Long strings around the lengths that are not counted, each beginning with one of the others."""
    for atom in atoms:
        if atom.op.startswith("len_") and _LONGEST_COUNTED < atom.value <= _LONGEST_MADE:
            for length in (atom.value - 1, atom.value, atom.value + 1):
                yield from (word.ljust(int(length), "x") for word in short[:4] or [""])


def _texts(op: str, value: Any) -> list[str]:  # noqa: ANN401  JSON
    values = _list(value) if op in ("in", "not_in") else [value]
    return [one for one in values if isinstance(one, str)]


def _list(value: Any) -> list[Any]:  # noqa: ANN401  JSON
    return value if isinstance(value, list) else [value]
