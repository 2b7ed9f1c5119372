"""A policy with a clock, and assertions about its decisions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from weakref import finalize

from callgate._callgate import Decision, Engine
from callgate.approvals.unanswered import Unanswered
from callgate.outcome import Outcome
from callgate.testing.clock import Clock

if TYPE_CHECKING:
    from os import PathLike


class PolicyUnderTest:
    """An engine whose time is `clock`, and whose counters begin empty.

    Each assertion decides one call with the keywords of `Engine.check`, takes its units if it is allowed, and returns
    the decision. Where the grant does not matter it may be left out: it is ``test``.
    """

    def __init__(
        self,
        policy: str | PathLike[str] | dict[str, Any],
        catalogue: str | PathLike[str] | dict[str, Any] | None = None,
        clock: Clock | None = None,
    ) -> None:
        """Loads the policy: a file, a folder with a file for each server, or a dict; see `Engine`.

        Raises:
            PolicyError: The policy or the catalogue has a fault.
            ConfigError: A file cannot be read.
        """
        # A call that needs an approval is told so; nobody gives one.
        queue = Unanswered().queue
        self.engine: Engine = (
            Engine.from_dict(policy, catalogue, approvals=queue)
            if isinstance(policy, dict)
            else Engine.from_file(policy, catalogue, approvals=queue)
        )
        finalize(self, queue.close)
        self.clock: Clock = clock or Clock()

    def check(self, *, tool: str, **call: Any) -> Decision:  # noqa: ANN401
        """Decides one call at the time of `clock`."""
        return self.engine.check(**self._call(tool, call))

    def assert_allowed(self, *, tool: str, **call: Any) -> Decision:  # noqa: ANN401
        """The call is allowed."""
        return self._assert(Outcome.ALLOW, None, tool, call)

    def assert_denied(self, *, tool: str, rule: str | None = None, **call: Any) -> Decision:  # noqa: ANN401
        """The call is denied, by this rule if one is given."""
        return self._assert(Outcome.DENY, rule, tool, call)

    def assert_rate_limited(self, *, tool: str, rule: str | None = None, **call: Any) -> Decision:  # noqa: ANN401
        """A limit has too little left, this one if a rule is given."""
        return self._assert(Outcome.RATE_LIMITED, rule, tool, call)

    def assert_approval_required(self, *, tool: str, rule: str | None = None, **call: Any) -> Decision:  # noqa: ANN401
        """A person must approve the call first, because of this rule if one is given."""
        return self._assert(Outcome.APPROVAL_REQUIRED, rule, tool, call)

    def _call(self, tool: str, call: dict[str, Any]) -> dict[str, Any]:
        return {"grant": None if "grant_token" in call else "test", **call, "tool": tool, "now_ms": self.clock.now_ms}

    def _assert(self, outcome: Outcome, rule: str | None, tool: str, call: dict[str, Any]) -> Decision:
        __tracebackhide__ = True  # pytest shows the line of the test
        complete = self._call(tool, call)
        # Before the units are taken: afterwards the same call may end elsewhere.
        explanation = self.engine.explain(**{name: value for name, value in complete.items() if name != "reserve"})
        decision = self.engine.check(**complete)
        if decision.outcome == outcome and rule in {None, decision.rule}:
            return decision
        wanted = outcome.value if rule is None else f"{outcome.value} by {rule}"
        given = decision.outcome.value + (f" by {decision.rule}" if decision.rule else "")
        message = f"expected {wanted}, and the decision is {given}\n{explanation}"
        raise AssertionError(message)
