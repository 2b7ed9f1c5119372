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
        self._side = side
        self._content = side.content_for(frozenset(tools))
        self._servers = servers
        self._tools = tools
        self._catalogue: Any = None if catalogue is None else json.loads(write_catalogue(catalogue))
        # First calls are decided where nothing is ever taken.
        self._engines: dict[_Assumed, Engine] = {}
        self._running: Engine | None = None

    def decide(self, call: Call) -> Decision:
        """The decision about a first call; nothing is taken from a limit."""
        return (
            self._engine(call)
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
        engine = self._running
        if engine is None:
            message = "a sequence begins with `begin`"
            raise RuntimeError(message)
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
        return decision

    def begin(self, call: Call, tools: Iterable[str]) -> None:
        """Begins a sequence of calls of these tools, under what a call assumes; nothing is taken from any limit.

        The engine is a new one: the clock of one that has decided calls never goes back.
        """
        assumed = self._assumed(call)
        names = frozenset(tools)
        self._running = self._made(assumed, self._side.content_for(names), names)

    def _engine(self, call: Call) -> Engine:
        assumed = self._assumed(call)
        known = self._engines.get(assumed)
        if known is None:
            known = self._engines[assumed] = self._made(assumed, self._content, self._tools)
        return known

    def _assumed(self, call: Call) -> _Assumed:
        return (None, None, True) if self._catalogue is not None else (call.category, call.risk, call.fits_input)

    def _made(self, assumed: _Assumed, content: bytes, tools: Iterable[str]) -> Engine:
        return Engine.from_config(
            # A need is compared as it is; nobody is asked.
            approvals=None,
            policies={"policy": ("policy.json", content)},
            servers=dict.fromkeys(self._servers, "policy"),
            catalogue=self._known(frozenset(tools))
            if self._catalogue is not None
            else self._assumption(*assumed, tools),
        )

    def _known(self, names: frozenset[str]) -> dict[str, Any]:
        """The catalogue with these tools alone."""
        servers = {
            name: {**server, "tools": {tool: facts for tool, facts in server.get("tools", {}).items() if tool in names}}
            for name, server in self._catalogue["servers"].items()
        }
        overrides = {
            name: {tool: facts for tool, facts in tools.items() if tool in names}
            for name, tools in self._catalogue.get("overrides", {}).items()
        }
        return {**self._catalogue, "servers": servers, **({"overrides": overrides} if overrides else {})}

    def _assumption(
        self, category: str | None, risk: str | None, fits_input: bool, names: Iterable[str]
    ) -> dict[str, Any]:
        facts: dict[str, Any] = {"input_schema": {} if fits_input else {"not": {}}}
        if category is not None:
            facts["category"] = category
        if risk is not None:
            facts["risk"] = risk
        tools = dict.fromkeys(names, facts)
        return {"version": "1", "servers": {server: {"tools": tools} for server in self._servers}}
