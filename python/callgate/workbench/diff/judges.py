"""Engines that judge calls under one policy, each under an assumption about the catalogue."""

from __future__ import annotations

import json
from enum import IntEnum
from typing import TYPE_CHECKING, Any, TypeAlias

from callgate._callgate import Decision, Engine
from callgate.outcome import Outcome
from callgate.workbench.catalogue import Catalogue, write_catalogue

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from callgate.workbench.diff.sides import Side
    from callgate.workbench.witness import Call

_Assumed: TypeAlias = "tuple[str | None, str | None, bool]"
"""Category, risk, and if the tool's input schema admits the arguments."""


class Rank(IntEnum):
    """The order of outcomes: the higher one admits more."""

    REFUSED = 0
    ASKED = 1
    """A person may still admit it."""
    ALLOWED = 2


def rank_of(decision: Decision) -> Rank:
    """The rank of a decision."""
    if decision.allowed:
        return Rank.ALLOWED
    # An engine without a store of approvals refuses what it would ask for.
    is_asked = decision.outcome == Outcome.APPROVAL_REQUIRED or decision.rule == "(approval store unavailable)"
    return Rank.ASKED if is_asked else Rank.REFUSED


class Judge:
    """The engines of one policy."""

    def __init__(self, side: Side, servers: Sequence[str], tools: Sequence[str], catalogue: Catalogue | None) -> None:
        """Takes the policy with the servers that it serves.

        Args:
            side: The policy.
            servers: The servers that calls may name.
            tools: The tools that calls may name.
            catalogue: The catalogue; None if there is none, so that calls assume what it would say.
        """
        self._content = side.content_for(frozenset(tools))
        self._servers = servers
        self._tools = tools
        self._catalogue: Any = None if catalogue is None else json.loads(write_catalogue(catalogue))
        # Sequences have engines of their own: first calls are decided where nothing was ever taken.
        self._engines: dict[tuple[_Assumed, bool], Engine] = {}
        self._used: set[tuple[int, str]] = set()

    def decide(self, call: Call) -> Decision:
        """The decision about a first call; nothing is taken from a limit."""
        return (
            self._engine(call, is_counting=False)
            .explain(
                tool=call.tool,
                grant=call.grant,
                args=call.args,
                server=call.server,
                session=call.session,
                labels=dict(call.labels),
                now_ms=call.now_ms,
            )
            .decision
        )

    def take(self, call: Call, now_ms: int) -> Decision:
        """The decision about a call of a sequence, which takes its units."""
        engine = self._engine(call, is_counting=True)
        asked: dict[str, Any] = {
            "tool": call.tool,
            "grant": call.grant,
            "args": call.args,
            "server": call.server,
            "session": call.session,
            "labels": dict(call.labels),
            "now_ms": now_ms,
        }
        decision = engine.check(**asked)
        if decision.rule == "(approval store unavailable)":
            decision = engine.explain(**asked).decision
        self._used |= {(id(engine), limit.counter) for limit in decision.limits}
        return decision

    def begin(self, call: Call, counters: Iterable[str], now_ms: int) -> None:
        """Empties these counts for a new sequence, if an earlier one has used them."""
        engine = self._engine(call, is_counting=True)
        for counter in set(counters):
            if (id(engine), counter) in self._used:
                engine.reset(counter=counter, policy=engine.policies[0].name, now_ms=now_ms)
                self._used.discard((id(engine), counter))

    def _engine(self, call: Call, *, is_counting: bool) -> Engine:
        assumed = (None, None, True) if self._catalogue is not None else (call.category, call.risk, call.fits_input)
        known = self._engines.get((assumed, is_counting))
        if known is None:
            known = self._engines[assumed, is_counting] = Engine.from_config(
                policies={"policy": ("policy.json", self._content)},
                servers=dict.fromkeys(self._servers, "policy"),
                catalogue=self._catalogue if self._catalogue is not None else self._assumption(*assumed),
            )
        return known

    def _assumption(self, category: str | None, risk: str | None, fits_input: bool) -> dict[str, Any]:
        facts: dict[str, Any] = {"input_schema": {} if fits_input else {"not": {}}}
        if category is not None:
            facts["category"] = category
        if risk is not None:
            facts["risk"] = risk
        tools = dict.fromkeys(self._tools, facts)
        return {"version": "1", "servers": {server: {"tools": tools} for server in self._servers}}
