"""All variables of the calls that a set of formulas looks at."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from callgate.workbench.witness.absent import ABSENT, UNKNOWN
from callgate.workbench.witness.places import tree_of
from callgate.workbench.witness.probe import Probe, moved
from callgate.workbench.witness.truth import ANY_TRUTH
from callgate.workbench.witness.variables import (
    ArgumentVariables,
    Choice,
    Variable,
    plain_variable,
    string_variable,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from callgate.workbench.witness.budget import Budget
    from callgate.workbench.witness.formulas import Atom
    from callgate.workbench.witness.variables import Ask, Results

_HOURS: Final = range(24)
_WEEKDAYS: Final = range(1, 8)


def variables_of(atoms: list[Atom], fixed: Mapping[str, Any], budget: Budget) -> list[Variable]:
    """The variables of calls, each with the values that these atoms tell apart.

    Args:
        atoms: The atoms.
        fixed: Values that are given, by path, such as `tool`; `ABSENT` for one that a call does not have. A list gives
            the values that are possible.
        budget: Bounds the values that are tried.
    """
    others: dict[str, list[int]] = {}
    for number, atom in enumerate(atoms):
        if not atom.path.is_of_arguments:
            others.setdefault(atom.path.text, []).append(number)
    tree = tree_of(atoms)
    of_arguments = tree.all_atoms()
    asked = [moved(atom) if not atom.path.is_of_arguments else atom for atom in atoms]
    probe = Probe(asked, [*others.values(), of_arguments, *(place.all_atoms() for place in tree.keys.values())])
    found = [
        _outside(name, numbers, atoms, fixed.get(name), _ask(probe, group, budget))
        for group, (name, numbers) in enumerate(others.items())
    ]
    first = len(others) + 1
    if tree.atoms or tree.indexes or tree.every is not None:
        # Conditions on the arguments as a whole: with some that are tried, but never with all.
        found.append(_whole(of_arguments, _ask(probe, len(others), budget)))
        return found
    for group, place in enumerate(tree.keys.values(), first):
        made = ArgumentVariables(atoms, _ask(probe, group, budget))
        found.append(made.of(place))
    return found


def _ask(probe: Probe, group: int, budget: Budget) -> Ask:
    def ask(arguments: Any) -> Results | None:  # noqa: ANN401  JSON
        budget.spend()
        return probe.results(group, arguments)

    return ask


def _outside(name: str, numbers: list[int], atoms: list[Atom], given: Any, ask: Ask) -> Variable:  # noqa: ANN401  a value
    """The variable of a value that no arguments hold."""

    def asked(value: Any) -> Results | None:  # noqa: ANN401  JSON
        return ask({} if value is ABSENT else {"v": value})

    if given is not None:
        return plain_variable(name, numbers, given if isinstance(given, list) else [given], asked)
    if name == "time.hour":
        return plain_variable(name, numbers, _HOURS, asked)
    if name == "time.weekday":
        return plain_variable(name, numbers, _WEEKDAYS, asked)
    is_label = name.startswith("grant.labels")
    return string_variable(
        name,
        numbers,
        [atoms[one] for one in numbers],
        asked,
        may_be_absent=is_label or name == "session",
        # An empty session is none; grants, tools and servers have names.
        may_be_empty=is_label,
    )


def _whole(numbers: list[int], ask: Ask) -> Variable:
    tried: tuple[dict[str, int], ...] = (
        {},
        {"callgate_example": 1},
        {f"callgate_example_{number}": 1 for number in range(20)},
    )
    choices = []
    for arguments in tried:
        results = ask(arguments)
        if results is not None:
            choices.append(Choice(arguments, results))
    choices.append(Choice(UNKNOWN, dict.fromkeys(numbers, ANY_TRUTH)))
    return Variable("args", (), tuple(numbers), tuple(choices))
