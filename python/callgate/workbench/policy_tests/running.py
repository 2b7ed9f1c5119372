"""Runs of tests."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from callgate.errors import CallgateError
from callgate.outcome import Outcome
from callgate.store.model import State
from callgate.text import nearest
from callgate.workbench.policy_tests.cases import (
    LAST,
    AnswerStep,
    CallStep,
    FreezeStep,
    ReloadStep,
    RollBackStep,
    ThawStep,
)
from callgate.workbench.policy_tests.coverage.items import items_of
from callgate.workbench.policy_tests.expectations import Difference, differences
from callgate.workbench.policy_tests.parts import AnswerOutcome
from callgate.workbench.policy_tests.policies import Place
from callgate.workbench.policy_tests.world import AnswerRefusedError, World

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from callgate._callgate import Decision
    from callgate.workbench.policy_tests.cases import AnyStep, PlannedCase
    from callgate.workbench.policy_tests.policies import PolicySet
    from callgate.workbench.policy_tests.suites import LoadedSuite
    from callgate.workbench.policy_tests.world import Decided, StoreTemplate

    Observer = Callable[[PolicySet, Mapping[str, object], Decided], None]
    """Called with each decision and the policies that made it."""

_OUTCOMES = {
    State.APPROVED: AnswerOutcome.APPROVED,
    # A permit was made of it.
    State.CONSUMED: AnswerOutcome.APPROVED,
    State.PENDING: AnswerOutcome.PENDING,
    State.DENIED: AnswerOutcome.DENIED,
}


@dataclass(frozen=True)
class Failure:
    """The step that failed a test, which ends there."""

    step: int
    place: Place
    what: str
    """The step in a few words."""
    instant: str
    """The time of the test, RFC 3339."""
    differences: tuple[Difference, ...] = ()
    reason: str = ""
    """The reason if no field is compared."""
    decided: Decided | None = None


@dataclass(frozen=True)
class CaseResult:
    """The result of one test."""

    file: str
    name: str
    place: Place
    calls: int
    """Calls that were decided."""
    failure: Failure | None
    duration_s: float = field(compare=False, default=0.0)

    @property
    def has_passed(self) -> bool:
        """True if every expectation was met."""
        return self.failure is None


def run_case(suite: LoadedSuite, case: PlannedCase, stores: StoreTemplate, observe: Observer) -> CaseResult:
    """Runs one test with counters, approvals and freezes of its own."""
    began_s = time.perf_counter()
    run = _Run(suite, observe)
    failure = run.steps(case, stores)
    place = suite.place(case.at)
    return CaseResult(suite.file, case.name, place, run.calls, failure, time.perf_counter() - began_s)


class _StepError(Exception):
    """A step did not do what it should; the text is the reason."""


class _Run:
    """One test while it runs."""

    def __init__(self, suite: LoadedSuite, observe: Observer) -> None:
        self.calls = 0
        self._suite = suite
        self._observe = observe
        self._policies = suite.policies
        self._named: dict[str, Decision] = {}
        self._allowed: Decision | None = None
        self._waiting: str | None = None

    def steps(self, case: PlannedCase, stores: StoreTemplate) -> Failure | None:
        """Runs the steps up to the first that fails."""
        with World(self._suite.policies, stores, case.start_us) as world:
            for step in case.steps:
                try:
                    world.move_to(step.now_us)
                    failure = self._step(world, step)
                except (_StepError, CallgateError, ValueError) as error:
                    failure = self._failure(step, reason=str(error))
                if failure is not None:
                    return failure
        return None

    def _step(self, world: World, step: AnyStep) -> Failure | None:
        match step:
            case CallStep():
                return self._call(world, step)
            case AnswerStep():
                return self._answer(world, step)
            case RollBackStep():
                if not world.roll_back(self._allowed_call(step.of)):
                    raise _StepError("the time to roll it back is over, or it was rolled back already")
            case FreezeStep():
                world.freeze(step.freeze)
            case ThawStep():
                if not world.thaw(step.target):
                    raise _StepError("there is no freeze with these names")
            case ReloadStep():
                self._policies = self._suite.reloaded(step.policy)
                world.reload(self._policies)
        return None

    def _call(self, world: World, step: CallStep) -> Failure | None:
        for number in range(1, step.times + 1):
            decided = world.decide(step.call)
            self.calls += 1
            self._observe(self._policies, step.call, decided)
            decision = decided.decision
            self._remember(decision, step.name)
            if step.expect is None:
                continue
            if found := differences(step.expect, decision, is_last=number == step.times):
                nth = f", call {number} of {step.times}" if step.times > 1 else ""
                return self._failure(step, tuple(map(self._with_hint, found)), nth=nth, decided=decided)
        return None

    def _with_hint(self, difference: Difference) -> Difference:
        """The same with the nearest rule, if no policy has the one that is expected."""
        rule = difference.expected
        known = {item.rule for one in self._policies.known for item in items_of(one.policy)}
        if difference.field != "rule" or not rule.startswith("/") or rule in known | {f"{one}/cost" for one in known}:
            return difference
        near = nearest(rule, sorted(known))
        hint = "; no policy has the rule that is expected" + ("" if near is None else f": did you mean `{near}`?")
        return replace(difference, got=difference.got + hint)

    def _remember(self, decision: Decision, name: str | None) -> None:
        if name is not None:
            self._named[name] = decision
        if decision.outcome is Outcome.ALLOW:
            self._allowed = decision
        elif decision.outcome is Outcome.APPROVAL_REQUIRED:
            self._waiting = decision.approval

    def _answer(self, world: World, step: AnswerStep) -> Failure | None:
        approval = self._waiting if step.of is None else self._named[step.of].approval
        if approval is None:
            raise _StepError("no call before waits for an approval")
        reason = ""
        try:
            got = _OUTCOMES[world.answer(approval, step)]
        except AnswerRefusedError as error:
            got, reason = AnswerOutcome.REFUSED, str(error)
        if got is AnswerOutcome.REFUSED and step.expect is None:
            return self._failure(step, reason=f"the answer is refused: {reason}")
        if step.expect is not None and got is not step.expect:
            difference = Difference("expect", step.expect.value, f"{got.value}: {reason}" if reason else got.value)
            return self._failure(step, (difference,))
        return None

    def _allowed_call(self, name: str) -> Decision:
        decision = self._allowed if name == LAST else self._named[name]
        if decision is None or decision.outcome is not Outcome.ALLOW:
            raise _StepError("no call before was allowed" if name == LAST else "that call was not allowed")
        return decision

    def _failure(
        self,
        step: AnyStep,
        found: tuple[Difference, ...] = (),
        *,
        reason: str = "",
        nth: str = "",
        decided: Decided | None = None,
    ) -> Failure:
        what = _words(step) + nth
        return Failure(step.number, self._suite.place(step.at), what, step.instant, found, reason, decided)


def _words(step: AnyStep) -> str:
    match step:
        case CallStep():
            of = {name: step.call[name] for name in ("grant", "server", "session") if name in step.call}
            return f"call `{step.call['tool']}` ({', '.join(f'{name} `{value}`' for name, value in of.items())})"
        case AnswerStep():
            return f"{step.verb} by `{step.person}`"
        case RollBackStep():
            return f"roll back `{step.of}`"
        case FreezeStep():
            return "freeze"
        case ThawStep():
            return "thaw"
        case ReloadStep():
            return "reload"
