"""The comparison of two policies."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from callgate.workbench.catalogue import CATEGORIES
from callgate.workbench.diff.canonical_rules import entry_form
from callgate.workbench.diff.counts import Allowance, limits_of
from callgate.workbench.diff.findings import DIRECTIONS, Comparison, Difference, Unknown
from callgate.workbench.diff.judges import Judge
from callgate.workbench.diff.pairs import Found, Ground, Pair, PairComparison, never_admits
from callgate.workbench.diff.sides import Side
from callgate.workbench.diff.tool_classes import ToolClass, ToolClasses, tool_classes
from callgate.workbench.diff.tool_facts import ToolFacts, assumed, names_in, of_catalogue, servers_in
from callgate.workbench.witness import Atom, Budget, canonical
from callgate.workbench.witness.words import Words, words_for

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator

    from callgate.workbench.catalogue import Catalogue
    from callgate.workbench.rules import Comparison as Condition
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
        known = [] if self._catalogue is None else names_in(self._catalogue, self._server)
        return tool_classes(*self._sides, list(dict.fromkeys(known)))

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
            idle=self._idle,
        )

    @cached_property
    def _servers(self) -> list[str]:
        """The servers that calls may name: those of conditions and of the catalogue, and two more."""
        if self._server is not None:
            return [self._server]
        of_catalogue = [] if self._catalogue is None else servers_in(self._catalogue)
        # The name of a server is any text without NUL.
        named = [word for word in self._server_words.words if word and "\0" not in word]
        return list(dict.fromkeys((*of_catalogue, *_SERVERS, *named)))

    @cached_property
    def _server_words(self) -> Words:
        """The names of servers that conditions tell apart."""
        conditions = [
            Atom(one.path, one.op, one.value)
            for side in self._sides
            for entry in side.policy.entries()
            for one in _conditions_on("server", entry)
        ]
        return words_for(conditions) if conditions else Words((), is_complete=True)

    def _pairs(self, classes: ToolClasses) -> Iterator[Pair]:
        for tools in classes.classes:
            yield from self._pairs_of(tools)

    def _pairs_of(self, tools: ToolClass) -> Iterator[Pair]:
        name = tools.names[0]
        seen: set[Hashable] = set()
        for facts in self._facts(name):
            old, new = (side.stack(name, facts.category) for side in self._sides)
            pair = Pair(tools, facts, old, new)
            if (key := _facts_that_decide(pair)) not in seen:
                seen.add(key)
                yield pair

    def _facts(self, name: str) -> list[ToolFacts]:
        """The facts that matter for a tool: those of the catalogue; without one, all that decide something."""
        if self._catalogue is not None:
            return of_catalogue(self._catalogue, name, self._servers)
        return [assumed(category, self._servers) for category in self._categories(name)]

    def _categories(self, name: str) -> list[str | None]:
        """The categories that decide something about a tool of which no category is known."""
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

    def _comparison(self, pair: Pair) -> Iterator[Found]:
        budget = Budget(min(_STEPS_OF_PAIR, self._left))
        before = budget.left
        compared = PairComparison(self._ground, pair, budget)
        yield from compared.differences()
        if self._server is None and not self._server_words.is_complete and _asks_for(("server",), pair):
            reason = "not all names of servers that the conditions tell apart were tried"
            yield Unknown(DIRECTIONS, [pair.label], reason, compared.place)
        self._left -= before - max(0, budget.left)

    def _counts_differ(self, pair: Pair) -> bool:
        """True if equal limits count together with other tools."""
        old, new = (
            [one.users for one in limits_of(side, stack, self._idle, is_one_server=self._server is not None)]
            for side, stack in zip(self._sides, (pair.old, pair.new), strict=True)
        )
        return old != new

    @cached_property
    def _idle(self) -> frozenset[str]:
        """The entries that share a count, and to whose one tool no call goes that both policies admit."""
        names = {
            name
            for side in self._sides
            for users in side.users.values()
            if len(users) > 1
            for name, entry in side.exact.items()
            if entry.pointer in users
        }
        idle = {name for name in names if all(map(never_admits, self._pairs_of(ToolClass([name]))))}
        return frozenset(side.exact[name].pointer for side in self._sides for name in idle if name in side.exact)

    def _others(self, pointers: frozenset[str]) -> list[tuple[str, Call]]:
        found = []
        for pointer in sorted(pointers):
            entry = next((one for side in self._sides for one in side.policy.entries() if one.pointer == pointer), None)
            if entry is None or entry.pattern is None:
                continue
            name = entry.pattern.name or entry.pattern.example()
            pair = next(self._pairs_of(ToolClass([name])))
            budget = Budget(_STEPS_OF_PAIR)
            calls = PairComparison(self._ground, pair, budget).allowed()
            found += [(pointer, call) for call in calls[:1]]
        return found


def _sharing(side: Side) -> Iterator[Pattern]:
    """The patterns of entries that take from a count of another entry, too."""
    shared = {pointer for users in side.users.values() if len(users) > 1 for pointer in users}
    return (entry.pattern for entry in side.policy.tools if entry.pattern and entry.pointer in shared)


def _asks_for_facts(entry: Entry) -> bool:
    """True if a condition looks at the category or the risk."""
    return any(True for name in ("category", "risk") for _ in _conditions_on(name, entry))


def _conditions_on(path: str, entry: Entry) -> Iterator[Condition]:
    """The comparisons of an entry that look at a value."""
    return (one for check in entry.checks() for one in check.comparisons() if one.path.text == path)


def _asks_for(paths: tuple[str, ...], pair: Pair) -> bool:
    """True if a condition of a pair looks at one of these values."""
    entries = [entry for stack in (pair.old, pair.new) for entry in stack.entries]
    return any(True for entry in entries for path in paths for _ in _conditions_on(path, entry))


def _facts_that_decide(pair: Pair) -> Hashable:
    """Equal for facts under which the two policies decide alike about one tool."""
    facts = pair.facts
    takes_schema = any(entry.schema == "input" for stack in (pair.old, pair.new) for entry in stack.entries)
    return (
        pair.old.form,
        pair.new.form,
        facts.category if _asks_for(("category",), pair) else None,
        facts.risks if _asks_for(("risk",), pair) else None,
        facts.servers if _asks_for(("server",), pair) else None,
        canonical(facts.input_schema) if takes_schema else None,
        # What is counted together is known of entries, and a category has an entry.
        tuple(entry.pointer for stack in (pair.old, pair.new) for entry in stack.entries),
    )


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
