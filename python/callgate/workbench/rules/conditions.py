"""Checks and their conditions (`docs/policy.md` sections 1 and 3)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterator

    from callgate.config.document import KeyPath


@dataclass(frozen=True)
class Path:
    """The path of a value: `args.items[*].price`, `grant.labels.team`, `time.hour`."""

    text: str
    """The path as the policy writes it."""
    root: str
    """`args`, `grant.labels`, or a whole path that has no steps, such as `tool`."""
    keys: tuple[tuple[Literal["key", "index", "every"], str | int], ...] = ()
    """The steps below the root; the value of `every` (`[*]`) is empty."""

    @property
    def is_of_arguments(self) -> bool:
        """True if it leads to the arguments or into them."""
        return self.root == "args"

    @property
    def has_every(self) -> bool:
        """True if it has a step `[*]`."""
        return any(kind == "every" for kind, _ in self.keys)


@dataclass(frozen=True)
class Comparison:
    """A condition that compares one value."""

    path: Path
    op: str
    value: Any
    """As the document has it: numbers that are not integers are `Decimal`."""
    at: KeyPath
    """Its place in the document."""


@dataclass(frozen=True)
class AnyOf:
    """One of these conditions holds."""

    conditions: tuple[Condition, ...]
    at: KeyPath


@dataclass(frozen=True)
class AllOf:
    """All of these conditions hold."""

    conditions: tuple[Condition, ...]
    at: KeyPath


@dataclass(frozen=True)
class Not:
    """The negation of a condition."""

    condition: Condition
    at: KeyPath


Condition: TypeAlias = "Comparison | AnyOf | AllOf | Not"


@dataclass(frozen=True)
class Check:
    """A check of `require`, `deny_if` or `when`: it holds if all its conditions hold."""

    part: Literal["require", "deny_if", "when"]
    pointer: str
    """The rule pointer of a decision that it makes; for `when`, that of the approval."""
    conditions: tuple[Condition, ...]
    at: KeyPath
    name: str | None = None
    on_deny: str | None = None

    def comparisons(self) -> Iterator[Comparison]:
        """Every comparison in it, in document order."""
        for condition in self.conditions:
            yield from comparisons_of(condition)


def comparisons_of(condition: Condition) -> Iterator[Comparison]:
    """Every comparison in a condition, in document order."""
    match condition:
        case Comparison():
            yield condition
        case Not():
            yield from comparisons_of(condition.condition)
        case AnyOf() | AllOf():
            for one in condition.conditions:
                yield from comparisons_of(one)
