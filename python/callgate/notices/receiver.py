"""A receiver of notices, and the notices that it gets of an event."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, Protocol

from callgate.store.model import Approval, Person
from callgate.store.notices.model import WAITS_FOR_PEOPLE, NewNotice, NoticeEvent

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

_PERCENT: Final = 100


class Hook(Protocol):
    """The endpoint of a receiver, such as `callgate._callgate.Webhook`."""

    def post(self, fields: list[tuple[str, str]], body: bytes) -> tuple[int, str | None, bytes]:
        """Sends a message: the status, `Retry-After`, and the beginning of the body of a failure.

        Raises:
            ConnectionError: There is no answer.
        """


@dataclass(frozen=True)
class Filters:
    """The approvals that a receiver is told of. An empty tuple stands for all."""

    events: frozenset[NoticeEvent] = frozenset(NoticeEvent)
    grants: tuple[str, ...] = ()
    """Patterns, in which `*` stands for any characters; likewise below."""
    servers: tuple[str, ...] = ()
    approvers: tuple[str, ...] = ()
    """Groups of people."""

    def admits(self, approval: Approval) -> bool:
        """True if the receiver is told of this approval."""
        grants, servers, approvers = self._compiled
        return (
            _fits(grants, [approval.call.grant])
            and _fits(servers, [approval.call.server])
            # A rule that asks any approver asks people of each group.
            and any(not need.approvers or _fits(approvers, need.approvers) for need in approval.needs)
        )

    @cached_property
    def _compiled(self) -> tuple[tuple[re.Pattern[str], ...], ...]:
        return tuple(tuple(map(_pattern, texts)) for texts in (self.grants, self.servers, self.approvers))


@dataclass(frozen=True)
class Receiver:
    """A receiver, as the configuration says."""

    name: str
    format: str
    """`standard`, `slack` or `teams`."""
    hook: Hook = field(repr=False, compare=False)
    address_digest: str
    """Digest of its URL."""
    secrets: tuple[str, ...] = field(default=(), repr=False)
    """The secrets of signatures, the newest first."""
    filters: Filters = field(default_factory=Filters)
    person: Person | None = None
    """The one person who reads it."""
    shows_arguments: bool = False
    reminders: tuple[int, ...] = ()
    """Percentages of the time that an approval waits."""

    def choose(
        self, new_id: Callable[[], str], event: NoticeEvent, approval: Approval, facts: Mapping[str, Any], at_us: int
    ) -> list[NewNotice]:
        """The notices of an event; a request comes with its reminders.

        Args:
            new_id: Gives the id of each notice.
            event: The event.
            approval: The approval as it is now.
            facts: The facts of the event.
            at_us: The time of the event.
        """
        if not self.filters.admits(approval) or (event in WAITS_FOR_PEOPLE and self._is_of_owner(approval)):
            return []
        until_us = int(facts["until_us"]) if event in WAITS_FOR_PEOPLE else 0
        planned = [(event, at_us)]
        if event is NoticeEvent.REQUESTED:
            planned += [(NoticeEvent.REMINDER, at_us + (until_us - at_us) * one // _PERCENT) for one in self.reminders]
        return [
            NewNotice(new_id(), kind, due_us, until_us, self.person)
            for kind, due_us in planned
            if kind in self.filters.events
        ]

    def _is_of_owner(self, approval: Approval) -> bool:
        """True if the one person who reads it may not answer, because the grant is theirs."""
        return self.person is not None and self.person == approval.call.owner


def _fits(patterns: tuple[re.Pattern[str], ...], names: Iterable[str]) -> bool:
    return not patterns or any(pattern.fullmatch(name) for name in names for pattern in patterns)


def _pattern(text: str) -> re.Pattern[str]:
    """A pattern whose `*` matches in linear time, whatever a caller names."""
    return re.compile("(?s:" + "".join(_parts(text)) + ")")


def _parts(text: str) -> Iterator[str]:
    first, *others = text.split("*")
    yield re.escape(first)
    for number, part in enumerate(others):
        if number == len(others) - 1:
            yield f".*{re.escape(part)}"
        elif part:
            # Possessive by a look-ahead: the first place where the part stands is taken, and none after it is tried.
            yield f"(?=(?P<p{number}>.*?{re.escape(part)}))(?P=p{number})"
