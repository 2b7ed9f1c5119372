"""Tests as they are run: each step with its time, its call and its expectation."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from callgate.config.document import Document
from callgate.config.faults import InvalidConfigError
from callgate.config.fields import format_instant
from callgate.config.judge import in_order, read_from, section_of
from callgate.outcome import Outcome
from callgate.text import did_you_mean, quoted
from callgate.workbench.policy_tests.model import Case, Step, Suite
from callgate.workbench.policy_tests.parts import ANY_OUTCOME, NO_SHADOW, AnswerOutcome, Call, Expectation

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from callgate.config.document import KeyPath
    from callgate.config.faults import Fault
    from callgate.workbench.policy_tests.parts import Defaults, Freeze, FreezeTarget, TermOrWord

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=timezone.utc)
_START: Final = datetime(2026, 1, 1, tzinfo=timezone.utc)
_LAST: Final = datetime(9000, 1, 1, tzinfo=timezone.utc)
_US: Final = timedelta(microseconds=1)
_GRANT: Final = "test"
_OF_CALLS: Final = ("grant", "server", "session", "labels")
"""Fields of calls that have defaults."""
LAST: Final = "last"
"""The word for the last call that was allowed."""


@dataclass(frozen=True)
class PlannedStep:
    """The number of a step in its test, its place and its time."""

    number: int
    at: KeyPath
    now_us: int

    @property
    def instant(self) -> str:
        """Its time as RFC 3339."""
        return format_instant(_EPOCH + self.now_us * _US)


@dataclass(frozen=True)
class CallStep(PlannedStep):
    """One call, or several equal ones."""

    call: Mapping[str, Any]
    """The keywords of `Engine.check`."""
    expect: Expectation | None
    """None if the decision does not matter."""
    times: int = 1
    name: str | None = None


@dataclass(frozen=True)
class AnswerStep(PlannedStep):
    """A person's answer to an approval."""

    verb: str
    """`approve`, `deny` or `permit`."""
    person: str
    groups: frozenset[str]
    reason: str
    of: str | None
    """The name of the call; None for the last one that waits."""
    expect: AnswerOutcome | None
    """None for every answer that is accepted."""
    uses: int | None = None
    duration_us: int | None = None
    terms: Mapping[str, TermOrWord] = field(default_factory=dict)


@dataclass(frozen=True)
class RollBackStep(PlannedStep):
    """The roll-back of a call that was allowed."""

    of: str


@dataclass(frozen=True)
class FreezeStep(PlannedStep):
    """A freeze."""

    freeze: Freeze


@dataclass(frozen=True)
class ThawStep(PlannedStep):
    """The end of a freeze."""

    target: FreezeTarget


@dataclass(frozen=True)
class ReloadStep(PlannedStep):
    """A change of the policy."""

    policy: str | dict[str, Any]


AnyStep: TypeAlias = CallStep | AnswerStep | RollBackStep | FreezeStep | ThawStep | ReloadStep


@dataclass(frozen=True)
class PlannedCase:
    """One test."""

    name: str
    at: KeyPath
    start_us: int
    steps: tuple[AnyStep, ...]


def read_cases(document: Document) -> tuple[Suite, list[PlannedCase]]:
    """The file of tests in a document, and its tests.

    Raises:
        InvalidConfigError: It is not valid; all that was found.
    """
    given = {key: value for key, value in document.data.items() if key != "$schema"}
    suite = read_from(Document(document.file, document.content, given), lambda data: section_of(Suite, data))
    planner = _Planner(suite, document)
    cases = [planner.case(case, index) for index, case in enumerate(suite.tests)]
    if planner.faults:
        raise InvalidConfigError(in_order(planner.faults))
    return suite, cases


class _Planner:
    """Resolves the names of one file, and collects its faults."""

    def __init__(self, suite: Suite, document: Document) -> None:
        self.faults: list[Fault] = []
        self._suite = suite
        self._document = document
        self._names: set[str] = set()
        self._start_us = self._us(suite.start or _START, ("start",))

    def case(self, case: Case, index: int) -> PlannedCase:
        """One test, with the time of each step."""
        at: KeyPath = ("tests", index)
        faults_before = len(self.faults)
        if case.name in self._names:
            self._fault((*at, "name"), f"two tests of this file have the name {quoted(case.name)}; rename one")
        self._names.add(case.name)
        start_us = self._start_us if case.start is None else self._us(case.start, (*at, "start"))
        if case.steps is None:
            only = Step.model_construct({"call", "expect"}, call=case.call, expect=case.expect, times=case.times)
            steps = [(at, only)]
        else:
            steps = [((*at, "steps", number), step) for number, step in enumerate(case.steps)]
        planned = list(self._steps(steps, start_us))
        if len(self.faults) == faults_before and not any(_expects(step) for step in planned):
            message = f"the test {quoted(case.name)} expects nothing; give a call of it `expect` with an outcome"
            self._fault(at, message)
        return PlannedCase(case.name, at, start_us, tuple(planned))

    def _steps(self, steps: list[tuple[KeyPath, Step]], now_us: int) -> Iterator[AnyStep]:
        called: set[str] = set()
        for number, (at, step) in enumerate(steps, 1):
            if step.wait is not None:
                now_us = self._bounded(now_us + step.wait // _US, (*at, "wait"))
            elif step.at is not None:
                moved_us = self._us(step.at, (*at, "at"))
                if moved_us < now_us:
                    before = format_instant(_EPOCH + now_us * _US)
                    self._fault((*at, "at"), f"time does not go back: the step before is at `{before}`")
                now_us = max(now_us, moved_us)
            else:
                yield self._step(step, PlannedStep(number, at, now_us), called)
            if step.name is not None:
                called.add(step.name)

    def _step(self, step: Step, base: PlannedStep, called: set[str]) -> AnyStep:
        common = (base.number, base.at, base.now_us)
        if step.call is not None:
            call = self._call(step.call, (*base.at, "call"))
            return CallStep(*common, call, self._expectation(step, base.at), step.times, step.name)
        if step.roll_back is not None:
            if step.roll_back != LAST:
                self._must_be_called(step.roll_back, (*base.at, "roll_back"), [*called, LAST])
            return RollBackStep(*common, step.roll_back)
        if step.freeze is not None:
            self._check_target(step.freeze, (*base.at, "freeze"))
            return FreezeStep(*common, step.freeze)
        if step.thaw is not None:
            self._check_target(step.thaw, (*base.at, "thaw"))
            return ThawStep(*common, step.thaw)
        if step.reload is not None:
            if self._suite.config is not None:
                self._fault((*base.at, "reload"), "`reload` goes with `policy`, not with `config`")
            return ReloadStep(*common, step.reload)
        return self._answer(step, base, called)

    def _answer(self, step: Step, base: PlannedStep, called: set[str]) -> AnswerStep:
        if step.of is not None:
            self._must_be_called(step.of, (*base.at, "of"), list(called))
        person = step.approve or step.deny or step.permit or ""
        known = self._suite.people
        if person not in known and known and step.groups is None:
            message = f"{quoted(person)} is not among `people`{did_you_mean(person, list(known))}"
            self._fault((*base.at, step.action), message)
        groups = known.get(person, []) if step.groups is None else step.groups
        return AnswerStep(
            base.number,
            base.at,
            base.now_us,
            verb=step.action,
            person=person,
            groups=frozenset(groups),
            reason=step.reason or "",
            of=step.of,
            expect=self._answer_outcome(step, base.at),
            uses=step.uses,
            duration_us=None if step.duration is None else step.duration // _US,
            terms=step.terms,
        )

    def _answer_outcome(self, step: Step, at: KeyPath) -> AnswerOutcome | None:
        if step.expect is None:
            return None
        words = [word.value for word in AnswerOutcome]
        if isinstance(step.expect, Expectation) or step.expect not in words:
            got = f", got {quoted(step.expect)}" if isinstance(step.expect, str) else ""
            self._fault((*at, "expect"), f"expected of an answer {', '.join(f'`{word}`' for word in words)}{got}")
            return None
        return AnswerOutcome(step.expect)

    def _expectation(self, step: Step, at: KeyPath) -> Expectation | None:
        expect, words = step.expect, [*(word.value for word in Outcome), ANY_OUTCOME]
        if expect is None:
            message = f"a call has `expect`: one of {', '.join(f'`{word}`' for word in words)}, or fields of a decision"
            self._fault((*at, "call"), message, of_key=True)
            return None
        if isinstance(expect, str):
            if expect not in words:
                self._fault((*at, "expect"), f"unknown outcome {quoted(expect)}{did_you_mean(expect, words)}")
                return None
            return None if expect == ANY_OUTCOME else Expectation(outcome=Outcome(expect))
        shadows = [*(word.value for word in Outcome), NO_SHADOW]
        if isinstance(expect.shadow, str) and expect.shadow not in shadows:
            message = f"unknown outcome {quoted(expect.shadow)}{did_you_mean(expect.shadow, shadows)}"
            self._fault((*at, "expect", "shadow"), message)
        return expect

    def _call(self, given: Call | str, at: KeyPath) -> dict[str, Any]:
        if isinstance(given, str):
            known = self._suite.calls
            if given not in known:
                self._fault(at, f"there is no call {quoted(given)} among `calls`{did_you_mean(given, list(known))}")
                return {"tool": given, "grant": _GRANT}
            call = known[given]
        else:
            call = given
        defaults = self._suite.defaults
        of = {name: value for name in _OF_CALLS if (value := _first(call, defaults, name)) is not None}
        args = call.args if call.args_json is None else call.args_json
        return {"grant": _GRANT, **of, "tool": call.tool, "args": args}

    def _check_target(self, target: FreezeTarget, at: KeyPath) -> None:
        is_pair = target.grant is not None and target.server is not None
        if is_pair or (target.tool is not None and target.server is None):
            self._fault(at, "expected no names, `server`, `grant`, or `server` and `tool`")

    def _must_be_called(self, name: str, at: KeyPath, known: list[str]) -> None:
        if name not in known:
            self._fault(at, f"no call before has the name {quoted(name)}{did_you_mean(name, sorted(known))}")

    def _us(self, instant: datetime, at: KeyPath) -> int:
        return self._bounded((instant - _EPOCH) // _US, at)

    def _bounded(self, now_us: int, at: KeyPath) -> int:
        last_us = (_LAST - _EPOCH) // _US
        if not 0 <= now_us <= last_us:
            self._fault(at, f"expected a time from 1970 to {_LAST.year}")
        return min(max(now_us, 0), last_us)

    def _fault(self, path: KeyPath, message: str, *, of_key: bool = False) -> None:
        self.faults.append(self._document.fault(path, message, of_key=of_key))


def _first(call: Call, defaults: Defaults, name: str) -> object:
    """The field of a call, else that of the defaults."""
    given = getattr(call, name)
    return getattr(defaults, name) if given is None else given


def _expects(step: AnyStep) -> bool:
    return isinstance(step, (CallStep, AnswerStep)) and step.expect is not None
