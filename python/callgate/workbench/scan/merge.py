"""Scans merged into a catalogue, and the changes that they bring."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from callgate.workbench.catalogue import Catalogue, CatalogueServer, Tool
from callgate.workbench.scan.definitions import MAX_NAME, tools_of, whole_characters

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from callgate.workbench.scan.listing import Listing

    Classify: TypeAlias = Callable[[Tool, str, str], Tool]
    """A tool with its classification, by the tool, its server's name and its server's title."""

_DEFINED: Final = ("title", "description", "input_schema", "output_schema", "annotations")
"""The fields of a tool that come from its definition."""
_OF_SCANS: Final = frozenset({"x-ambiguous", "x-left_out", "x-input_schema", "x-output_schema", "x-annotations"})
"""Further fields that scans write, and replace."""


@dataclass(frozen=True, slots=True)
class Change:
    """One difference between two scans of a server."""

    server: str
    tool: str
    kind: str
    """`added`, `removed` or `changed`."""
    members: tuple[str, ...] = ()
    """Of a changed tool: the fields of the catalogue that differ, or `definition` if none of those does."""

    def document(self) -> dict[str, Any]:
        """The change as JSON."""
        members = {"members": list(self.members)} if self.kind == "changed" else {}
        return {"server": self.server, "tool": self.tool, "change": self.kind, **members}


@dataclass(frozen=True, slots=True)
class Merge:
    """A catalogue after scans."""

    catalogue: Catalogue
    changes: tuple[Change, ...]
    """In the order of the scans; none for servers that were scanned for the first time."""
    first: tuple[str, ...]
    """Servers that the catalogue did not have before."""
    warnings: Mapping[str, tuple[str, ...]]
    """By server."""


def merge(
    catalogue: Catalogue, listings: Iterable[Listing], scanned_at: str, classify: Classify | None = None
) -> Merge:
    """Adds what servers listed to a catalogue.

    Servers that were not scanned, or failed, stay as they are, and so do the corrections of people. A tool whose
    definition is unchanged keeps its classification; one that is new or changed is classified. A category without a
    confidence was written by a person, since classifiers give both, and stays.

    Args:
        catalogue: The catalogue before.
        listings: The scans.
        scanned_at: Their time (RFC 3339).
        classify: Gives a tool its category, risk and attributes.
    """
    servers = dict(catalogue.servers)
    changes = list[Change]()
    first = list[str]()
    warnings: dict[str, tuple[str, ...]] = {}
    for listing in listings:
        if listing.failure is not None:
            continue
        name = listing.target.name
        tools, said = tools_of(listing.target, listing.tools)
        warnings[name] = tuple(said)
        known = servers.get(name)
        before = {} if known is None else known.tools
        if known is None or not known.scanned_at:
            # A catalogue that a person began has no definitions to compare with.
            first.append(name)
        else:
            changes += _changes(name, before, tools, is_elsewhere=known.source != listing.target.source())
        title = _short(listing.title)
        of_server = None if classify is None else partial(_classified, classify, name, title)
        servers[name] = CatalogueServer(
            tools={key: _kept(before.get(key), tool, of_server) for key, tool in tools.items()},
            title=title,
            version=_short(listing.version),
            source=listing.target.source(),
            scanned_at=scanned_at,
            extra={} if known is None else known.extra,
        )
    return Merge(replace(catalogue, servers=servers), tuple(changes), tuple(first), warnings)


def _short(text: str) -> str:
    """A text of a server about itself, which a catalogue can hold."""
    return whole_characters(text[:MAX_NAME])


def _classified(classify: Classify, server: str, title: str, tool: Tool) -> Tool:
    return classify(tool, server, title)


def _kept(before: Tool | None, tool: Tool, classify: Callable[[Tool], Tool] | None) -> Tool:
    """A tool as it was listed now, with what is known of it."""
    if before is None:
        return tool if classify is None else classify(tool)
    extra = {**{key: value for key, value in before.extra.items() if key not in _OF_SCANS}, **tool.extra}
    carried = replace(
        tool,
        category=before.category,
        risk=before.risk,
        confidence=before.confidence,
        evidence=before.evidence,
        attributes=before.attributes,
        extra=extra,
    )
    if classify is None or _is_by_hand(before):
        return carried
    if before.category is not None and not _members(before, tool, is_elsewhere=True):
        return carried
    return classify(replace(tool, extra=extra))


def _is_by_hand(tool: Tool) -> bool:
    return tool.category is not None and tool.confidence is None


def _changes(
    server: str, before: Mapping[str, Tool], after: Mapping[str, Tool], *, is_elsewhere: bool
) -> Iterable[Change]:
    for name, tool in after.items():
        if name not in before:
            yield Change(server, name, "added")
        elif members := _members(before[name], tool, is_elsewhere=is_elsewhere):
            yield Change(server, name, "changed", members)
    for name in before:
        if name not in after:
            yield Change(server, name, "removed")


def _members(before: Tool, after: Tool, *, is_elsewhere: bool) -> tuple[str, ...]:
    """The fields that differ.

    Digests contain the endpoint as well, so that they say nothing where the server moved (`is_elsewhere`).
    """
    names = [one.name for one in fields(Tool) if one.name in _DEFINED]
    found = [name for name in names if getattr(before, name) != getattr(after, name)]
    found += [key for key in sorted(_OF_SCANS) if before.extra.get(key) != after.extra.get(key)]
    if not found and not is_elsewhere and before.digest != after.digest:
        # A member that catalogues do not keep, or text behind the part that is kept.
        found.append("definition")
    return tuple(found)
