"""An approval as people see it before they answer: everything that is known of the call, in full."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from callgate.approvals.offer import looked_at, masked_names, permit_bounds, shown_terms, term_options
from callgate.approvals.sections import Field, Section, block, listed, long_texts, notes_on, one_line, pretty, seen
from callgate.approvals.times import brief, exact, instant
from callgate.exact_json import read_json
from callgate.store.model import State, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from callgate.store.approvals.recorded import Given, Recorded
    from callgate.store.model import Approval, Need, Person
    from callgate.store.permits import Permit

_KNOWN: Final = frozenset(
    {
        "category", "entries", "labels", "limits", "masked", "pep", "policy", "protocol", "risk", "session", "tool",
    }
)  # fmt: skip
"""Keys of the evidence that have a place; others are shown as JSON."""

ARGUMENTS: Final = "arguments"
"""Title of the section of the call's arguments."""


def approval_sections(approval: Approval, record: Recorded, now_us: int, owner: Person | None = None) -> list[Section]:
    """Everything about an approval: its call, its evidence, and the answers so far; `owner` is the grant's now."""
    evidence = read_evidence(record)
    sections = [
        Section(f"approval {approval.id}", tuple(_head(approval, record, evidence, now_us))),
        Section(ARGUMENTS, tuple(_arguments(record.arguments, evidence))),
        Section("needed", tuple(need_fields(approval, record.answers, owner))),
        Section("tool", tuple(_tool(evidence))),
        Section("limits", tuple(_limits(evidence.get("limits")))),
        Section("rules", tuple(_entries(evidence.get("entries")))),
        Section("earlier answers for this grant and tool", tuple(_recent(record.recent))),
        Section("answers", tuple(_answers(record.answers))),
        Section("permit", tuple(_permit(approval, evidence))),
        Section("digests", tuple(_digests(approval))),
        Section("more", tuple(Field(seen(key), pretty(evidence[key])) for key in evidence if key not in _KNOWN)),
    ]
    return [section for section in sections if section.fields]


def permit_sections(permit: Permit, now_us: int) -> list[Section]:
    """Everything about a permit."""
    if not permit.is_active:
        state = f"ended ({seen(permit.cause)})" if permit.ends_us > now_us else f"ended at {instant(permit.ends_us)}"
    else:
        state = f"active until {instant(permit.ends_us)} ({brief(permit.ends_us - now_us)} left)"
        state += "" if permit.uses_left else ", and used up"
    head = [
        Field("state", state),
        Field("uses", f"{permit.uses_left} of {permit.max_uses} {'left' if permit.is_active else 'were left'}"),
        Field("tool", seen(permit.tool)),
        Field("server", seen(permit.server)),
        Field("grant", seen(permit.grant)),
        Field("made", f"{instant(permit.made_us)} by {', '.join(seen(person) for person in permit.made_by)}"),
        Field("approval", seen(permit.approval_id)),
        Field("rules", ", ".join(seen(rule) for rule, _ in permit.rules)),
    ]
    if permit.pin_digest is not None:
        head.append(Field("pinned tool", seen(permit.pin_digest)))
    terms = [Field(name, condition) for name, condition in shown_terms(permit.terms)]
    others = Field("", "every other argument is absent")
    return [Section(f"permit {permit.id}", tuple(head)), Section("arguments of its calls", (*terms, others))]


def read_evidence(record: Recorded) -> Mapping[str, Any]:
    """The evidence as JSON; what is none is shown under a key of its own."""
    try:
        evidence = read_json(record.document)
    except (ValueError, RecursionError):
        evidence = record.document
    return evidence if isinstance(evidence, dict) else {"unreadable": evidence}


def state_line(approval: Approval, now_us: int) -> str:
    """The state of an approval, and its end."""
    ends = f"until {instant(approval.until_us)} ({brief(approval.until_us - now_us)} left)"
    by = f"{instant(approval.changed_us)} by {seen(approval.changed_by)}: {seen(approval.cause) or 'no reason given'}"
    match approval.state:
        case State.PENDING:
            return f"pending {ends}"
        case State.APPROVED:
            return f"approved {ends}; it admits the call once"
        case State.DENIED:
            return f"denied {ends}, at {by}"
        case State.EXPIRED:
            return f"expired at {instant(approval.until_us)}"
        case State.CONSUMED:
            return f"consumed at {by}"
        case State.ENDED:
            return f"ended at {by}"


def open_line(approval: Approval) -> str:
    """The rule that waits for people, and their groups; empty if none does."""
    need = next((need for need in approval.needs if need.rule == approval.open_rule), None)
    if need is None:
        return ""
    return seen(need.rule) + (f" ({', '.join(map(seen, need.approvers))})" if need.approvers else "")


def _head(approval: Approval, record: Recorded, evidence: Mapping[str, Any], now_us: int) -> Iterator[Field]:
    call = approval.call
    yield Field("state", state_line(approval, now_us))
    if record.permit_id is not None:
        yield Field("permit", seen(record.permit_id))
    elif approval.state is State.CONSUMED and approval.use_id is not None:
        yield Field("use", f"{seen(approval.use_id)}; the decision log has the call under the id of the approval")
    if approval.takes_passkey and approval.state is State.PENDING:
        yield Field("passkey", "approving takes one, on the page of the admin port")
    yield Field("asked", f"{instant(approval.created_us)} ({brief(now_us - approval.created_us)} ago)")
    yield Field("tool", seen(call.tool))
    yield Field("server", seen(call.server))
    yield Field("grant", seen(call.grant))
    if call.owner is not None:
        yield Field("owner", f"{seen(call.owner)}, who may not answer")
    labels = evidence.get("labels")
    if isinstance(labels, dict) and labels:
        yield Field("labels", ", ".join(f"{seen(name)}={_word(value)}" for name, value in labels.items()))
    for key in ("session", "category", "risk", "protocol", "pep"):
        if evidence.get(key) is not None:
            yield Field(key, _word(evidence[key]))
    policy = evidence.get("policy")
    if isinstance(policy, dict):
        yield Field("policy", " ".join(_word(policy[key]) for key in ("name", "version") if key in policy))


def _digests(approval: Approval) -> Iterator[Field]:
    call = approval.call
    yield Field("fingerprint", seen(call.fingerprint))
    yield Field("policy", seen(call.policy_digest))
    if call.pin_digest is not None:
        yield Field("pinned tool", seen(call.pin_digest))


def need_fields(approval: Approval, answers: Sequence[Given], owner: Person | None = None) -> Iterator[Field]:
    """Each rule that asks, with the people whom it asks and the number of those whose approval counts."""
    approving = [one for one in answers if one.is_current and one.verdict is Verdict.APPROVE]
    people = [one for one in approving if one.person not in {approval.call.owner, owner}]
    for need in approval.needs:
        given = sum(need.asks(one.groups) for one in people)
        yield Field(seen(need.rule), _need_line(need, given))


def _need_line(need: Need, given: int) -> str:
    who = "any approver" if not need.approvers else f"people of {listed(need.approvers, 'or')}"
    parts = [f"{given} of {need.count} from {who}"]
    if need.reason_required:
        parts.append("with a reason")
    parts.append(f"can be used for {exact(need.valid_us)}")
    return ", ".join(parts)


def _arguments(text: str | None, evidence: Mapping[str, Any]) -> Iterator[Field]:
    if text is None:
        yield Field("", "deleted: their time is over")
        return
    try:
        arguments = read_json(text)
    except (ValueError, RecursionError):
        yield Field("", "attention: they are no JSON that callgate reads; their text:")
        yield Field("", block(text))
        return
    yield Field("", pretty(arguments))
    for note in notes_on(arguments):
        yield Field("", note)
    masked = masked_names(evidence)
    if masked:
        yield Field("", f"masked, in full or in part: {listed(sorted(masked), 'and')}")
    for pointer, value in long_texts(arguments):
        yield Field(f"{seen(pointer)} as text", block(value))


def _tool(evidence: Mapping[str, Any]) -> Iterator[Field]:
    tool = evidence.get("tool")
    if not isinstance(tool, dict):
        if tool is not None:
            yield Field("", pretty(tool))
        return
    for key, value in tool.items():
        if value is None:
            continue
        name = key.replace("_", " ") if key in {"description", "input_schema"} else seen(key)
        yield Field(name, block(value) if isinstance(value, str) else pretty(value))
        for note in notes_on(value):
            yield Field("", note)


def _limits(limits: object) -> Iterator[Field]:
    if not isinstance(limits, list):
        if limits is not None:
            yield Field("", pretty(limits))
        return
    for limit in limits:
        if not isinstance(limit, dict) or not {"counter", "max", "remaining"} <= limit.keys():
            yield Field("", pretty(limit))
            continue
        left = f"{_word(limit['remaining'])} of {_word(limit['max'])} left"
        if limit.get("over"):
            left += f", {_word(limit['over'])} over it"
        if isinstance(limit.get("reset_after_ms"), int) and limit["reset_after_ms"]:
            left += f", all of it in {exact(limit['reset_after_ms'] * 1_000 + 999_999)}"
        if limit.get("rule"):
            left += f" ({_word(limit['rule'])})"
        yield Field(_word(limit["counter"]), left)


def _entries(entries: object) -> Iterator[Field]:
    for entry in entries if isinstance(entries, list) else [] if entries is None else [entries]:
        if isinstance(entry, dict) and entry.keys() == {"rule", "document"}:
            yield Field(_word(entry["rule"]), pretty(entry["document"]))
        else:
            yield Field("", pretty(entry))


def _recent(recent: Sequence[Mapping[str, Any]]) -> Iterator[Field]:
    for row in recent:
        verdict = {"approve": "approved", "deny": "denied"}.get(row["verdict"], str(row["verdict"]))
        reason = f": {seen(row['reason'])}" if row["reason"] else ""
        who = f"{seen(row['subject'])} ({seen(row['issuer'])})"
        yield Field(instant(row["answered_us"]), f"{verdict} by {who}{reason} [approval {seen(row['approval'])}]")


def _answers(answers: Sequence[Given]) -> Iterator[Field]:
    for one in answers:
        verdict = "approved" if one.verdict is Verdict.APPROVE else "denied"
        groups = f" of {listed(one.groups, 'and')}" if one.groups else ""
        reason = f": {seen(one.reason)}" if one.reason else ""
        passkey = "" if one.passkey is None else " with a passkey"
        replaced = "" if one.is_current else " (no longer counts)"
        lines = [f"{verdict} by {seen(one.person)}{groups} at {seen(one.source)}{passkey}{replaced}{reason}"]
        if one.terms is not None:
            lines += _offer_lines(one.terms)
        yield Field(instant(one.answered_us), "\n".join(lines))


def _offer_lines(offer: str) -> Iterator[str]:
    """The permit that an answer offers, and the options that offer the same."""
    document = read_json(offer)
    text = one_line(document["terms"])
    duration_us = int(document["duration_us"])
    uses = "1 use" if document["uses"] == 1 else f"{document['uses']} uses"
    yield f"offers a permit of {uses} within {exact(duration_us)}:"
    yield from (f"  {name}: {condition}" for name, condition in shown_terms(text))
    length = f"{duration_us // 1_000}ms" if duration_us % 1_000_000 else f"{duration_us // 1_000_000}s"
    yield f"the same: --permit-uses {document['uses']} --permit-for {length} {term_options(text)}".rstrip()


def _permit(approval: Approval, evidence: Mapping[str, Any]) -> Iterator[Field]:
    if approval.state is not State.PENDING:
        return
    bounds = permit_bounds(approval.needs)
    if bounds is None:
        rule = next((need.rule for need in approval.needs if need.permit is None), "")
        yield Field("", f"not possible: the rule {seen(rule)} allows none")
        return
    yield Field("", f"possible: at most {bounds.max_uses} uses within {exact(bounds.max_duration_us)}")
    looked = looked_at(evidence)
    if looked.is_all:
        yield Field("", "no argument can be `any`: rules look at all arguments")
    elif looked.names:
        yield Field("", f"rules look at {listed(sorted(looked.names), 'and')}, which therefore cannot be `any`")


def _word(value: object) -> str:
    """A value of one line: a text as it is, anything else as JSON."""
    return seen(value) if isinstance(value, str) else one_line(value)
