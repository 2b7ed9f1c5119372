"""Findings about tools: poisoned text, look-alike names, dangerous arguments, false hints."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from callgate.text import did_you_mean, masked, visible
from callgate.workbench.classify.arguments import carried, texts_of
from callgate.workbench.classify.lookalikes import disguised, lookalikes
from callgate.workbench.classify.poison import LONGEST, hidden_in, instruction_in

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from callgate.workbench.catalogue import Catalogue, Tool

Level = Literal["error", "warning", "note"]
Code = Literal[
    "model-instruction",
    "hidden-text",
    "disguised-name",
    "look-alike-name",
    "false-hint",
    "command-argument",
    "sql-argument",
    "path-argument",
    "url-argument",
    "leak",
    "lost-correction",
]


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of findings."""

    level: Level
    owasp: tuple[str, ...]
    """Identifiers of the OWASP MCP Top 10 (2025)."""
    summary: str


KINDS: Final[dict[Code, Kind]] = {
    "model-instruction": Kind("error", ("MCP03:2025", "MCP06:2025"), "Text of a tool that instructs the model"),
    "hidden-text": Kind("error", ("MCP03:2025",), "Text of a tool that people do not see"),
    "disguised-name": Kind("error", ("MCP03:2025", "MCP09:2025"), "Name with letters that look like others"),
    "look-alike-name": Kind(
        "warning", ("MCP03:2025", "MCP09:2025"), "Name that differs from another tool's by case or look"
    ),
    "false-hint": Kind("warning", ("MCP02:2025",), "Server's hint that contradicts the evidence"),
    "command-argument": Kind("note", ("MCP05:2025",), "Argument that carries commands or code"),
    "sql-argument": Kind("note", ("MCP05:2025",), "Argument that carries SQL or another query language"),
    "path-argument": Kind("note", ("MCP05:2025",), "Argument that carries paths"),
    "url-argument": Kind("note", ("MCP05:2025", "MCP10:2025"), "Argument that carries URLs"),
    "leak": Kind("warning", ("MCP10:2025", "MCP02:2025"), "Tools of one grant that together can leak private data"),
    "lost-correction": Kind("warning", ("MCP02:2025",), "Correction without an effect"),
}
"""By code: the level and the OWASP identifiers. Errors are what counts as poisoned."""

MOST_CHARACTERS: Final = 512_000
"""Bound of the text of one tool that is searched; a tool with more is reported."""
_SHOWN: Final = 120
_SHORTEST: Final = 4
"""Shorter texts of schemas instruct nobody."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One finding."""

    code: Code
    message: str
    server: str = ""
    tool: str = ""
    path: tuple[str, ...] = ()
    """Steps in the catalogue's document that lead to the text; empty for findings about a grant."""
    grant: str = ""

    @property
    def level(self) -> Level:
        """Its severity."""
        return KINDS[self.code].level

    @property
    def owasp(self) -> tuple[str, ...]:
        """Identifiers of the OWASP MCP Top 10."""
        return KINDS[self.code].owasp

    def json(self, place: tuple[int, int] | None) -> dict[str, Any]:
        """The finding as JSON, with its line and column if it has a place in a file."""
        found: dict[str, Any] = {
            "code": self.code, "level": self.level, "owasp": list(self.owasp), "server": self.server,
            "tool": self.tool, "message": self.message,
        }  # fmt: skip
        if place is not None:
            found.update(line=place[0], column=place[1])
        return {**found, "grant": self.grant} if self.grant else found


def poison_findings(tool: Tool, server: str = "") -> Iterator[Finding]:
    """Findings of level error about the texts of one tool, one for each text."""
    at = ("servers", server, "tools", tool.name)
    if (reason := disguised(tool.name)) is not None:
        yield Finding("disguised-name", f"the name {_shown(tool.name)} {reason}", server, tool.name, at)
    texts, is_whole = texts_of_tool(tool)
    left = MOST_CHARACTERS
    for place, text in texts:
        steps = (*at, *place)
        if len(text) > LONGEST or len(text) > left:
            yield Finding("hidden-text", f"{_place(place)} is longer than what is searched", server, tool.name, steps)
        if len(text) > left:
            break
        left -= len(text)
        hidden = hidden_in(text)
        if hidden is not None:
            yield Finding("hidden-text", f"{_place(place)} has {hidden.kind}", server, tool.name, steps)
        instruction = instruction_in(text)
        if instruction is not None:
            disguise = f" (disguised: {instruction.disguise})" if instruction.disguise else ""
            message = f"{_place(place)} has text that {instruction.aim}{disguise}: {_shown(instruction.words)}"
            yield Finding("model-instruction", message, server, tool.name, steps)
    if not is_whole:
        yield Finding("hidden-text", "its schemas have more texts than are searched", server, tool.name, at)


def tool_findings(tool: Tool, server: str = "") -> Iterator[Finding]:
    """Every finding about one tool."""
    yield from poison_findings(tool, server)
    at = ("servers", server, "tools", tool.name)
    if tool.annotations.get("readOnlyHint") is True and tool.category not in (None, "Read"):
        evidence = tool.evidence or "the catalogue says so"
        message = f"the server says that it is read-only, but it is {tool.category}: {evidence}"
        yield Finding("false-hint", message, server, tool.name, (*at, "annotations", "readOnlyHint"))
    codes: dict[str, Code] = {
        "command": "command-argument", "sql": "sql-argument", "path": "path-argument", "url": "url-argument",
    }  # fmt: skip
    for argument, kind in carried(tool.input_schema):
        what = {"command": "commands or code", "sql": "a query language", "path": "paths", "url": "URLs"}[kind]
        steps = (*at, "input_schema", "properties", argument)
        yield Finding(codes[kind], f"the argument {_shown(argument)} carries {what}", server, tool.name, steps)


def catalogue_findings(catalogue: Catalogue, servers: Collection[str] | None = None) -> list[Finding]:
    """Every finding about the tools of a classified catalogue, in the order of its file.

    Args:
        catalogue: The catalogue; names are compared over all of its servers.
        servers: The servers whose tools and corrections are reported; by default all.
    """
    found = [one for one in _lost_corrections(catalogue) if servers is None or one.server in servers]
    names = [(server, tool.name) for server, tool in catalogue.tools()]
    alike = lookalikes(names)
    for server, tool in catalogue.tools():
        if servers is not None and server not in servers:
            continue
        found += tool_findings(tool, server)
        if (other := alike.get((server, tool.name))) is not None:
            message = f"the name {_shown(tool.name)} looks like {_shown(other.tool)} of server {_shown(other.server)}"
            if other.more:
                message += f", and like {other.more} more"
            place = ("servers", server, "tools", tool.name)
            found.append(Finding("look-alike-name", message, server, tool.name, place))
    return found


def _lost_corrections(catalogue: Catalogue) -> Iterator[Finding]:
    """Corrections without an effect, such as those of a misspelt name: the person who made one believes otherwise."""
    for server, corrections in catalogue.overrides.items():
        known = catalogue.servers.get(server)
        for tool, correction in corrections.items():
            path = ("overrides", server, tool)
            if known is None:
                why = f"the catalogue has no server {_shown(server)}{did_you_mean(server, list(catalogue.servers))}"
            elif tool not in known.tools:
                near = did_you_mean(tool, list(known.tools))
                why = f"the catalogue has no tool {_shown(tool)} at {_shown(server)}{near}"
            elif not correction.has_effect:
                why = "it gives no category, no risk and no attribute"
            else:
                continue
            message = f"the correction has no effect: {why}"
            yield Finding("lost-correction", message, server, tool, path)


def texts_of_tool(tool: Tool) -> tuple[list[tuple[tuple[str, ...], str]], bool]:
    """Every text of a tool that a model may read, with the steps to it from the tool; False if there are more."""
    found: list[tuple[tuple[str, ...], str]] = [(("title",), tool.title), (("description",), tool.description)]
    is_whole = True
    parts = {"annotations": tool.annotations, "input_schema": tool.input_schema, "output_schema": tool.output_schema}
    for part, value in parts.items():
        texts, has_all = texts_of(value)
        is_whole = is_whole and has_all
        found += [((part, *path), text) for path, text in texts if len(text) >= _SHORTEST]
    return [(place, text) for place, text in found if text], is_whole


def _place(place: tuple[str, ...]) -> str:
    return "the description" if place == ("description",) else f"`{visible('/'.join(place))}`"


def _shown(text: str) -> str:
    """A foreign text in backticks, with everything visible that controls a terminal or is invisible there."""
    seen = visible(masked(" ".join(text.split(" "))))
    return f"`{seen if len(seen) <= _SHOWN else seen[:_SHOWN] + '...'}`"
