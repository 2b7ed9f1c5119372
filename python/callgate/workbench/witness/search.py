"""The search for calls that meet demands."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice, product
from typing import TYPE_CHECKING, Any, Final

from callgate.errors import PolicyError
from callgate.workbench.witness import truth
from callgate.workbench.witness.absent import UNKNOWN
from callgate.workbench.witness.budget import Budget, ExhaustedError
from callgate.workbench.witness.calls import Call, call_of
from callgate.workbench.witness.formulas import ALWAYS, Demand, Junction, Negation, atoms_of, result_of
from callgate.workbench.witness.scene import variables_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from callgate.workbench.witness.formulas import Vocabulary
    from callgate.workbench.witness.variables import Choice, Variable

_FURTHER: Final = 12
"""Solutions of one part of the demands that are combined with those of the others."""

_FEW: Final = 3
"""The same for parts that do not hold the first demand."""

_FAILED: Final = Demand(ALWAYS, 0)
"""Stands for a demand that no choice can meet any more."""

STEPS: Final = 200_000
"""Steps of one search and of the values that it needs."""


@dataclass
class Conclusion:
    """The completeness of a search that has ended."""

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

    def with_budget(self, budget: Budget) -> CallMaker:
        """Another maker of the same calls, with steps of its own; what was learned of the values stays."""
        other = CallMaker(self._vocabulary, self._fixed, budget)
        other._variables = self._variables
        return other

    def find(self, demands: Sequence[Demand]) -> tuple[Iterator[Call], Conclusion]:
        """The calls that meet all of these demands, and the conclusion, which is final when the calls have ended."""
        conclusion = Conclusion()
        return self._calls(demands, conclusion), conclusion

    def _calls(self, demands: Sequence[Demand], conclusion: Conclusion) -> Iterator[Call]:
        try:
            self._budget.spend()
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
        split = [one for demand in demands for one in _split(demand)]
        self._budget.spend(len(split) + sum(len(variable.choices) for variable in variables))
        limited = _limited(split, variables, values)
        for variable in limited:
            _set(values, variable.results())
        parts = _parts(split, limited)
        found: list[list[dict[Variable, Choice]]] = []
        for part, own in parts:
            if not part:
                continue
            narrowed = [one for one in own if one not in variables]
            solutions = (_filled(one, narrowed) for one in _solutions(part, own, values, self._budget))
            first = list(islice(solutions, _FURTHER if part[0] is split[0] else _FEW))
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


def _filled(chosen: dict[Variable, Choice], narrowed: Sequence[Variable]) -> dict[Variable, Choice]:
    """The solution with a choice for each variable that lost some: not every value of it would do."""
    return {**{one: one.choices[0] for one in narrowed}, **chosen}


def _limited(demands: Sequence[Demand], variables: list[Variable], values: list[int]) -> list[Variable]:
    """The variables without the choices that a demand on one variable alone excludes."""
    owner = {atom: number for number, variable in enumerate(variables) for atom in variable.atoms}
    own: dict[int, list[Demand]] = {}
    for demand in demands:
        used = {owner[atom] for atom in atoms_of(demand.formula) if atom in owner}
        if len(used) == 1:
            own.setdefault(used.pop(), []).append(demand)
    found = list(variables)
    for number, demanded in own.items():

        def is_possible(results: Mapping[int, int], demanded: list[Demand] = demanded) -> bool:
            _set(values, results)
            return all(result_of(one.formula, values) & one.wanted for one in demanded)

        narrowed = variables[number].limited(is_possible)
        if len(narrowed.choices) < len(variables[number].choices):
            found[number] = narrowed
    return found


def _mixed(parts: list[list[dict[Variable, Choice]]]) -> Iterator[dict[Variable, Choice]]:
    """Combinations of the solutions of all parts."""
    for row in islice(product(*parts), _FURTHER**2):
        yield {variable: choice for one in row for variable, choice in one.items()}


def _parts(demands: Sequence[Demand], variables: list[Variable]) -> list[tuple[list[Demand], list[Variable]]]:
    """The demands in parts that share no variable, each with its variables; that of the first demand comes first."""
    owner = {atom: number for number, variable in enumerate(variables) for atom in variable.atoms}
    # A variable leads to another one of its part, and in the end to the one that stands for all of them.
    leads = list(range(len(variables)))

    def representative(number: int) -> int:
        while leads[number] != number:
            leads[number] = number = leads[leads[number]]
        return number

    used = [sorted({owner[atom] for atom in atoms_of(demand.formula) if atom in owner}) for demand in demands]
    for first, *others in filter(None, used):
        for other in others:
            leads[representative(other)] = representative(first)
    parts: dict[int, list[Demand]] = {}
    for demand, numbers in zip(demands, used, strict=True):
        # Demands without a variable are a part of their own.
        parts.setdefault(representative(numbers[0]) if numbers else -1, []).append(demand)
    members: dict[int, list[Variable]] = {}
    for number, variable in enumerate(variables):
        members.setdefault(representative(number), []).append(variable)
    return [(part, members.get(number, [])) for number, part in parts.items()]


def _split(demand: Demand) -> Iterator[Demand]:
    """The demand as several ones, as far as each part of its formula has to meet it by itself."""
    wanted = demand.wanted
    match demand.formula:
        case Negation(part):
            yield from _split(Demand(part, truth.negated(wanted)))
        case Junction(is_all, parts) if parts and (truth.is_upper(wanted) if is_all else truth.is_lower(wanted)):
            for part in parts:
                yield from _split(Demand(part, wanted))
        case _:
            yield demand


@dataclass
class _Level:
    """One variable that is being chosen."""

    variable: Variable
    choices: Iterator[Choice]
    open: list[Variable]
    """The variables that are left."""
    before: list[tuple[int, int]]
    """The truth values of the variable's atoms before it."""


def _solutions(
    demands: list[Demand], variables: list[Variable], start: list[int], budget: Budget
) -> Iterator[dict[Variable, Choice]]:
    """The choices that meet demands. Those that leave a demand open contain a value that is not known."""
    values = list(start)
    chosen: dict[Variable, Choice] = {}
    levels: list[_Level] = []
    open_: list[Variable] = list(variables)
    looked = {id(demand): frozenset(atoms_of(demand.formula)) for demand in demands}
    while True:
        state = _undecided(demands, values, looked, budget)
        if state is not _FAILED:
            wanted: frozenset[int] = frozenset() if state is None else looked[id(state)]
            variable = next((one for one in open_ if not wanted.isdisjoint(one.atoms)), None)
            if variable is None:
                yield dict(chosen)
            else:
                left = [one for one in open_ if one is not variable]
                before = [(atom, values[atom]) for atom in variable.atoms]
                levels.append(_Level(variable, iter(variable.choices), left, before))
        # The next choice of the innermost variable that has one.
        while levels:
            level = levels[-1]
            choice = next(level.choices, None)
            if choice is not None:
                for opened in choice.opens:
                    _set(values, opened.results())
                _set(values, choice.results)
                chosen[level.variable] = choice
                open_ = [*choice.opens, *level.open]
                break
            levels.pop()
            chosen.pop(level.variable, None)
            for atom, value in level.before:
                values[atom] = value
        else:
            return


def _undecided(
    demands: list[Demand], values: list[int], looked: Mapping[int, frozenset[int]], budget: Budget
) -> Demand | None:
    """The first demand that is open; None if all are met, `_FAILED` if one cannot be."""
    found: Demand | None = None
    for demand in demands:
        budget.spend(1 + len(looked[id(demand)]) // 4)
        result = result_of(demand.formula, values)
        if not result & demand.wanted:
            return _FAILED
        if found is None and result & ~demand.wanted:
            found = demand
    return found


def _set(values: list[int], results: Mapping[int, int]) -> None:
    for atom, result in results.items():
        values[atom] = result


def _unknown_place(chosen: Mapping[Variable, Choice]) -> str | None:
    return next((variable.name for variable, choice in chosen.items() if choice.value is UNKNOWN), None)
