"""Servers of clients as servers to scan."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from callgate.text import is_text, quoted
from callgate.workbench.clients.entries import STDIO, UNKNOWN_FORM, Entry
from callgate.workbench.clients.variables import UnresolvedError
from callgate.workbench.scan.target import HttpTarget, StdioTarget, Target

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


def targets_of(entries: Iterable[Entry], project: Path | None) -> tuple[list[Target], list[str]]:
    """The servers of clients, each once, and the reasons for which others are left out.

    Several clients often use the same server: it is scanned once. Servers that only share their name get that of the
    client as well.
    """
    targets = list[Target]()
    left_out = list[str]()
    for entry in entries:
        shown = f"{quoted(entry.name)} of {entry.place.client.title}"
        reason = _reason_against(entry)
        if reason is not None:
            left_out.append(f"{shown} is not scanned: {reason}")
            continue
        try:
            target = target_of(entry, project)
        except UnresolvedError as error:
            left_out.append(f"{shown} is not scanned: {error}")
            continue
        if any(replace(target, name=one.name) == one for one in targets):
            continue
        names = {one.name for one in targets}
        for name in (entry.name, f"{entry.name}@{entry.place.client.name}", *_numbered(entry)):
            if name not in names:
                targets.append(replace(target, name=name))
                break
        if targets[-1].name != entry.name:
            left_out.append(f"{shown} is named {quoted(targets[-1].name)} here: another server has its name")
    return targets, left_out


def target_of(entry: Entry, project: Path | None) -> Target:
    """One server of a client, without the callgate before it.

    Raises:
        UnresolvedError: A value is known to the client alone.
    """
    found = entry.resolved(project)
    if entry.kind == STDIO:
        return StdioTarget(entry.name, found.command, found.environment, found.folder)
    return HttpTarget(entry.name, found.url, found.headers, variables=found.variables)


def _reason_against(entry: Entry) -> str | None:
    if entry.is_disabled:
        return "it is switched off"
    if not entry.kind:
        return UNKNOWN_FORM
    if not entry.name or not is_text(entry.name) or "\0" in entry.name:
        return "no catalogue can hold its name"
    return None


def _numbered(entry: Entry) -> Iterable[str]:
    return (f"{entry.name}@{entry.place.client.name}-{number}" for number in range(2, 10_000))
