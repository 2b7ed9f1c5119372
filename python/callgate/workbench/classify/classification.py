"""The classification of one tool and of a catalogue."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from callgate.text import visible
from callgate.workbench.catalogue import AMBIGUOUS, Attributes, Catalogue, Tool
from callgate.workbench.classify.attributes import attributes_of
from callgate.workbench.classify.category import decide

if TYPE_CHECKING:
    from callgate.workbench.catalogue import CatalogueServer, Category, Risk

_SEVERAL: Final = "Its server lists it several times, with different definitions, so that no category is known."


@dataclass(frozen=True, slots=True)
class Classification:
    """The classification of a tool."""

    category: Category
    risk: Risk
    confidence: float
    """From 0 to 1."""
    evidence: str
    """One sentence."""
    attributes: Attributes


def classify(tool: Tool, server: str) -> Classification:
    """Classifies a tool by its definition and the name of its server; the same input gives the same result."""
    decision = decide(tool, server)
    reason = decision.reason
    if not (reason.isascii() and reason.isprintable()):
        reason = visible(reason)
    return Classification(
        decision.category, decision.risk, decision.confidence, reason, attributes_of(tool, decision.category)
    )


def classified(catalogue: Catalogue) -> Catalogue:
    """The catalogue with the classification of every tool; corrections of people and other fields stay as they are."""
    return replace(catalogue, servers={name: _server(name, server) for name, server in catalogue.servers.items()})


def _server(name: str, server: CatalogueServer) -> CatalogueServer:
    tools = {key: classified_tool(tool, name, server.title) for key, tool in server.tools.items()}
    return replace(server, tools=tools)


def classified_tool(tool: Tool, server: str, title: str = "") -> Tool:
    """The tool with its classification; a server is known by its name and by the title that it gives itself."""
    found = classify(tool, f"{server} {title}".strip())
    if tool.extra.get(AMBIGUOUS) and found.category != "Destructive":
        # A call may do what another one of the definitions says.
        return replace(tool, category=None, risk=None, confidence=0.0, evidence=_SEVERAL, attributes=Attributes())
    return replace(
        tool,
        category=found.category,
        risk=found.risk,
        confidence=found.confidence,
        evidence=found.evidence,
        attributes=found.attributes,
    )
