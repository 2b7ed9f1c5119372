"""Everything that a server's page says."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from callgate.workbench.site.listing import categories_of, risks_of
from callgate.workbench.site.policies import recommended_rule
from callgate.workbench.site.shown import counted, line_of, listed, name_of, say

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from markupsafe import Markup

    from callgate.workbench.catalogue import CatalogueServer, Risk
    from callgate.workbench.site.facts import ToolFacts
    from callgate.workbench.site.listing import Share

MOST_IN_POLICY: Final = 100
"""Tools up to which a page shows the policy of the whole server."""
_LONGEST: Final = 200
_MOST_WORDS: Final = 12


@dataclass(frozen=True)
class ServerFacts:
    """A server with its page."""

    id: str
    """The name in the catalogue."""
    server: CatalogueServer
    tools: Sequence[ToolFacts]
    """Those with the greatest risk first."""
    stem: str
    """The page's file without suffix, relative to the site."""

    @property
    def path(self) -> str:
        """The first page."""
        return f"{self.stem}.html"

    @property
    def name(self) -> str:
        """The name on one line."""
        return name_of(self.id)

    @property
    def title(self) -> str:
        """The name that the server gives itself; empty if it is the same, or none."""
        title = line_of(self.server.title, _LONGEST)
        return "" if title == self.name else title

    @cached_property
    def shares(self) -> list[Share[Risk]]:
        """Its tools by risk, without risks that none has."""
        return [share for share in risks_of(self.tools) if share.count]

    @cached_property
    def source(self) -> str:
        """The address or the command, without what may be secret; empty if the catalogue has none."""
        url, command = self.server.source.get("url"), self.server.source.get("command")
        if isinstance(url, str):
            return line_of(_address(url), _LONGEST)
        if isinstance(command, list):
            words = [word for word in command if isinstance(word, str)][:_MOST_WORDS]
            return line_of(" ".join(words), _LONGEST)
        return ""

    @property
    def fields(self) -> Iterator[tuple[str, str]]:
        """Facts with their names."""
        if self.title:
            yield "Calls itself", self.title
        if self.server.version:
            yield "Version", line_of(self.server.version, _LONGEST)
        if self.source:
            yield "Reached by", self.source
        if self.server.scanned_at:
            yield "Listed at", line_of(self.server.scanned_at, _LONGEST)

    @cached_property
    def poisoned(self) -> list[ToolFacts]:
        """Its tools whose definitions attack the model that reads them."""
        return [facts for facts in self.tools if facts.attacks]

    @property
    def speaks(self) -> bool:
        """True if some of the facts are the server's own words."""
        return bool(self.title or self.server.version)

    def overview(self) -> Iterator[Markup]:
        """Paragraphs about the tools together."""
        shares = [share for share in categories_of(self.tools) if share.count]
        if not shares:
            yield say("The catalogue has no tools of this server.")
            return
        parts = [f"{share.count:,} {share.name if share.key else 'not classified'}" for share in shares]
        yield say("{count}: {parts}.", count=counted(len(self.tools), "tool"), parts=listed(parts))
        unknown = sum(facts.tool.category is None for facts in self.tools)
        if unknown:
            one = unknown == 1
            yield say(
                "{count} not classified. Rules for categories do not reach {them}, and only a policy whose default is "
                "`deny` denies {them}.",
                count=f"{counted(unknown, 'tool')} {'is' if one else 'are'}",
                them="it" if one else "them",
            )
        yield from self._together()

    def _together(self) -> Iterator[Markup]:
        kinds = {
            "private_data": "read private data",
            "untrusted_content": "return content of strangers",
            "sends_out": "send data out",
        }
        known = [facts.tool.attributes.known() for facts in self.tools]
        if all(any(one.get(kind) for one in known) for kind in kinds):
            yield say(
                "Among its tools are some that {kinds}. An agent that has all of them can be told by a stranger to "
                "carry private data out, so do not give all of them to one grant.",
                kinds=listed([f"{words}" for words in kinds.values()]),
            )

    def policy(self) -> dict[str, Any] | None:
        """The recommended rules of all its tools in one policy; None if there are too many."""
        if not self.tools or len(self.tools) > MOST_IN_POLICY:
            return None
        hidden: list[str] = []
        rules: dict[str, Any] = {}
        for facts in self.tools:
            if not facts.has_policy:
                return None
            one = recommended_rule(facts.tool)
            hidden += one.get("hide", [])
            rules.update(one.get("tools", {}))
        policy: dict[str, Any] = {"version": "1", "default": "deny"}
        if hidden:
            policy["hide"] = hidden
        if rules:
            policy["tools"] = rules
        return policy


def _address(url: str) -> str:
    """A URL without user, password, query and fragment."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return ""
    host = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{host}{port}{parts.path}" if host else ""
