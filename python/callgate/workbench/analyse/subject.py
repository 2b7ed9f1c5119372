"""The policy under analysis, with engines that decide calls under it."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from callgate._callgate import Decision, Engine
from callgate.config.engine_form import engine_form
from callgate.outcome import Outcome
from callgate.workbench.analyse.names import names_without
from callgate.workbench.catalogue import CATEGORIES, RISKS, Catalogue, CatalogueServer, Tool, write_catalogue
from callgate.workbench.rules import Pattern
from callgate.workbench.witness import Call
from callgate.workbench.witness.calls import EXAMPLE_TOOL

if TYPE_CHECKING:
    from callgate.workbench.rules import Entry, Policy

_DEFAULT_SERVER: Final = "srv"
_MOST_SERVERS: Final = 50
_MOST_ENGINES: Final = 20
_SPACING_MS: Final = 58 * 7 * 24 * 3_600_000
"""Time between two series of calls: more than the longest window, and whole weeks, so that `time.*` stays."""


@dataclass
class Subject:
    """A policy, the servers that it serves, and what is known of their tools."""

    policy: Policy
    servers: tuple[str, ...] = (_DEFAULT_SERVER,)
    catalogue: Catalogue | None = None
    """None if there is none: then nothing is known of the tools."""
    _engines: dict[tuple[str | None, str | None, str, str], Engine] = field(default_factory=dict)
    _base: dict[bool, Engine] = field(default_factory=dict)
    _series: int = 0

    def __post_init__(self) -> None:
        """Collects the servers and tools."""
        named = [
            value
            for entry in self.policy.entries()
            for check in entry.checks()
            for one in check.comparisons()
            if one.path.root == "server"
            for value in (one.value if isinstance(one.value, list) else [one.value])
            if isinstance(value, str)
        ]
        self._known_servers = tuple(dict.fromkeys((*self.servers, *named[:_MOST_SERVERS])))
        self.listed: list[tuple[str, Tool]] = []
        """The catalogue's tools of these servers, each with its server."""
        if self.catalogue is not None:
            self.listed += (one for one in self.catalogue.tools() if one[0] in self.servers)
        self.tools: dict[str, tuple[str, Tool]] = {}
        """The same by name; of several servers with one name, the first one stands for all as an example."""
        for server, tool in self.listed:
            self.tools.setdefault(tool.name, (server, tool))

    def tool_of(self, entry: Entry) -> str | None:
        """A name to which an entry applies and that is not hidden, of the catalogue if possible; None if unknown."""
        if entry.pattern is None:
            return self._tool_beside(entry)
        for name in self.tools:
            if entry.pattern.matches(name) and self._applies(entry, name):
                return name
        exact = entry.pattern.name
        names = (exact,) if exact is not None else (entry.pattern.example(), entry.pattern.example("example"))
        for name in names:
            if self._applies(entry, name):
                return name
        if exact is not None:
            return None
        found = names_without(entry.pattern, self.rivals(entry)).example
        return found if found is not None and self._applies(entry, found) else None

    def rivals(self, entry: Entry) -> list[Pattern]:
        """The patterns that take names away from an entry: of entries that win, and of `hide`."""
        own = entry.pattern
        if own is None or own.name is not None:
            return list(self.hide)
        found = []
        is_before = True
        for other in self.policy.tools:
            if other is entry:
                is_before = False
            elif other.pattern is None:
                continue
            elif other.pattern.name is not None:
                if own.matches(other.pattern.name):
                    found.append(other.pattern)
            elif other.pattern.literal_length > own.literal_length or (
                is_before and other.pattern.literal_length == own.literal_length
            ):
                found.append(other.pattern)
        # Wide patterns take more names away, so they come first where not all can be looked at.
        found.sort(key=lambda one: (one.name is not None, one.literal_length))
        return [*self.hide, *found]

    def _applies(self, entry: Entry, name: str) -> bool:
        return bool(name) and self.policy.entry_of(name) is entry and not self._is_hidden(name)

    @property
    def hide(self) -> tuple[Pattern, ...]:
        """The patterns of tools that cannot be called; in shadow, hidden ones can."""
        return self.policy.hide if self.policy.mode == "enforce" else ()

    def _is_hidden(self, name: str) -> bool:
        return self.policy.mode == "enforce" and self.policy.is_hidden(name, self.category_of(name))

    def _tool_beside(self, entry: Entry) -> str | None:
        """A tool for the rules of a category, or of all tools."""
        is_category = entry.at[0] == "categories"
        for name in self.tools:
            if not self._is_hidden(name) and (not is_category or self.category_of(name) == entry.key):
                return name
        if is_category and self.tools:
            return None
        free = EXAMPLE_TOOL
        if (is_category or self.policy.default == "allow") and not self._is_hidden(free):
            return free
        names = (one.pattern.example() for one in self.policy.tools if one.action != "deny" and one.pattern is not None)
        return next((name for name in names if not self._is_hidden(name)), None)

    def category_of(self, name: str) -> str | None:
        """The category of a tool of the catalogue."""
        return self.tools[name][1].category if name in self.tools else None

    def call(self, entry: Entry, tool: str, made: Call | None = None) -> Call:
        """A call of a tool under an entry, with everything else as in another call."""
        made = made if made is not None else Call(tool)
        if tool in self.tools:
            server, known = self.tools[tool]
            return replace(made, tool=tool, server=server, category=known.category, risk=known.risk)
        category = entry.key if entry.at[0] == "categories" else made.category
        return replace(made, tool=tool, category=category, server=made.server or self.servers[0])

    def call_at(self, server: str, tool: Tool, made: Call) -> Call:
        """A call of a tool at one of its servers, with everything else as in another call."""
        return replace(made, tool=tool.name, server=server, category=tool.category, risk=tool.risk)

    def decide(self, call: Call) -> Decision | None:
        """The decision about a call before which nothing was taken; None if no engine can be had for it."""
        engine = self._engine(call)
        return None if engine is None else engine.explain(**asked(call)).decision

    def series(self) -> Series:
        """Starts calls that take their units, at a time at which all counts are free."""
        self._series += 1
        return Series(self, self._series * _SPACING_MS)

    def _engine(self, call: Call, *, is_counting: bool = False) -> Engine | None:
        server, known = self.tools.get(call.tool, (None, None))
        facts = (known.category, known.risk) if known is not None and server == call.server else (None, None)
        if (call.category, call.risk) == facts:
            if is_counting not in self._base:
                self._base[is_counting] = self._made(self.catalogue)
            return self._base[is_counting]
        key = (call.category, call.risk, call.server, call.tool)
        if key not in self._engines:
            if len(self._engines) >= _MOST_ENGINES:
                return None
            tool = Tool(
                call.tool,
                category=next((one for one in CATEGORIES if one == call.category), None),
                risk=next((one for one in RISKS if one == call.risk), None),
            )
            self._engines[key] = self._made(Catalogue({call.server: CatalogueServer({call.tool: tool})}))
        return self._engines[key]

    def _made(self, catalogue: Catalogue | None) -> Engine:
        form = engine_form(self.policy.document.file, self.policy.document.content)
        facts: dict[str, Any] | None = None if catalogue is None else json.loads(write_catalogue(catalogue))
        names = {*self._known_servers, _DEFAULT_SERVER, *(catalogue.servers if catalogue is not None else ())}
        return Engine.from_config(
            # A need is compared as it is; nobody is asked.
            approvals=None,
            policies={"policy": (form.file, form.content)},
            servers=dict.fromkeys(sorted(names), "policy"),
            catalogue=facts,
            counter_capacity=65_536,
        )


class Series:
    """Calls of one moment that take their units, in an engine where nothing of them was taken before."""

    def __init__(self, subject: Subject, after_ms: int) -> None:
        """Takes the time between the call's own time and that of the series."""
        self._subject = subject
        self._after_ms = after_ms

    def take(self, call: Call) -> Decision | None:
        """Decides a call and takes its units; None if no engine can be had for it."""
        engine = self._subject._engine(call, is_counting=True)  # noqa: SLF001  its own series
        if engine is None:
            return None
        return engine.check(**asked(replace(call, now_ms=call.now_ms + self._after_ms)))


def passes(decision: Decision | None) -> bool:
    """True if no rule denies the call: it is allowed, or a person may allow it."""
    return decision is not None and (decision.allowed or decision.outcome == Outcome.APPROVAL_REQUIRED)


def asked(call: Call) -> dict[str, Any]:
    """The arguments with which an engine is asked about a call."""
    return {
        "tool": call.tool,
        "grant": call.grant,
        "args": dict(call.args),
        "server": call.server,
        "session": call.session,
        "labels": dict(call.labels),
        "now_ms": call.now_ms,
    }
