"""The counters of a policy: their names, and all places of one."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Final

from callgate.errors import ConfigError
from callgate.text import quoted
from callgate.workbench.lsp.kinds import Kind
from callgate.workbench.lsp.tokens import token_at

if TYPE_CHECKING:
    from callgate.config.document import KeyPath
    from callgate.workbench.lsp.documents import OpenDocument
    from callgate.workbench.lsp.words import Token

_PLAIN: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_./-]*")
_OF_ITEM: Final = 3
"""`limits`, the index and `counter`."""


class RenameError(ConfigError):
    """A name that a counter cannot get."""


def is_counter(path: KeyPath) -> bool:
    """True for the name of a limit's counter."""
    match path[-_OF_ITEM:]:
        case ("limits", int(), "counter"):
            return True
    return False


def counter_names(document: OpenDocument) -> list[str]:
    """The names of all counters, each once."""
    return list(dict.fromkeys(one.text for one in _places(document)))


def counter_at(document: OpenDocument, offset: int) -> Token | None:
    """The name of a counter at an offset."""
    token = token_at(document.tokens, offset)
    is_name = document.kind is Kind.POLICY and token is not None and not token.is_key and is_counter(token.path)
    return token if is_name else None


def renamed(document: OpenDocument, offset: int, name: str) -> list[tuple[int, int, str]]:
    """The edits that give the counter at an offset another name: start, end and text of each.

    Raises:
        RenameError: There is no counter, the name is no name, or another counter has it: both would become one.
    """
    old = counter_at(document, offset)
    if old is None:
        message = (
            "only the counter of a limit has a name that can be changed; that of `rate_limit` comes from its entry"
        )
        raise RenameError(message)
    if not name or "\0" in name or "\n" in name:
        message = "expected a name of at least one character, on one line"
        raise RenameError(message)
    if name != old.text and name in {*counter_names(document), *_of_rate_limits(document)}:
        message = f"there is a counter {quoted(name)} already; both would count together"
        raise RenameError(message)
    places = [one for one in _places(document) if one.text == old.text]
    return [(one.start, one.end, _spelled(document, one, name)) for one in places]


def _places(document: OpenDocument) -> list[Token]:
    return [one for one in document.tokens if not one.is_key and is_counter(one.path)]


def _of_rate_limits(document: OpenDocument) -> set[str]:
    """The names of the counters that `rate_limit` makes (docs/policy.md, section 1)."""
    found: set[str] = set()
    for one in document.tokens:
        match one.path:
            case ("tools", str(key), "rate_limit"):
                found.add(f"{key}_rate")
            case ("categories", str(key), "rate_limit"):
                found.add(f"category.{key}_rate")
            case ("all_tools", "rate_limit"):
                found.add("all_tools_rate")
    return found


def _spelled(document: OpenDocument, token: Token, name: str) -> str:
    was_quoted = document.text[token.start] in "\"'"
    is_plain = _PLAIN.fullmatch(name) is not None and name.lower() not in {"true", "false", "null", "yes", "no"}
    return name if is_plain and not was_quoted and not document.is_json else json.dumps(name, ensure_ascii=False)
