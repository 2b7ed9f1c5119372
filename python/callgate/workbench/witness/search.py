"""The search for calls that meet demands."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice, product
from typing import TYPE_CHECKING, Any, Final

from callgate.errors import PolicyError
from callgate.workbench.witness.absent import UNKNOWN
from callgate.workbench.witness.budget import Budget, ExhaustedError
from callgate.workbench.witness.calls import Call, call_of
from callgate.workbench.witness.formulas import atoms_of, result_of
from callgate.workbench.witness.scene import variables_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from callgate.workbench.witness.formulas import Demand, Vocabulary
    from callgate.workbench.witness.variables import Choice, Variable

_FURTHER: Final = 12
"""Solutions of one part of the demands that are combined with those of the others."""

STEPS: Final = 200_000
"""Steps of one search and of the values that it needs."""


@dataclass
class Conclusion:
    """What is known when a search has ended."""

    is_complete: bool = True
    """True if every call that meets the demands is like one of those that were found."""
    reason: str = ""
    """The reason why others may be left."""


class CallMaker:
    """Makes calls that meet demands on the conditions of one tool.

    The formulas come from a vocabulary, which must not grow afterwards:

        vocabulary = Vocabulary()
        formula = vocabulary.check(check)
        maker = CallMaker(vocabulary, {"tool": "create"})
        calls, conclusion = maker.find([Demand(formula, TRUE)])

    `calls` gives calls one by one. When it has ended, `conclusion` says if there are others: if it gave none and the
    conclusion is complete, no call meets the demands. A call is a proposal: the engine decides.
    """

    def __init__(self, vocabulary: Vocabulary, fixed: Mapping[str, Any], budget: Budget | None = None) -> None:
        """Takes the formulas' vocabulary and the values that are given, such as `tool` and `category`, by path.

        Args:
            vocabulary: The atoms.
            fixed: A value by path; `ABSENT` for one that the call does not have; a list of the possible ones.
            budget: The steps that may be taken; by default, enough for any policy that people write.
        """
        self._vocabulary = vocabulary
        self._fixed = fixed
        self._budget = budget or Budget(STEPS)
        self._variables: list[Variable] | None = None

    def find(self, demands: Sequence[Demand]) -> tuple[Iterator[Call], Conclusion]:
        """The calls that meet all of these demands, and the conclusion, which is final when the calls have ended."""
        conclusion = Conclusion()
        return self._calls(demands, conclusion), conclusion

    def _calls(self, demands: Sequence[Demand], conclusion: Conclusion) -> Iterator[Call]:
        try:
            if self._variables is None:
                self._variables = variables_of(self._vocabulary.atoms, self._fixed, self._budget)
            yield from self._found(demands, self._variables, conclusion)
        except ExhaustedError:
            conclusion.is_complete = False
            conclusion.reason = "the conditions have too many combinations to examine them all"
        except PolicyError:
            # Together they can be larger than one policy may be.
            conclusion.is_complete = False
            conclusion.reason = "the conditions are too large to examine them together"

    def _found(self, demands: Sequence[Demand], variables: list[Variable], conclusion: Conclusion) -> Iterator[Call]:
        values = [0] * len(self._vocabulary.atoms)
        for variable in variables:
            _set(values, variable.results())
        parts = _parts(demands, variables)
        found: list[list[dict[Variable, Choice]]] = []
        for part, own in parts:
            if not part:
                continue
            solutions = _solutions(part, own, values, self._budget)
            first = list(islice(solutions, _FURTHER))
            if not first:
                conclusion.is_complete, conclusion.reason = True, ""
                return
            if next(solutions, None) is not None:
                conclusion.is_complete = False
                conclusion.reason = "not all values that meet the conditions were tried"
            found.append(first)
        for chosen in _mixed(found):
            self._budget.spend()
            call = call_of(chosen, self._fixed)
            if call is not None:
                yield call
            elif (place := _unknown_place(chosen)) is not None:
                conclusion.is_complete = False
                conclusion.reason = f"no value of `{place}` is known that the conditions still leave open"


def _mixed(parts: list[list[dict[Variable, Choice]]]) -> Iterator[dict[Variable, Choice]]:
    """Combinations of the solutions of all parts."""
    for row in islice(product(*parts), _FURTHER**2):
        yield {variable: choice for one in row for variable, choice in one.items()}


def _parts(demands: Sequence[Demand], variables: list[Variable]) -> list[tuple[list[Demand], list[Variable]]]:
    """The demands in parts that share no variable, each with its variables; that of the first demand comes first."""
    owner = {atom: number for number, variable in enumerate(variables) for atom in variable.atoms}
    parts: list[tuple[list[Demand], set[int]]] = []
    for demand in demands:
        used = {owner[atom] for atom in atoms_of(demand.formula) if atom in owner}
        joined = [one for one in parts if one[1] & used or (not one[1] and not used)]
        rest = [one for one in parts if one not in joined]
        mine = ([one for part, _ in joined for one in part] + [demand], used.union(*(own for _, own in joined)))
        parts = [mine, *rest] if joined and joined[0] is parts[0] else [*rest, mine]
    return [(part, [variables[one] for one in sorted(own)]) for part, own in parts]


def _solutions(
    demands: list[Demand], variables: list[Variable], start: list[int], budget: Budget
) -> Iterator[dict[Variable, Choice]]:
    """The choices that meet demands. Those that leave a demand open contain a value that is not known."""
    values = list(start)
    chosen: dict[Variable, Choice] = {}

    def search(open_: list[Variable]) -> Iterator[dict[Variable, Choice]]:
        undecided: Demand | None = None
        for demand in demands:
            budget.spend()
            result = result_of(demand.formula, values)
            if not result & demand.wanted:
                return
            if undecided is None and result & ~demand.wanted:
                undecided = demand
        if undecided is None:
            yield dict(chosen)
            return
        looked = set(atoms_of(undecided.formula))
        variable = next((one for one in open_ if looked.intersection(one.atoms)), None)
        if variable is None:
            yield dict(chosen)
            return
        others = [one for one in open_ if one is not variable]
        before = [(atom, values[atom]) for atom in variable.atoms]
        for choice in variable.choices:
            for opened in choice.opens:
                _set(values, opened.results())
            _set(values, choice.results)
            chosen[variable] = choice
            yield from search([*choice.opens, *others])
        del chosen[variable]
        for atom, value in before:
            values[atom] = value

    yield from search(variables)


def _set(values: list[int], results: Mapping[int, int]) -> None:
    for atom, result in results.items():
        values[atom] = result


def _unknown_place(chosen: Mapping[Variable, Choice]) -> str | None:
    return next((variable.name for variable, choice in chosen.items() if choice.value is UNKNOWN), None)
