"""Messages as Standard Webhooks: JSON for programs, signed."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from callgate.approvals.times import exact_instant
from callgate.exact_json import write_json
from callgate.store.notices.model import WAITS_FOR_PEOPLE
from callgate.text import masked

if TYPE_CHECKING:
    from collections.abc import Sequence

    from callgate.notices.message import Message


def standard_body(message: Message) -> bytes:
    """The message as JSON."""
    document = {"type": message.type, "timestamp": exact_instant(message.at_us), "data": _data(message)}
    return write_json(document).encode()


def standard_fields(message: Message, body: bytes, secrets: Sequence[str], now_us: int) -> list[tuple[str, str]]:
    """The header fields: id, time, and a signature by each secret."""
    # Here, because few configurations have such a receiver.
    from standardwebhooks.webhooks import Webhook  # noqa: PLC0415

    seconds = now_us // 1_000_000
    at = datetime.fromtimestamp(seconds, tz=timezone.utc)
    signatures = [Webhook(secret).sign(message.id, at, body.decode()) for secret in secrets]
    return [
        ("webhook-id", message.id),
        ("webhook-timestamp", str(seconds)),
        ("webhook-signature", " ".join(signatures)),
    ]


def _data(message: Message) -> dict[str, Any]:
    notice, approval = message.notice, message.approval
    if notice is None or approval is None:
        return {}
    call, facts, evidence = approval.call, notice.facts, message.evidence or {}
    waits = notice.event in WAITS_FOR_PEOPLE
    document = {
        "approval": approval.id,
        "state": facts.get("state", "pending"),
        "grant": call.grant,
        "server": call.server,
        "tool": call.tool,
        "category": evidence.get("category"),
        "risk": evidence.get("risk"),
        "rules": [need.rule for need in approval.needs],
        "approvers": sorted({group for need in approval.needs for group in need.approvers}),
        "fingerprint": call.fingerprint,
        "created": exact_instant(approval.created_us),
        "until": exact_instant(int(facts["until_us"])),
        "link": message.link,
    }
    if not waits:
        document |= {"was": facts["was"], "by": facts["by"], "reason": masked(facts["reason"])}
    if message.arguments is not None:
        document["arguments"] = message.arguments
    elif message.are_arguments_omitted:
        document["arguments_omitted"] = True
    return document
