"""Tools that together leak: one sees content of strangers, one reads private data, one can send data out.

Content of a stranger can instruct the model to read what is private and to send it to him. A grant that may call tools
with all three attributes has this risk, however harmless each tool is by itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Final

from callgate.workbench.classify.findings import Finding

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from callgate.workbench.catalogue import Attributes, Catalogue

MOST: Final = 20
"""Combinations of one grant that are named; the message of the last one says how many more there are."""
_PARTS: Final = ("untrusted_content", "private_data", "sends_out")
_SAID: Final = {
    "untrusted_content": "sees untrusted content",
    "private_data": "reads private data",
    "sends_out": "can send data out",
}


@dataclass(frozen=True, slots=True)
class Grant:
    """A grant and the tools that it may call."""

    name: str
    tools: tuple[tuple[str, str], ...]
    """Server and tool."""


@dataclass(frozen=True, slots=True)
class Leak:
    """One to three tools that together have all three attributes; without one of them they do not."""

    tools: tuple[tuple[str, str], ...]
    parts: tuple[tuple[str, ...], ...]
    """For each tool the attributes that it brings."""


def leaks(catalogue: Catalogue, tools: Sequence[tuple[str, str]]) -> list[Leak]:
    """The smallest combinations of these tools that leak: single tools, else pairs, else triples.

    Larger combinations than the smallest ones follow from the same tools, so pairs leave out tools that leak alone, and
    triples are looked for if no pair was found.
    """
    roles = _roles(catalogue, tools)
    whole = frozenset(_PARTS)
    alone = [(place, parts) for place, parts in roles if parts == whole]
    found = [Leak((place,), (_ordered(parts),)) for place, parts in alone]
    rest = [(place, parts) for place, parts in roles if parts != whole]
    pairs = [
        Leak((one, other), (_ordered(parts), _ordered(more)))
        for (one, parts), (other, more) in combinations(rest, 2)
        if parts | more == whole
    ]
    found += pairs
    if not found:
        found += _triples(rest)
    return found


def _roles(catalogue: Catalogue, tools: Iterable[tuple[str, str]]) -> list[tuple[tuple[str, str], frozenset[str]]]:
    found = []
    for server, name in tools:
        tool = catalogue.tool(server, name)
        parts = _parts(tool.attributes) if tool is not None else frozenset()
        if parts:
            found.append(((server, name), parts))
    return found


def _parts(attributes: Attributes) -> frozenset[str]:
    return frozenset(part for part in _PARTS if getattr(attributes, part))


def _ordered(parts: frozenset[str]) -> tuple[str, ...]:
    return tuple(part for part in _PARTS if part in parts)


def _triples(roles: Sequence[tuple[tuple[str, str], frozenset[str]]]) -> list[Leak]:
    by_part = [[place for place, parts in roles if parts == {part}] for part in _PARTS]
    if not all(by_part):
        return []
    # One triple says it; the others differ by tools of the same kind.
    return [Leak(tuple(places[0] for places in by_part), tuple((part,) for part in _PARTS))]


def leak_findings(catalogue: Catalogue, grants: Iterable[Grant]) -> Iterator[Finding]:
    """A finding for each combination of each grant, at most `MOST` of one grant."""
    for grant in grants:
        found = leaks(catalogue, grant.tools)
        for index, leak in enumerate(found[:MOST]):
            more = (
                f" ({len(found) - MOST} more such combinations are not shown)"
                if index == MOST - 1 and len(found) > MOST
                else ""
            )
            yield Finding("leak", _message(leak) + more, leak.tools[0][0], leak.tools[0][1],
                          ("servers", leak.tools[0][0], "tools", leak.tools[0][1]), grant.name)  # fmt: skip


def _message(leak: Leak) -> str:
    said = [
        f"`{server}/{tool}` {' and '.join(_SAID[part] for part in parts)}"
        for (server, tool), parts in zip(leak.tools, leak.parts, strict=True)
    ]
    return ("together: " if len(said) > 1 else "") + ", ".join(said)
