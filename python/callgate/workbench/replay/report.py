"""Findings of a replay as text for people and as JSON for programs."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, Final

from callgate.exact_json import write_json
from callgate.text import masked, visible
from callgate.workbench.replay.findings import DIRECTIONS, UNKNOWN

if TYPE_CHECKING:
    from collections.abc import Iterator

    from callgate.workbench.replay.findings import Answer, Example, Findings, Group, Reason

_MOST_GROUPS: Final = 50
"""Groups of one direction in the text; JSON has all."""
_MOST_EXAMPLES: Final = 3
_MOST_ANSWERS: Final = 4

_REASONS: Final = {
    "not logged": "the value at `{}` was not logged; name its path in `log_args`, or its label in `log_labels`",
    "schema": "{} needs all arguments, and not all of them were logged",
    "counts": "what is left at {} depends on calls that cannot be judged",
    "earlier": "what was left at {} depends on calls before the log begins",
    "approval": "a person approved it for {}, and the new policy asks at another entry",
    "name": "the name of the {} may be longer than the log shows it, or a part of it is hidden",
}
_SKIPPED: Final = {
    "rate limit service": "of the rate limit service",
    "other server": "of other servers",
    "other policy": "of other policies",
}


def text_lines(found: Findings) -> Iterator[str]:
    """The lines for people."""
    yield _headline(found)
    if found.first_us is not None and found.last_us is not None:
        yield f"  from {_time(found.first_us)} to {_time(found.last_us)}; counts of limits begin empty"
    if len(found.policies) > 1:
        names = ", ".join(f"`{visible(name)}` ({count})" for name, count in found.policies.most_common())
        yield f"  note: several policies made these decisions: {names}; choose one with --decided-by"
    if found.unlogged:
        yield f"  note: {found.unlogged} decisions were not logged, and counts of limits do not know them"
    if found.other_rules:
        yield f"  note: of {_calls(found.other_rules)} the outcome stays, by another rule"
    for direction in DIRECTIONS:
        yield from _direction(found, direction)
    if found.skipped:
        yield ""
        yield "not decided by policies:"
        for kind, count in found.skipped.most_common():
            yield f"  {count} {'line' if count == 1 else 'lines'} {_SKIPPED.get(kind, visible(kind))}"
    if found.damaged_lines:
        yield ""
        yield f"{found.damaged_lines} {'line' if found.damaged_lines == 1 else 'lines'} cannot be read:"
        yield from (f"  {fault}" for fault in found.damaged)


def document(found: Findings) -> str:
    """The findings as JSON."""
    groups = [group for direction in DIRECTIONS for group in found.of(direction)]
    return write_json(
        {
            "logs": found.logs,
            "policy": found.policy,
            "first_decided_at_us": found.first_us,
            "last_decided_at_us": found.last_us,
            "decisions": found.decisions,
            "same": found.same,
            "same_by_other_rule": found.other_rules,
            **{direction: found.count(direction) for direction in DIRECTIONS},
            "policies": dict(found.policies),
            "not_logged": found.unlogged,
            "groups": [_group_document(group) for group in groups],
            "calls_in_no_group": dict(found.in_no_group),
            "skipped": dict(found.skipped),
            "damaged_lines": found.damaged_lines,
            "damaged": [str(fault) for fault in found.damaged],
        },
        indent=2,
    )


def _headline(found: Findings) -> str:
    logs = ", ".join(masked(visible(log)) for log in found.logs)
    change = "changes" if found.changes == 1 else "change"
    unknown = found.count(UNKNOWN)
    ending = f", {unknown} cannot be judged" if unknown else ""
    decisions = f"{found.decisions} {'decision' if found.decisions == 1 else 'decisions'}"
    return f"{logs} -> {masked(visible(found.policy))}: {found.changes} of {decisions} {change}{ending}"


def _direction(found: Findings, direction: str) -> Iterator[str]:
    groups = list(found.of(direction))
    for group in groups[:_MOST_GROUPS]:
        yield ""
        yield from _group(group)
    more = sum(group.calls for group in groups[_MOST_GROUPS:]) + found.in_no_group[direction]
    if more:
        yield ""
        yield f"{_title(direction)}: {_calls(more)} more; --json has all groups"


def _group(group: Group) -> Iterator[str]:
    key = group.key
    yield f"{_title(key.direction)}: `{visible(key.tool)}` at `{visible(key.server)}`, {_calls(group.calls)}"
    approved = ", approved by a person" if key.was_approved else ""
    yield f"  old  {_answer(key.old)}{approved}"
    more = len(key.new) - _MOST_ANSWERS
    answers = " or ".join(_answer(answer) for answer in key.new[:_MOST_ANSWERS])
    yield f"  new  {answers}{f' or {more} more' if more > 0 else ''}"
    yield from (f"  {_reason(reason)}" for reason in key.reasons)
    if group.announced:
        yield f"  rules in shadow had announced {_calls(group.announced)}"
    for example in group.examples[:_MOST_EXAMPLES]:
        yield f"  {_example(example)}"
    left = group.calls - min(len(group.examples), _MOST_EXAMPLES)
    if left:
        yield f"  ... and {left} more"


def _title(direction: str) -> str:
    return {"other": "refused otherwise", UNKNOWN: "cannot be judged"}.get(direction, direction)


def _calls(count: int) -> str:
    return f"{count} {'call' if count == 1 else 'calls'}"


def _answer(answer: Answer) -> str:
    return f"{answer.outcome} {visible(answer.rule)}".rstrip()


def _reason(reason: Reason) -> str:
    return _REASONS[reason.kind].format(visible(reason.subject))


def _example(example: Example) -> str:
    return f"{example.file}:{example.line}  {_time(example.decided_at_us)}, grant {masked(visible(example.grant))}"


def _time(at_us: int) -> str:
    return f"{datetime.fromtimestamp(at_us // 1_000_000, timezone.utc):%Y-%m-%d %H:%M:%S} UTC"


def _group_document(group: Group) -> dict[str, Any]:
    key = group.key
    found: dict[str, Any] = {
        "direction": key.direction,
        "server": key.server,
        "tool": key.tool,
        "calls": group.calls,
        "old": {"outcome": key.old.outcome, "rule": key.old.rule, "approved": key.was_approved},
        "new": [{"outcome": answer.outcome, "rule": answer.rule} for answer in key.new],
    }
    if key.reasons:
        found["reasons"] = [{"kind": reason.kind, "subject": reason.subject} for reason in key.reasons]
    if group.announced:
        found["announced_by_shadow"] = group.announced
    found["examples"] = [
        {
            "file": example.file,
            "line": example.line,
            "decided_at_us": example.decided_at_us,
            "grant": masked(example.grant),
        }
        for example in group.examples
    ]
    return found
