"""The record of what tests reached."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from callgate.workbench.policy_tests.coverage.items import items_of
from callgate.workbench.policy_tests.coverage.reached import reached

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from callgate.workbench.policy_tests.coverage.items import Item
    from callgate.workbench.policy_tests.coverage.reached import Reached
    from callgate.workbench.policy_tests.policies import KnownPolicy, Place, PolicySet
    from callgate.workbench.policy_tests.world import Decided

_SERVER = "srv"
"""The server of a call that names none."""


@dataclass(frozen=True)
class CoveredItem:
    """A part of a policy, and the sides of it that tests reached."""

    item: Item
    place: Place
    reached: frozenset[str]

    @property
    def missed(self) -> tuple[str, ...]:
        """The sides that count and that no test reached."""
        return tuple(side for side in self.item.sides if side not in self.reached)

    @property
    def untried(self) -> tuple[str, ...]:
        """The sides that do not count and that no test reached."""
        return tuple(side for side in self.item.others if side not in self.reached)


@dataclass(frozen=True)
class CoveredPolicy:
    """One policy."""

    known: KnownPolicy
    items: tuple[CoveredItem, ...]

    @property
    def total(self) -> int:
        """The sides that count."""
        return sum(len(covered.item.sides) for covered in self.items)

    @property
    def reached(self) -> int:
        """The sides that tests reached."""
        return self.total - sum(len(covered.missed) for covered in self.items)


@dataclass
class Coverage:
    """The policies of the tests, and the sides of their rules that tests reached."""

    _known: dict[tuple[str, object, str], KnownPolicy] = field(default_factory=dict)
    _reached: dict[str, set[Reached]] = field(default_factory=dict)
    """By version: two policies of one version have the same rules."""

    def add(self, policies: Iterable[PolicySet]) -> None:
        """Adds policies, whether tests reach them or not."""
        for one in policies:
            for known in one.known:
                self._known.setdefault((known.positions.file, known.at, known.version), known)

    def observe(self, policies: PolicySet, call: Mapping[str, object], decided: Decided) -> None:
        """Takes the steps of one decision."""
        version = decided.explanation.decision.policy_version
        known = next((known for known in policies.known if known.version == version), None)
        if known is None:
            # The caller was not admitted, or an operator stopped the call: no policy was asked.
            return
        tool, category = str(call["tool"]), None
        if policies.catalogue is not None:
            found = policies.catalogue.tool(str(call.get("server", _SERVER)), tool)
            category = None if found is None else found.category
        sides = self._reached.setdefault(version, set())
        sides.update(reached(known.policy, decided.explanation, tool, category))

    def policies(self) -> list[CoveredPolicy]:
        """Every policy, with what was reached of it."""
        return [self._covered(known) for known in self._known.values()]

    def is_under(self, percent: float) -> bool:
        """True if fewer sides than this part of a hundred were reached."""
        policies = self.policies()
        return sum(one.reached for one in policies) * 100 < percent * sum(one.total for one in policies)

    def _covered(self, known: KnownPolicy) -> CoveredPolicy:
        sides: dict[tuple[str, object], set[str]] = {}
        for kind, at, side in self._reached.get(known.version, ()):
            sides.setdefault((kind, at), set()).add(side)
        return CoveredPolicy(
            known,
            tuple(
                CoveredItem(item, _place(known, item), frozenset(sides.get((item.kind, item.at), ())))
                for item in items_of(known.policy)
            ),
        )


def _place(known: KnownPolicy, item: Item) -> Place:
    """The place of a part: the key of an entry or a field, the beginning of an element of a list."""
    return known.place(item.at, of_key=isinstance(item.at[-1], str))
