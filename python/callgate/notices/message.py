"""The contents of a message, from which each format makes its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from callgate.approvals.sections import seen
from callgate.approvals.times import brief, instant
from callgate.exact_json import read_json
from callgate.store.notices.model import WAITS_FOR_PEOPLE, NoticeEvent
from callgate.text import masked

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from callgate.store.model import Approval
    from callgate.store.notices.model import Contents, Notice

TEST: Final = "notice.test"
"""The type of a message by `callgate notices test`."""

LONGEST_ARGUMENTS: Final = 16 << 10
"""Characters of arguments that a message holds; longer ones are left out."""

_TITLES: Final = {
    NoticeEvent.REQUESTED: "Approval needed",
    NoticeEvent.REMINDER: "Approval still needed",
    NoticeEvent.ANSWERED: "Approved in part",
    NoticeEvent.APPROVED: "Approved",
    NoticeEvent.DENIED: "Denied",
    NoticeEvent.EXPIRED: "Approval expired",
    NoticeEvent.ENDED: "Approval ended",
}


@dataclass(frozen=True)
class Message:
    """A message about one approval, or a test."""

    id: str
    type: str
    at_us: int
    title: str
    link: str | None = None
    """The page of the approval; None if no person needs it."""
    notice: Notice | None = None
    approval: Approval | None = None
    evidence: Mapping[str, Any] | None = None
    arguments: Any = None
    """The arguments as JSON, masked; None if they are not shown."""
    are_arguments_omitted: bool = False
    """True if the receiver gets arguments, and these are too long or deleted."""


def message_of(notice: Notice, contents: Contents, base: str, *, shows_arguments: bool) -> Message:
    """The message of a notice; `base` is the URL of the admin port for people."""
    approval = contents.approval
    arguments = _arguments(contents.arguments) if shows_arguments else None
    waits = notice.event in WAITS_FOR_PEOPLE
    page = f"{base}/approvals/{approval.id}"
    return Message(
        id=notice.id,
        type=notice.event.value,
        at_us=notice.at_us,
        title=f"{_TITLES[notice.event]}: {seen(approval.call.server)}/{seen(approval.call.tool)}",
        link=f"{page}?notice={notice.id}" if waits else page,
        notice=notice,
        approval=approval,
        evidence=_evidence(contents.evidence),
        arguments=arguments,
        are_arguments_omitted=shows_arguments and arguments is None,
    )


def trial_message(message_id: str, at_us: int) -> Message:
    """A message that says nothing but that the receiver is reached."""
    return Message(id=message_id, type=TEST, at_us=at_us, title="Test notice of callgate: nothing is to be done")


def facts_of(message: Message, now_us: int) -> Iterator[tuple[str, str]]:
    """The facts of a message for people: names and one-line texts, in which nothing is hidden."""
    notice, approval = message.notice, message.approval
    if notice is None or approval is None:
        return
    yield "Grant", seen(approval.call.grant)
    evidence = message.evidence or {}
    for name, key in (("Risk", "risk"), ("Category", "category")):
        if evidence.get(key) is not None:
            yield name, seen(evidence[key])
    if notice.event in WAITS_FOR_PEOPLE:
        yield "Rules", ", ".join(seen(need.rule) for need in approval.needs)
        groups = sorted({group for need in approval.needs for group in need.approvers})
        yield "Asks", f"people of {', '.join(map(seen, groups))}" if groups else "any approver"
        left = brief(approval.until_us - now_us)
        yield "Waits until", f"{instant(notice.link_until_us)} ({left} left)"
    else:
        yield from _end_of(notice)


def _end_of(notice: Notice) -> Iterator[tuple[str, str]]:
    facts = notice.facts
    if notice.event is NoticeEvent.APPROVED:
        yield "Valid until", instant(int(facts["until_us"]))
    yield "By", seen(facts["by"])
    if facts.get("reason"):
        yield "Reason", seen(masked(facts["reason"]))


def _evidence(text: str) -> Mapping[str, Any]:
    try:
        evidence = read_json(text)
    except (ValueError, RecursionError):
        return {}
    return evidence if isinstance(evidence, dict) else {}


def _arguments(text: str | None) -> Any:  # noqa: ANN401  JSON
    """The arguments without tokens and keys; None for those that are too long, deleted, or no JSON."""
    if text is None or len(text) > LONGEST_ARGUMENTS:
        return None
    try:
        return _without_secrets(read_json(text))
    except (ValueError, RecursionError):
        return None


def _without_secrets(value: Any) -> Any:  # noqa: ANN401  JSON
    if isinstance(value, str):
        return masked(value)
    if isinstance(value, dict):
        return {masked(name): _without_secrets(one) for name, one in value.items()}
    return [_without_secrets(one) for one in value] if isinstance(value, list) else value
