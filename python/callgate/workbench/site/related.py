"""Tools that a reader of one page may want to see next."""

from __future__ import annotations

from collections import defaultdict
from itertools import islice
from typing import TYPE_CHECKING, Final

from callgate.workbench.site.words import singular

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Iterator

    from callgate.workbench.site.facts import ToolFacts

_MOST: Final = 6
"""Tools of one list."""
_MOST_OF_SERVER: Final = 2
"""Tools of one server in a list of other servers' tools, so that none fills it."""


class RelatedTools:
    """Finds related tools in a time that does not depend on their number."""

    def __init__(self, tools: Iterable[ToolFacts]) -> None:
        """Takes all tools of the site, in the order in which lists show them."""
        self._near: defaultdict[Hashable, list[ToolFacts]] = defaultdict(list)
        """By server and thing, by server and topic, and by server alone; one more than is shown."""
        self._elsewhere: defaultdict[Hashable, dict[str, list[ToolFacts]]] = defaultdict(dict)
        """By category and thing, and so on; then by server."""
        for facts in tools:
            for key in self._near_keys(facts):
                if len(self._near[key]) <= _MOST:
                    self._near[key].append(facts)
            for key in self._far_keys(facts):
                servers = self._elsewhere[key]
                if facts.server in servers or len(servers) <= _MOST:
                    of = servers.setdefault(facts.server, [])
                    if len(of) < _MOST_OF_SERVER:
                        of.append(facts)

    def here(self, facts: ToolFacts) -> list[ToolFacts]:
        """Tools of the same server: about the same thing first."""
        return _first(facts, (self._near[key] for key in self._near_keys(facts)))

    def elsewhere(self, facts: ToolFacts) -> list[ToolFacts]:
        """Tools of other servers, of the same category: about the same thing first."""
        lists = (
            of for key in self._far_keys(facts) for server, of in self._elsewhere[key].items() if server != facts.server
        )
        return _first(facts, lists)

    @staticmethod
    def _near_keys(facts: ToolFacts) -> Iterator[Hashable]:
        if facts.words.things:
            yield facts.server, "thing", singular(facts.words.things[-1])
        if facts.topic is not None:
            yield facts.server, "topic", facts.topic.noun
        yield facts.server

    @staticmethod
    def _far_keys(facts: ToolFacts) -> Iterator[Hashable]:
        if facts.words.things:
            yield facts.tool.category, "thing", singular(facts.words.things[-1])
        if facts.topic is not None:
            yield facts.tool.category, "topic", facts.topic.noun
        yield facts.tool.category


def _first(facts: ToolFacts, lists: Iterable[list[ToolFacts]]) -> list[ToolFacts]:
    found = {one.path: one for of in lists for one in of if one is not facts}
    return list(islice(found.values(), _MOST))
