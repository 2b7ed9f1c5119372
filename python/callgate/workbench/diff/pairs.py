"""The comparison of the rules that two policies have for one tool."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, TypeAlias

from callgate.workbench.diff.counts import Allowance, Counting, limits_of, sequences_ranked_higher
from callgate.workbench.diff.findings import DIRECTIONS, Answer, Difference, Direction, Unknown, Witness
from callgate.workbench.diff.first_calls import calls_allowed, calls_ranked_higher
from callgate.workbench.diff.gates import gate_of
from callgate.workbench.diff.terms import changed_terms
from callgate.workbench.witness import CallMaker, Vocabulary

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from callgate._callgate import Decision
    from callgate.workbench.diff.counts import Counted
    from callgate.workbench.diff.dominance import CountedLimit
    from callgate.workbench.diff.gates import Gate
    from callgate.workbench.diff.judges import Judge
    from callgate.workbench.diff.sides import Side, Stack
    from callgate.workbench.diff.tool_classes import ToolClass
    from callgate.workbench.diff.tool_facts import ToolFacts
    from callgate.workbench.rules import Entry
    from callgate.workbench.witness import Budget, Call


Found: TypeAlias = "Difference | Unknown | str"
"""A difference, something that is not known, or a note."""


@dataclass(frozen=True)
class Pair:
    """The rules of both policies for one tool of which some facts hold."""

    tools: ToolClass
    facts: ToolFacts
    old: Stack
    new: Stack

    @property
    def label(self) -> str:
        """The tools, as the policies name them."""
        return self.tools.pattern or self.tools.names[0]


@dataclass(frozen=True)
class Ground:
    """The parts that all pairs of one comparison share."""

    sides: tuple[Side, Side]
    """The old one and the new one."""
    judges: tuple[Judge, Judge]
    is_one_server: bool
    has_catalogue: bool
    allowance: Allowance
    others: Callable[[frozenset[str]], list[tuple[str, Call]]]
    """Calls of tools to which the entries with these pointers apply, each with the pointer."""
    idle: frozenset[str]
    """The entries of whose tools no call is admitted by both policies."""


def never_admits(pair: Pair) -> bool:
    """True if it is plain that one of the policies denies every call."""
    return any(gate_of(stack, Vocabulary()).never_allows for stack in (pair.old, pair.new))


class PairComparison:
    """The differences of one pair, found piece by piece."""

    def __init__(self, ground: Ground, pair: Pair, budget: Budget) -> None:
        """Takes the pair, and the steps that may be taken."""
        self._ground = ground
        self._pair = pair
        self._input_schema = pair.facts.input_schema
        vocabulary = Vocabulary()
        self._gates: tuple[Gate, Gate] = (gate_of(pair.old, vocabulary), gate_of(pair.new, vocabulary))
        self._maker = CallMaker(vocabulary, {"tool": pair.tools.names[0], **pair.facts.fixed}, budget)

    def differences(self) -> Iterator[Found]:
        """Every difference, and everything that is not known."""
        yield from self._first_calls()
        yield from self._terms()
        if not any(gate.never_allows for gate in self._gates):
            yield from self._sequences()

    def allowed(self) -> list[Call]:
        """Some calls that both policies allow."""
        return calls_allowed(self._maker, (self._side(0), self._side(1)), self._input_schema)[0]

    def _side(self, number: int) -> tuple[Gate, Judge]:
        return self._gates[number], self._ground.judges[number]

    def _first_calls(self) -> Iterator[Found]:
        for direction, higher in _ordered():
            found = calls_ranked_higher(self._maker, self._side(higher), self._side(1 - higher), self._input_schema)
            for one in found.calls:
                old, new = (one.higher, one.lower) if higher == 0 else (one.lower, one.higher)
                yield self._difference(direction, "call", old, new, Witness(one.call, one.call.now_ms))
            for reason in dict.fromkeys(found.unknown):
                yield Unknown((direction,), [self._pair.label], reason, self.place)

    def _limits(self) -> tuple[list[CountedLimit], list[CountedLimit]]:
        old, new = (
            limits_of(side, stack, self._ground.idle, is_one_server=self._ground.is_one_server)
            for side, stack in zip(self._ground.sides, self._stacks, strict=True)
        )
        return old, new

    def _sequences(self) -> Iterator[Found]:
        limits = self._limits()
        if not any(limits):
            return
        calls, is_none = calls_allowed(self._maker, (self._side(0), self._side(1)), self._input_schema)
        if is_none:
            return
        countings = tuple(Counting(judge, own) for judge, own in zip(self._ground.judges, limits, strict=True))
        shared = [frozenset(pointer for one in own for pointer in one.users) for own in limits]
        others = self._ground.others(shared[0] ^ shared[1]) if shared[0] != shared[1] else []
        for direction, higher in _ordered():
            found = sequences_ranked_higher(
                countings[higher],
                countings[1 - higher],
                calls,
                others,
                self._pair.tools.names,
                self._ground.allowance,
            )
            yield from self._of_sequences(direction, higher, found)

    def _of_sequences(self, direction: Direction, higher: int, found: Counted) -> Iterator[Found]:
        for one in found.sequences:
            old, new = (one.higher, one.lower) if higher == 0 else (one.lower, one.higher)
            witness = Witness(one.call, one.now_ms, one.before)
            yield self._difference(direction, "sequence", old, new, witness)
        for limit in found.late:
            place = self._ground.sides[1 - higher].place(limit.limit.at)
            yield f"the count of this limit is not exact, and is compared as if it were (docs/counters.md): {place}"
        for limit, reason in found.unknown:
            place = self._ground.sides[1 - higher].place(limit.limit.at)
            yield Unknown((direction,), [self._pair.label], reason, place)

    def _terms(self) -> Iterator[Difference]:
        if any(gate.never_allows for gate in self._gates):
            return
        by_role = [{_role(entry): entry for entry in stack.enforced if entry.asks} for stack in self._stacks]
        if not all(by_role):
            # Decisions show that only one of them asks.
            return
        for role in dict.fromkeys((*by_role[0], *by_role[1])):
            old, new = by_role[0].get(role), by_role[1].get(role)
            changes: list[tuple[Direction, str]] = []
            if old is not None and new is not None:
                changes = list(changed_terms(old, new))
            elif new is not None:
                changes = [("stricter", f"`{new.pointer}` asks for an approval, too")]
            elif old is not None:
                changes = [("wider", f"`{old.pointer}` does not ask for an approval any more")]
            for direction in DIRECTIONS:
                if terms := tuple(text for word, text in changes if word == direction):
                    yield self._difference_of_terms(direction, old, new, terms)

    @property
    def _stacks(self) -> tuple[Stack, Stack]:
        return self._pair.old, self._pair.new

    def _difference_of_terms(
        self, direction: Direction, old: Entry | None, new: Entry | None, terms: tuple[str, ...]
    ) -> Difference:
        answers: list[Answer] = []
        for side, entry in zip(self._ground.sides, (old, new), strict=True):
            path = (*entry.at, "approval") if entry is not None else ("tools",)
            rule = f"{entry.pointer}/approval" if entry is not None else ""
            answers.append(Answer("approval_required", rule, side.place(path, of_key=True)))
        return Difference(direction, "approval terms", [self._pair.label], answers[0], answers[1], terms=terms)

    def _difference(
        self,
        direction: Direction,
        kind: Literal["call", "sequence"],
        old: Decision,
        new: Decision,
        witness: Witness,
    ) -> Difference:
        tool, category = witness.call.tool, witness.call.category
        answers = [
            _answer(side, decision, tool, category)
            for side, decision in zip(self._ground.sides, (old, new), strict=True)
        ]
        shown = replace(witness, assumption=self._assumption(witness.call))
        return Difference(direction, kind, [self._pair.label], answers[0], answers[1], witness=shown)

    def _assumption(self, call: Call) -> str:
        """The fact about the tool that decides, where no catalogue says it."""
        if self._ground.has_catalogue:
            return ""
        facts = []
        if call.category is not None:
            facts.append(f"its category is {call.category}")
        if call.risk is not None:
            facts.append(f"its risk is {call.risk}")
        if any(entry.schema == "input" for stack in self._stacks for entry in stack.enforced):
            admits = "admits" if call.fits_input else "does not admit"
            facts.append(f"its input schema {admits} these arguments")
        return " and ".join(facts)

    @property
    def place(self) -> str:
        """The place of the rules, in the new policy if it has some."""
        for side, stack in zip(reversed(self._ground.sides), reversed(self._stacks), strict=True):
            for entry in stack.entries:
                if entry.data is not None:
                    return side.place(entry.at, of_key=True)
        return self._ground.sides[1].place(("default",), of_key=True)


def _ordered() -> tuple[tuple[Direction, int], ...]:
    """Each direction with the number of the side that admits more: the new one is 1."""
    return ("wider", 1), ("stricter", 0)


def _role(entry: Entry) -> str:
    """`tools`, `categories` or `all_tools`."""
    return str(entry.at[0])


def _answer(side: Side, decision: Decision, tool: str, category: str | None) -> Answer:
    shadow = decision.shadow
    return Answer(
        outcome=decision.outcome.value,
        rule=decision.rule,
        place=side.place_of_rule(decision.rule, tool, category),
        shadow="" if shadow is None else f"{shadow.outcome} {shadow.rule}".rstrip(),
    )
