"""Findings about tools as lines of text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from callgate.text import visible

if TYPE_CHECKING:
    from callgate.workbench.classify.findings import Finding


def finding_line(finding: Finding, file: str = "", place: tuple[int, int] | None = None) -> str:
    """A finding as one line; without a place, the line begins with its level."""
    where = "" if place is None else f"{visible(file)}:{place[0]}:{place[1]}: "
    whose = (
        f"grant `{visible(finding.grant)}`" if finding.grant else f"`{visible(finding.server)}/{visible(finding.tool)}`"
    )
    owasp = ", ".join(finding.owasp)
    return f"{where}{finding.level}: {whose}: {visible(finding.message)} [{finding.code}, {owasp}]"
