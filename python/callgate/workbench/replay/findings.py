"""What a replay has found: changes by tool, direction and rule, with examples, and what cannot be judged."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

    from callgate._callgate import ReplayedLine
    from callgate.config.faults import Fault
    from callgate.workbench.log_files import Line

UNKNOWN: Final = "unknown"
"""The direction of calls that cannot be judged."""
DIRECTIONS: Final = ("permissive", "stricter", "other", UNKNOWN)
"""The directions, in the order of reports."""

_GAP: Final = "kind gap"
"""The note of a line that stands for decisions that were not logged."""

_MOST_GROUPS: Final = 2_000
"""Groups of one report: callers choose names of tools."""
_MOST_EXAMPLES: Final = 5
_MOST_DAMAGED: Final = 10
_MOST_POLICIES: Final = 20


class Answer(NamedTuple):
    """An outcome and its rule pointer."""

    outcome: str
    rule: str


class Reason(NamedTuple):
    """A reason for which calls cannot be judged: its kind, and a path, a rule or a name."""

    kind: str
    subject: str


class Example(NamedTuple):
    """One call, by its place in the log."""

    file: str
    line: int
    decided_at_us: int
    grant: str


class GroupKey(NamedTuple):
    """The calls of a group have all of this in common."""

    direction: str
    server: str
    tool: str
    old: Answer
    was_approved: bool
    new: tuple[Answer, ...]
    reasons: tuple[Reason, ...]


@dataclass
class Group:
    """Calls that change alike, or that cannot be judged for the same reasons."""

    key: GroupKey
    calls: int = 0
    announced: int = 0
    """Calls whose new answer the log has as that of full enforcement, because the rule was in shadow."""
    examples: list[Example] = field(default_factory=list)


@dataclass
class Findings:
    """The result of a replay."""

    policy: str
    """The file of the new policy."""
    logs: list[str]
    same: int = 0
    other_rules: int = 0
    """Decisions whose outcome stays, by another rule."""
    first_us: int | None = None
    last_us: int | None = None
    groups: dict[GroupKey, Group] = field(default_factory=dict)
    in_no_group: Counter[str] = field(default_factory=Counter)
    """By direction: calls beyond the most groups."""
    skipped: Counter[str] = field(default_factory=Counter)
    """Lines that no policy decides, by their kind."""
    unlogged: int = 0
    """Decisions without a line, as lines of gaps say."""
    policies: Counter[str] = field(default_factory=Counter)
    """Decisions by the name of the policy that made them."""
    damaged_lines: int = 0
    damaged: list[Fault] = field(default_factory=list)

    @property
    def decisions(self) -> int:
        """The decisions that the new policy was asked about."""
        return self.same + sum(self.count(direction) for direction in DIRECTIONS)

    @property
    def changes(self) -> int:
        """The decisions that change."""
        return sum(self.count(direction) for direction in DIRECTIONS if direction != UNKNOWN)

    def count(self, direction: str) -> int:
        """The decisions that change in a direction, or that cannot be judged."""
        return self.in_no_group[direction] + sum(group.calls for group in self.of(direction))

    def of(self, direction: str) -> Iterator[Group]:
        """The groups of a direction, the largest first."""
        found = [group for group in self.groups.values() if group.key.direction == direction]
        return iter(sorted(found, key=lambda group: (-group.calls, group.key)))

    def add(self, line: Line, replayed: ReplayedLine) -> None:
        """Takes the judgement of one line."""
        if replayed.kind == "malformed":
            self.damage(line, f"not a line of a decision log: {replayed.note}")
        elif replayed.kind == "skipped":
            self.skipped[replayed.note] += 1
            self.unlogged += _missing(line.content) if replayed.note == _GAP else 0
        else:
            self._decided(line, replayed)

    def damage(self, line: Line, message: str) -> None:
        """Notes a line that cannot be read."""
        self.damaged_lines += 1
        if len(self.damaged) < _MOST_DAMAGED:
            end = "" if line.is_finished else "; the file ends within the line"
            self.damaged.append(line.damaged(f"{message}{end}"))

    def _decided(self, line: Line, replayed: ReplayedLine) -> None:
        at_us = replayed.decided_at_us
        self.first_us = at_us if self.first_us is None else min(self.first_us, at_us)
        self.last_us = at_us if self.last_us is None else max(self.last_us, at_us)
        if replayed.policy in self.policies or len(self.policies) < _MOST_POLICIES:
            self.policies[replayed.policy] += 1
        if replayed.change == "same":
            self.same += 1
            self.other_rules += replayed.has_other_rule
            return
        key = _key(replayed)
        group = self.groups.get(key)
        if group is None:
            if len(self.groups) >= _MOST_GROUPS:
                self.in_no_group[key.direction] += 1
                return
            group = self.groups[key] = Group(key)
        group.calls += 1
        group.announced += replayed.was_announced
        if len(group.examples) < _MOST_EXAMPLES:
            group.examples.append(Example(line.file, line.number, at_us, replayed.grant))


def _missing(content: bytes) -> int:
    """The number of decisions that a line of a gap stands for."""
    count = json.loads(content).get("count")
    return count if isinstance(count, int) and count > 0 else 0


def _key(replayed: ReplayedLine) -> GroupKey:
    old = replayed.old or ("", "")
    return GroupKey(
        replayed.change or UNKNOWN,
        replayed.server,
        replayed.tool,
        Answer(*old),
        replayed.was_approved,
        tuple(dict.fromkeys(Answer(*answer) for answer in replayed.answers)),
        tuple(Reason(*reason) for reason in replayed.reasons),
    )
