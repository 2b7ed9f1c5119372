"""The comparison of two policies."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from callgate.workbench.catalogue import CATEGORIES, RISKS
from callgate.workbench.diff.canonical_rules import entry_form
from callgate.workbench.diff.counts import Allowance, limits_of
from callgate.workbench.diff.findings import DIRECTIONS, Comparison, Difference, Unknown
from callgate.workbench.diff.judges import Judge
from callgate.workbench.diff.pairs import Found, Ground, Pair, PairComparison
from callgate.workbench.diff.sides import Side
from callgate.workbench.diff.tool_classes import ToolClass, ToolClasses, tool_classes
from callgate.workbench.witness import ABSENT, Atom, Budget
from callgate.workbench.witness.words import words_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from callgate.workbench.catalogue import Catalogue, Tool
    from callgate.workbench.rules import Entry, Pattern, Policy
    from callgate.workbench.witness import Call

_STEPS: Final = 3_000_000
"""Steps of a whole comparison."""

_CALLS: Final = 500_000
"""Calls of all sequences of a comparison."""

_STEPS_OF_PAIR: Final = 300_000
_SERVERS: Final = ("srv", "srv-2")


def compare(old: Policy, new: Policy, *, catalogue: Catalogue | None = None, server: str | None = None) -> Comparison:
    """Compares two valid policies.

    Args:
        old: The policy that was in force.
        new: The policy that is to take its place.
        catalogue: The facts about tools. Without one, a difference that depends on them says what it assumes.
        server: The one server of both; None if they may serve several.
    """
    return _Work(Side(old), Side(new), catalogue, server).result()


class _Work:
    def __init__(self, old: Side, new: Side, catalogue: Catalogue | None, server: str | None) -> None:
        self._sides = (old, new)
        self._catalogue = catalogue
        self._server = server
        self._left = _STEPS

    def result(self) -> Comparison:
        old, new = self._sides
        found = Comparison(old.policy.document.file, new.policy.document.file, self._server)
        classes = self._classes
        for pair in self._pairs(classes):
            if pair.old.form == pair.new.form and not self._counts_differ(pair):
                continue
            if self._left <= 0:
                place = new.place(("tools",), of_key=True)
                reason = "the comparison has ended before these tools, after its largest number of steps"
                found.unknown.append(Unknown(DIRECTIONS, [pair.label], reason, place))
                continue
            for one in self._comparison(pair):
                if isinstance(one, Difference):
                    found.differences.append(one)
                elif isinstance(one, Unknown):
                    found.unknown.append(one)
                elif one not in found.notes:
                    found.notes.append(one)
        if classes.unknown:
            found.unknown.append(Unknown(DIRECTIONS, ["*"], classes.unknown, new.place(("tools",), of_key=True)))
        found.differences = list(_merged(found.differences))
        found.unknown = list(_merged_unknown(found.unknown))
        return found

    @cached_property
    def _classes(self) -> ToolClasses:
        return tool_classes(*self._sides, list(self._tools))

    @cached_property
    def _tools(self) -> dict[str, tuple[str, Tool]]:
        """The tools of the catalogue by name, each with the first server that has it."""
        found: dict[str, tuple[str, Tool]] = {}
        if self._catalogue is not None:
            for server, tool in self._catalogue.tools():
                if self._server is None or server == self._server:
                    found.setdefault(tool.name, (server, tool))
        return found

    @cached_property
    def _ground(self) -> Ground:
        names = [name for one in self._classes.classes for name in one.names]
        names += [pattern.name or pattern.example() for side in self._sides for pattern in _sharing(side)]
        names = list(dict.fromkeys(names))
        old, new = (Judge(side, self._servers, names, self._catalogue) for side in self._sides)
        return Ground(
            self._sides,
            (old, new),
            is_one_server=self._server is not None,
            has_catalogue=self._catalogue is not None,
            allowance=Allowance(_CALLS),
            others=self._others,
        )

    @cached_property
    def _servers(self) -> list[str]:
        """The servers that calls may name: those of conditions and of the catalogue, and two more."""
        if self._server is not None:
            return [self._server]
        conditions = [
            Atom(one.path, one.op, one.value)
            for side in self._sides
            for entry in side.policy.entries()
            for check in entry.checks()
            for one in check.comparisons()
            if one.path.text == "server"
        ]
        words = [word for word in words_for(conditions).words if word.isprintable() and word.strip()]
        of_catalogue = [server for server, _ in self._tools.values()]
        return list(dict.fromkeys((*_SERVERS, *of_catalogue, *(words if conditions else ()))))

    def _pairs(self, classes: ToolClasses) -> Iterator[Pair]:
        for tools in classes.classes:
            yield from self._pairs_of(tools)

    def _pairs_of(self, tools: ToolClass) -> Iterator[Pair]:
        old, new = self._sides
        for category in self._categories(tools.names[0]):
            name = tools.names[0]
            yield Pair(tools, category, old.stack(name, category), new.stack(name, category))

    def _categories(self, name: str) -> list[str | None]:
        """The categories that matter for a tool: that of the catalogue; without one, all that decide something."""
        if self._catalogue is not None:
            known = self._tools.get(name)
            return [known[1].category if known else None]
        old, new = (side.policy for side in self._sides)
        found: list[str | None] = [None]
        for category in CATEGORIES:
            of_old, of_new = old.categories.get(category), new.categories.get(category)
            # Rules that are equal on both sides refuse no more calls on one side; but they are an entry where no other
            # is.
            has_entries = all(side.default == "allow" or side.entry_of(name) is not None for side in (old, new))
            is_equal = entry_form(of_old) == entry_form(of_new)
            decides = (of_old or of_new) and not (is_equal and has_entries)
            if decides or any(_asks_for_facts(entry) for side in (old, new) for entry in side.applying(name, category)):
                found.append(category)
        return found

    def _fixed(self, pair: Pair) -> dict[str, Any]:
        """The values that all calls of a pair have."""
        name = pair.tools.names[0]
        fixed: dict[str, Any] = {"tool": name, "category": pair.category or ABSENT, "server": self._servers}
        if self._catalogue is not None:
            server, tool = self._tools.get(name, (self._servers[0], None))
            fixed |= {"server": server, "risk": (tool and tool.risk) or ABSENT}
        else:
            fixed["risk"] = [ABSENT, *RISKS]
        return fixed if self._server is None else {**fixed, "server": self._server}

    def _comparison(self, pair: Pair) -> Iterator[Found]:
        budget = Budget(min(_STEPS_OF_PAIR, self._left))
        before = budget.left
        known = self._tools.get(pair.tools.names[0])
        schema = known[1].input_schema if known else None
        yield from PairComparison(self._ground, pair, self._fixed(pair), schema, budget).differences()
        self._left -= before - max(0, budget.left)

    def _counts_differ(self, pair: Pair) -> bool:
        """True if equal limits count together with other tools."""
        old, new = (
            [one.users for one in limits_of(side, stack, is_one_server=self._server is not None)]
            for side, stack in zip(self._sides, (pair.old, pair.new), strict=True)
        )
        return old != new

    def _others(self, pointers: frozenset[str]) -> list[tuple[str, Call]]:
        found = []
        for pointer in sorted(pointers):
            entry = next((one for side in self._sides for one in side.policy.entries() if one.pointer == pointer), None)
            if entry is None or entry.pattern is None:
                continue
            name = entry.pattern.name or entry.pattern.example()
            pair = next(self._pairs_of(ToolClass([name])))
            budget = Budget(_STEPS_OF_PAIR)
            calls = PairComparison(self._ground, pair, self._fixed(pair), None, budget).allowed()
            found += [(pointer, call) for call in calls[:1]]
        return found


def _sharing(side: Side) -> Iterator[Pattern]:
    """The patterns of entries that take from a count of another entry, too."""
    shared = {pointer for users in side.users.values() if len(users) > 1 for pointer in users}
    return (entry.pattern for entry in side.policy.tools if entry.pattern and entry.pointer in shared)


def _asks_for_facts(entry: Entry) -> bool:
    """True if a condition looks at the category or the risk."""
    return any(one.path.text in ("category", "risk") for check in entry.checks() for one in check.comparisons())


def _merged(differences: list[Difference]) -> Iterator[Difference]:
    """The differences, those of several tools that the same rules cause as one."""
    found: dict[Any, Difference] = {}
    for one in differences:
        # The places tell entries without a rule apart, the rules those of one place.
        key = (one.direction, one.kind, one.old, one.new, one.terms)
        known = found.setdefault(key, one)
        if known is not one and one.tools[0] not in known.tools:
            known.tools += one.tools
    yield from found.values()


def _merged_unknown(unknown: list[Unknown]) -> Iterator[Unknown]:
    found: dict[Any, Unknown] = {}
    for one in unknown:
        known = found.setdefault((one.reason, one.place), one)
        if known is not one:
            known.directions = tuple(sorted({*known.directions, *one.directions}, key=DIRECTIONS.index))
            known.tools += [tool for tool in one.tools if tool not in known.tools]
    yield from found.values()
