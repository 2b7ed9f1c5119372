"""The output of `callgate scan`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Final

import typer

from callgate.cli.finding_lines import finding_line
from callgate.cli.table import table_lines
from callgate.text import visible

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from callgate.workbench.classify.scanned import ScanFindings
    from callgate.workbench.scan.listing import Listing
    from callgate.workbench.scan.merge import Change, Merge
    from callgate.workbench.scan.target import Target

_MOST_WARNINGS = 20
"""Warnings about one server that are printed: a hostile one could cause thousands."""
_SIGNS = {"added": "+", "removed": "-", "changed": "~"}
_MOST_FINDINGS: Final = 50


def page(target: Target, pages: int, tools: int) -> None:
    """Prints the progress of a long list, on a terminal alone."""
    if pages > 1 and sys.stderr.isatty():
        typer.echo(f"{visible(target.name)}: page {pages}, {tools} tools", err=True)


def ended(listing: Listing) -> None:
    """Prints the end of one server's scan."""
    name = visible(listing.target.name)
    if listing.failure is None:
        pages = f"{listing.pages} page{'' if listing.pages == 1 else 's'}"
        typer.echo(f"{name}: {_count(len(listing.tools))} in {pages}, {listing.seconds:.1f} s", err=True)
        return
    typer.echo(f"{name}: failed: {listing.failure}", err=True)
    for line in listing.stderr:
        typer.echo(f"  | {visible(line)}", err=True)


def table(listings: Sequence[Listing], merge: Merge) -> None:
    """Prints the servers, then each change."""
    rows = [("SERVER", "TOOLS", "CHANGES", "SOURCE")]
    for listing in listings:
        name = listing.target.name
        is_listed = listing.failure is None
        tools = str(len(merge.catalogue.servers[name].tools)) if is_listed else "-"
        changes = _summary(name, merge) if is_listed else "not scanned"
        rows.append((name, tools, changes, listing.target.shown()))
    for line in table_lines(rows):
        typer.echo(line)
    for change in merge.changes:
        typer.echo(change_line(change))


def change_line(change: Change) -> str:
    """A change as one line."""
    members = f": {', '.join(change.members)}" if change.members else ""
    return f"{_SIGNS[change.kind]} {visible(change.server)}: {visible(change.tool)}{members}"


def warnings(merge: Merge) -> None:
    """Prints what is wrong with the lists."""
    for server, said in merge.warnings.items():
        for warning in said[:_MOST_WARNINGS]:
            typer.echo(f"warning: {visible(server)}: {warning}", err=True)
        more = len(said) - _MOST_WARNINGS
        if more > 0:
            typer.echo(f"warning: {visible(server)}: {more} more warnings; `--json` has all of them", err=True)


def findings(found: ScanFindings, *, on_stderr: bool) -> None:
    """Prints findings as `callgate classify` does, as many as a person reads."""
    name = "" if found.file is None else str(found.file)
    for finding, place in list(zip(found.findings, found.places, strict=True))[:_MOST_FINDINGS]:
        typer.echo(finding_line(finding, name, place), err=on_stderr)
    left = len(found.findings) - _MOST_FINDINGS
    if left > 0:
        typer.echo(f"and {left} more findings; `callgate classify` prints all of a catalogue", err=True)


def document(listings: Iterable[Listing], merge: Merge, found: ScanFindings) -> dict[str, Any]:
    """The result as JSON."""
    return {
        "servers": [_server(listing, merge) for listing in listings],
        "changes": [change.document() for change in merge.changes],
        "findings": found.json(),
    }


def _server(listing: Listing, merge: Merge) -> dict[str, Any]:
    name = listing.target.name
    return {
        "server": name,
        "source": listing.target.source(),
        "title": listing.title,
        "version": listing.version,
        "protocol": listing.protocol,
        "tools": len(merge.catalogue.servers[name].tools) if listing.failure is None else None,
        "pages": listing.pages,
        "is_first": name in merge.first,
        "failure": listing.failure,
        "warnings": list(merge.warnings.get(name, ())),
    }


def _summary(server: str, merge: Merge) -> str:
    if server in merge.first:
        return "first scan"
    kinds = [change.kind for change in merge.changes if change.server == server]
    found = [f"{kinds.count(kind)} {kind}" for kind in _SIGNS if kind in kinds]
    return ", ".join(found) or "none"


def _count(tools: int) -> str:
    return f"{tools} tool{'' if tools == 1 else 's'}"
