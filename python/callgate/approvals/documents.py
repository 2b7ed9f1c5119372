"""Approvals and permits as JSON for programs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from callgate.approvals.offer import permit_bounds
from callgate.approvals.shown import read_evidence
from callgate.approvals.times import exact_instant
from callgate.exact_json import read_json

if TYPE_CHECKING:
    from callgate.store.approvals.recorded import Given, Recorded
    from callgate.store.model import Approval, Need, PermitBounds, Person
    from callgate.store.permits import Permit


def approval_document(approval: Approval) -> dict[str, Any]:
    """An approval without its evidence."""
    call = approval.call
    return {
        "id": approval.id,
        "state": approval.state.value,
        "grant": call.grant,
        "server": call.server,
        "tool": call.tool,
        "owner": None if call.owner is None else _person(call.owner),
        "open_rule": approval.open_rule,
        "needs": [_need(need) for need in approval.needs],
        "takes_passkey": approval.takes_passkey,
        "created": exact_instant(approval.created_us),
        "until": exact_instant(approval.until_us),
        "decided": exact_instant(approval.decided_us),
        "changed": exact_instant(approval.changed_us),
        "changed_by": approval.changed_by,
        "changed_from": approval.changed_from,
        "cause": approval.cause,
        "fingerprint": call.fingerprint,
        "policy_digest": call.policy_digest,
        "pin_digest": call.pin_digest,
    }


def evidence_document(approval: Approval, record: Recorded) -> dict[str, Any]:
    """An approval with its evidence and all answers; numbers are exact, see `exact_json.write_json`."""
    return {
        **approval_document(approval),
        "arguments": _read(record.arguments),
        "evidence": read_evidence(record),
        "recent": [
            {
                **{name: value for name, value in row.items() if name != "answered_us"},
                "answered": exact_instant(row["answered_us"]),
            }
            for row in record.recent
        ],
        "answers": [_answer(answer) for answer in record.answers],
        "permit_bounds": _bounds(permit_bounds(approval.needs)),
        "permit_id": record.permit_id,
        "use_id": approval.use_id,
    }


def permit_document(permit: Permit) -> dict[str, Any]:
    """A permit."""
    return {
        "id": permit.id,
        "is_active": permit.is_active,
        "approval": permit.approval_id,
        "grant": permit.grant,
        "server": permit.server,
        "tool": permit.tool,
        "rules": [rule for rule, _ in permit.rules],
        "terms": read_json(permit.terms),
        "max_uses": permit.max_uses,
        "uses_left": permit.uses_left,
        "made": exact_instant(permit.made_us),
        "made_by": [_person(person) for person in permit.made_by],
        "ends": exact_instant(permit.ends_us),
        "cause": permit.cause,
        "pin_digest": permit.pin_digest,
    }


def _need(need: Need) -> dict[str, Any]:
    return {
        "rule": need.rule,
        "approvers": list(need.approvers),
        "count": need.count,
        "reason_required": need.reason_required,
        "timeout_ms": need.timeout_us // 1_000,
        "valid_ms": need.valid_us // 1_000,
        "permit_bounds": _bounds(need.permit),
    }


def _bounds(bounds: PermitBounds | None) -> dict[str, int] | None:
    if bounds is None:
        return None
    return {"max_uses": bounds.max_uses, "max_duration_ms": bounds.max_duration_us // 1_000}


def _answer(answer: Given) -> dict[str, Any]:
    return {
        **_person(answer.person),
        "groups": list(answer.groups),
        "verdict": answer.verdict.value,
        "reason": answer.reason,
        "source": answer.source,
        "permit": _read(answer.terms),
        "answered": exact_instant(answer.answered_us),
        "is_current": answer.is_current,
        "passkey": answer.passkey,
    }


def _person(person: Person) -> dict[str, str]:
    return {"issuer": person.issuer, "subject": person.subject}


def _read(text: str | None) -> Any:  # noqa: ANN401  JSON
    """A JSON value, or the text itself if it is none."""
    if text is None:
        return None
    try:
        return read_json(text)
    except (ValueError, RecursionError):
        return text
