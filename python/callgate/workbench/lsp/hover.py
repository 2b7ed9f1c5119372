"""The meaning of the key or value at a place, in the words of the schemas."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from callgate.workbench.lsp.schema import allowed_values, descriptions
from callgate.workbench.lsp.tokens import token_at

if TYPE_CHECKING:
    from collections.abc import Iterator

    from callgate.workbench.lsp.documents import OpenDocument
    from callgate.workbench.lsp.schema import Node


@dataclass(frozen=True)
class Meaning:
    """A text about a part of a document, in Markdown."""

    text: str
    start: int
    end: int


def meaning(document: OpenDocument, offset: int) -> Meaning | None:
    """The meaning of what is at an offset; None where nothing is known of it."""
    token = token_at(document.tokens, offset)
    if token is None or document.schema is None:
        return None
    nodes = document.schema.at(token.path, document.values, is_final=True)
    parts = [*descriptions(nodes), *_facts(nodes)]
    return Meaning("\n\n".join(parts), token.start, token.end) if parts else None


def _facts(nodes: list[Node]) -> Iterator[str]:
    if allowed := allowed_values(nodes):
        yield f"One of {', '.join(f'`{_shown(one)}`' for one in allowed)}."
    defaults = [node["default"] for node in nodes if "default" in node]
    if defaults and not isinstance(defaults[0], (dict, list)):
        yield f"Default: `{_shown(defaults[0])}`."
    examples = [one for node in nodes for one in node.get("examples", ())]
    if examples:
        yield f"For example {', '.join(f'`{_shown(one)}`' for one in examples)}."


def _shown(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)
