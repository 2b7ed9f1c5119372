"""The data of the search: a script, because a page from a file may not read another file."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from callgate.workbench.catalogue import CATEGORIES, RISKS
from callgate.workbench.site.shown import line_of, name_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from callgate.workbench.site.facts import ToolFacts

_LONGEST_WORDS: Final = 160
"""Characters of a description that the search looks at."""


def search_index(tools: Sequence[ToolFacts], servers: Sequence[tuple[str, str]]) -> str:
    """The script that defines the tools of the search.

    Args:
        tools: The tools, in the order in which they are shown.
        servers: The name and the page of each server.
    """
    numbers = {name: number for number, (name, _) in enumerate(servers)}
    data = {
        "servers": [[name_of(name), path] for name, path in servers],
        "categories": [*CATEGORIES, "Not classified"],
        "risks": [*RISKS, "unknown"],
        "chips": _chips(tools),
        "tools": [_row(facts, numbers[facts.server]) for facts in tools],
    }
    # ASCII: the script is the same whatever encoding a reader takes it for.
    return f"window.callgateCatalogue = {json.dumps(data, separators=(',', ':'))};\n"


def _chips(tools: Sequence[ToolFacts]) -> dict[str, str]:
    """The recommended rule of each category, in a few words."""
    return {facts.tool.category or "Not classified": facts.effect.chip for facts in tools}


def _row(facts: ToolFacts, server: int) -> list[Any]:
    tool = facts.tool
    category = len(CATEGORIES) if tool.category is None else CATEGORIES.index(tool.category)
    risk = len(RISKS) if tool.risk is None else RISKS.index(tool.risk)
    words = line_of(f"{tool.title} {tool.description}"[: 4 * _LONGEST_WORDS], _LONGEST_WORDS)
    return [facts.name, facts.path, server, category, risk, facts.summary, words, int(bool(facts.attacks))]
