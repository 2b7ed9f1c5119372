"""Builds the site of a catalogue."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from callgate.workbench.site.effects import EFFECTS, RISK_MEANINGS, RISK_NAMES
from callgate.workbench.site.facts import ToolFacts
from callgate.workbench.site.folder import SiteFolder
from callgate.workbench.site.listing import by_harm, categories_of, pages_of, risks_of
from callgate.workbench.site.paths import Stems
from callgate.workbench.site.policy_text import policy_yaml
from callgate.workbench.site.related import RelatedTools
from callgate.workbench.site.render import ASSETS, asset, render, site_title, tool_values
from callgate.workbench.site.search_index import search_index
from callgate.workbench.site.server_facts import MOST_IN_POLICY, ServerFacts

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from callgate.workbench.catalogue import Catalogue, Category, Risk, Tool
    from callgate.workbench.site.listing import Share

TITLE: Final = "Tool catalogue"
"""The title of a site without another one."""
_SHOWN: Final = 50
"""Tools of the first page before a search."""
_LARGEST: Final = 12
"""Servers of the first page."""


@dataclass(frozen=True, slots=True)
class BuiltSite:
    """The numbers of a site that was built."""

    pages: int
    servers: int
    tools: int
    unclassified: int
    """Tools without a category."""
    unrated: int
    """Tools with a category and without a risk."""
    poisoned: int
    """Tools whose definitions attack the model that reads them."""


def build_site(catalogue: Catalogue, folder: Path, title: str = TITLE) -> BuiltSite:
    """Writes the site of a catalogue; the folder then holds it and nothing else.

    Equal catalogues give equal bytes.

    Raises:
        ConfigError: The folder holds files that are no part of such a site, or cannot be written; it is unchanged.
    """
    site = _Site(catalogue, site_title(title) or TITLE)
    pages = 0
    with SiteFolder(folder) as target:
        for name in ASSETS:
            target.write(f"assets/{name}", asset(name))
        ordered = [(server.id, server.path) for server in site.servers]
        target.write("assets/catalogue.js", search_index(site.tools, ordered))
        for path, content in site.pages():
            target.write(path, content)
            pages += 1
    unclassified = sum(facts.tool.category is None for facts in site.tools)
    unrated = sum(facts.tool.category is not None and facts.tool.risk is None for facts in site.tools)
    return BuiltSite(pages, len(site.servers), len(site.tools), unclassified, unrated, len(site.poisoned))


class _Site:
    """The pages of a catalogue."""

    def __init__(self, catalogue: Catalogue, title: str) -> None:
        self._title = title
        self.servers = _servers(catalogue)
        self._by_id = {server.id: server for server in self.servers}
        self.tools = by_harm([facts for server in self.servers for facts in server.tools])
        self.poisoned = [facts for facts in self.tools if facts.attacks]
        self._categories = categories_of(self.tools)
        self._risks = risks_of(self.tools)
        self._category_paths = {share.key: share.path for share in self._categories}
        self._risk_paths = {share.key: share.path for share in self._risks}
        self._related = RelatedTools(self.tools)

    def pages(self) -> Iterator[tuple[str, str]]:
        """Each page's file with its content."""
        yield self._index()
        yield self._page("about.html", "about.html", "Guide")
        yield from self._server_list()
        for server in self.servers:
            yield from self._server(server)
        for category in self._categories:
            facts = [one for one in self.tools if one.tool.category == category.key]
            effect = EFFECTS[category.key]
            heading = f"Category {category.name}" if category.key else category.name
            rule = f"Recommended: {_lowered(effect.recommended)}"
            yield from self._share(category, facts, heading, effect.meaning, rule)
        for risk in self._risks:
            facts = [one for one in self.tools if one.tool.risk == risk.key]
            yield from self._share(risk, facts, RISK_NAMES[risk.key], RISK_MEANINGS[risk.key], "")
        for one in self.tools:
            yield self._tool(one)

    def _index(self) -> tuple[str, str]:
        largest = sorted(self.servers, key=lambda server: -len(server.tools))[:_LARGEST]
        return self._page(
            "index.html",
            "index.html",
            "",
            tools=self.tools,
            servers=self.servers,
            poisoned=self.poisoned,
            shown=self.tools[:_SHOWN],
            categories=self._categories,
            risks=self._risks,
            largest=largest,
            unclassified=next((one for one in self._categories if one.key is None and one.count), None),
        )

    def _server_list(self) -> Iterator[tuple[str, str]]:
        for page in pages_of("servers", self.servers):
            heading = _numbered("Servers", page.number)
            yield self._page("servers.html", page.path, heading, servers=self.servers, tools=self.tools, page=page)

    def _server(self, server: ServerFacts) -> Iterator[tuple[str, str]]:
        policy = server.policy()
        yaml = policy_yaml(policy) if policy is not None else ""
        for page in pages_of(server.stem, server.tools):
            heading = _numbered(server.name, page.number)
            yield self._page(
                "server.html", page.path, heading, server=server, page=page, yaml=yaml, most_in_policy=MOST_IN_POLICY
            )

    def _share(
        self, share: Share[Category] | Share[Risk], tools: Sequence[ToolFacts], heading: str, meaning: str, rule: str
    ) -> Iterator[tuple[str, str]]:
        for page in pages_of(share.path.removesuffix(".html"), tools):
            yield self._page(
                "share.html",
                page.path,
                _numbered(heading, page.number),
                heading=heading,
                meaning=meaning,
                rule=rule,
                count=share.count,
                page=page,
            )

    def _tool(self, facts: ToolFacts) -> tuple[str, str]:
        server = self._by_id[facts.server]
        return self._page(
            "tool.html",
            facts.path,
            facts.name,
            server=server,
            category_path=self._category_paths[facts.tool.category],
            risk_path=self._risk_paths[facts.tool.risk],
            here=self._related.here(facts),
            elsewhere=self._related.elsewhere(facts),
            **tool_values(facts),
        )

    def _page(self, template: str, path: str, head: str, **values: Any) -> tuple[str, str]:  # noqa: ANN401  as in render
        return path, render(template, path, head, self._title, **values)


def _servers(catalogue: Catalogue) -> list[ServerFacts]:
    stems = Stems()
    by_server: dict[str, list[Tool]] = {name: [] for name in catalogue.servers}
    for name, tool in catalogue.tools():
        by_server[name].append(tool)
    servers = []
    for name, server in catalogue.servers.items():
        stem = stems.of(name)
        tool_stems = Stems()
        corrections = catalogue.overrides.get(name, {})
        tools = [
            ToolFacts(name, tool, corrections.get(tool.name), f"tools/{stem}/{tool_stems.of(tool.name)}.html")
            for tool in by_server[name]
        ]
        servers.append(ServerFacts(name, server, by_harm(tools), f"servers/{stem}"))
    return servers


def _numbered(heading: str, number: int) -> str:
    return heading if number == 1 else f"{heading}, page {number}"


def _lowered(text: str) -> str:
    return text[:1].lower() + text[1:]
