"""The last answers for a grant and a tool, which the next approver is shown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import select

from callgate.store.tables import answers, approvals

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sqlalchemy.engine import Connection

MOST: Final = 10


def recent_answers(
    connection: Connection, tools: Iterable[tuple[str, str, str]]
) -> dict[tuple[str, str, str], list[dict[str, Any]]]:
    """The last answers by grant, server and tool, newest first, as JSON."""
    return {tool: _of(connection, *tool) for tool in tools}


def _of(connection: Connection, grant: str, server: str, tool: str) -> list[dict[str, Any]]:
    column = approvals.c
    decided = (
        select(column.id)
        .where(column.grant_id == grant, column.server == server, column.tool == tool, column.decided_us.is_not(None))
        .order_by(column.decided_us.desc())
        .limit(MOST)
    )
    ids = list(connection.scalars(decided))
    if not ids:
        return []
    given = select(answers).where(answers.c.approval_id.in_(ids), answers.c.is_current)
    rows = connection.execute(given.order_by(answers.c.answered_us.desc(), answers.c.number.desc()).limit(MOST))
    return [
        {
            "approval": row.approval_id,
            "issuer": row.issuer,
            "subject": row.subject,
            "verdict": row.verdict,
            "reason": row.reason,
            "answered_us": row.answered_us,
        }
        for row in rows
    ]
