"""The facts about a tool under which two policies are compared, each with the servers at which they hold."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from callgate.workbench.catalogue import RISKS
from callgate.workbench.witness import ABSENT, canonical

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator, Sequence

    from callgate.workbench.catalogue import Catalogue


@dataclass(frozen=True)
class ToolFacts:
    """The category, risk and input schema of a tool at some servers."""

    servers: tuple[str, ...]
    category: str | None
    risks: tuple[Any, ...]
    """The risks that are possible; `ABSENT` for none."""
    input_schema: Any = None
    """None if it is not known."""

    @property
    def fixed(self) -> dict[str, Any]:
        """The values that all calls have, by path."""
        return {
            "category": self.category or ABSENT,
            "risk": self.risks[0] if len(self.risks) == 1 else list(self.risks),
            "server": self.servers[0] if len(self.servers) == 1 else list(self.servers),
        }


def assumed(category: str | None, servers: Sequence[str]) -> ToolFacts:
    """The facts about a tool of which no catalogue says more than, perhaps, a category."""
    return ToolFacts(tuple(servers), category, (ABSENT, *RISKS))


def of_catalogue(catalogue: Catalogue, name: str, servers: Sequence[str]) -> list[ToolFacts]:
    """The facts about a tool at each server; servers at which they are equal are together, as those without any."""
    found: dict[Hashable, tuple[list[str], Any]] = {}
    for server in servers:
        tool = catalogue.tool(server, name)
        correction = catalogue.overrides.get(server, {}).get(name)
        # A correction of a tool that its server does not list is in force, too.
        known = tool or correction
        category, risk = (known.category, known.risk) if known is not None else (None, None)
        schema = tool.input_schema if tool is not None else None
        key = (category, risk, canonical(schema))
        found.setdefault(key, ([], (category, risk, schema)))[0].append(server)
    return [
        ToolFacts(tuple(at), category, (risk or ABSENT,), schema) for at, (category, risk, schema) in found.values()
    ]


def names_in(catalogue: Catalogue, server: str | None) -> Iterator[str]:
    """The names of the catalogue's tools, at one server or at all."""
    for one, of in catalogue.servers.items():
        if server in (None, one):
            yield from of.tools
    for one, corrections in catalogue.overrides.items():
        if server in (None, one):
            yield from corrections


def servers_in(catalogue: Catalogue) -> Iterator[str]:
    """The servers of which a catalogue says something."""
    yield from catalogue.servers
    yield from catalogue.overrides
