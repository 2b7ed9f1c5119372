"""The tools of a catalogue, as classes."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any, Final, Literal, get_args

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

Category = Literal["Read", "Write", "Execute", "Destructive", "Financial"]
Risk = Literal["low", "medium", "high", "critical"]

CATEGORIES: Final[tuple[Category, ...]] = get_args(Category)
"""The categories, in the order of the contract (docs/policy.md)."""
RISKS: Final[tuple[Risk, ...]] = get_args(Risk)
"""The risks, the least first."""
RISK_OF: Final[dict[Category, Risk]] = {
    "Read": "low",
    "Write": "medium",
    "Execute": "high",
    "Destructive": "critical",
    "Financial": "critical",
}
"""The risk of each category, by reversibility."""

AMBIGUOUS: Final = "x-ambiguous"
"""True for a tool that was listed several times with different definitions; the first is kept."""


@dataclass(frozen=True, slots=True)
class Attributes:
    """The data that a tool reads, sees and sends; None where it is not known."""

    private_data: bool | None = None
    """Reads data that is not public."""
    untrusted_content: bool | None = None
    """Returns content that strangers could have written."""
    sends_out: bool | None = None
    """Can send data to others."""
    reversible: bool | None = None
    """Its effect can be undone by an ordinary call."""
    open_world: bool | None = None
    """Reaches systems beyond its own server's."""

    def known(self) -> dict[str, bool]:
        """The attributes that are known, by name."""
        return {one.name: value for one in fields(self) if (value := getattr(self, one.name)) is not None}

    def corrected(self, correction: Attributes) -> Attributes:
        """These attributes with those that a person has given in their place."""
        return replace(self, **correction.known())


@dataclass(frozen=True, slots=True)
class Tool:
    """One tool of a server: its definition as the server lists it, and its classification."""

    name: str
    title: str = ""
    description: str = ""
    input_schema: Mapping[str, Any] | None = None
    output_schema: Mapping[str, Any] | None = None
    annotations: Mapping[str, Any] = field(default_factory=dict)
    """Hints of the tool's server, which nobody has checked."""
    digest: str | None = None
    """SHA-256 of the definition in hex, as pinned tools have it (docs/pinning.md)."""
    category: Category | None = None
    risk: Risk | None = None
    confidence: float | None = None
    """The confidence of the classification, from 0 to 1."""
    evidence: str = ""
    """The reason for category and risk, as one sentence."""
    attributes: Attributes = field(default_factory=Attributes)
    extra: Mapping[str, Any] = field(default_factory=dict)
    """Fields that begin with `x-`, kept as they are."""

    def corrected(self, correction: Correction) -> Tool:
        """The tool with what a person has said of it. The risk of another category is not that of the tool any more."""
        category = correction.category or self.category
        by_category = RISK_OF[category] if category is not None and category != self.category else None
        return replace(
            self,
            category=category,
            risk=correction.risk or by_category or self.risk,
            attributes=self.attributes.corrected(correction.attributes),
        )


@dataclass(frozen=True, slots=True)
class Correction:
    """A person's correction of a tool's classification, which later scans keep."""

    category: Category | None = None
    risk: Risk | None = None
    attributes: Attributes = field(default_factory=Attributes)
    reason: str = ""
    extra: Mapping[str, Any] = field(default_factory=dict)

    @property
    def has_effect(self) -> bool:
        """True if it gives something in place of the classification; a reason alone corrects nothing."""
        return bool(self.category or self.risk or self.attributes.known())


@dataclass(frozen=True, slots=True)
class CatalogueServer:
    """The tools of one server, and where they were listed."""

    tools: Mapping[str, Tool]
    """By name, in the order of the file."""
    title: str = ""
    version: str = ""
    source: Mapping[str, Any] = field(default_factory=dict)
    """`url`, or `command` as a list of words; never a secret."""
    scanned_at: str = ""
    """Time at which the tools were listed, RFC 3339; empty if nobody has listed them."""
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Catalogue:
    """The tools of several servers, with the corrections of people."""

    servers: Mapping[str, CatalogueServer] = field(default_factory=dict)
    overrides: Mapping[str, Mapping[str, Correction]] = field(default_factory=dict)
    """By server, then by tool; also of tools that no server lists at the moment."""
    extra: Mapping[str, Any] = field(default_factory=dict)

    def tool(self, server: str, name: str) -> Tool | None:
        """A tool with its correction, as decisions see it."""
        found = self.servers[server].tools.get(name) if server in self.servers else None
        correction = self.overrides.get(server, {}).get(name)
        return found.corrected(correction) if found is not None and correction is not None else found

    def tools(self) -> Iterator[tuple[str, Tool]]:
        """Each server's name with each of its tools, corrected."""
        for server, of in self.servers.items():
            corrections = self.overrides.get(server, {})
            for name, tool in of.tools.items():
                correction = corrections.get(name)
                yield server, tool if correction is None else tool.corrected(correction)
