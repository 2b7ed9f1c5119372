"""Commands and URLs of servers behind callgate, and the originals in them.

A server over pipes stands behind `callgate wrap`, whose command ends with the server's own. A server over HTTP stands
behind the gateway. There the original URL follows as the fragment, which clients never send to a server.
"""

from __future__ import annotations

import re
from pathlib import PurePath, PureWindowsPath
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

if TYPE_CHECKING:
    from collections.abc import Sequence

_ROUTE: Final = re.compile(r"(https?://[^/?#\s]+/mcp/[^/?#\s]+)#(https?://.*)", re.DOTALL)
_END: Final = "--"
_CONNECT_OPTIONS: Final = frozenset({"--token-file", "--header", "--ca"})
"""Options of `callgate connect` whose value is the next word."""


def callgate_command(words: Sequence[str]) -> str | None:
    """The command of callgate that words run, such as `wrap`; None if they run something else."""
    if len(words) < 2:  # noqa: PLR2004  a program and a word
        return None
    name = PureWindowsPath(words[0]).name if "\\" in words[0] else PurePath(words[0]).name
    if name.removesuffix(".exe") == "callgate":
        return words[1]
    if len(words) > 3 and words[1:3] == ["-m", "callgate"]:  # noqa: PLR2004  and a word after them
        return words[3]
    return None


def end_of_options(words: Sequence[str]) -> int | None:
    """The index of the `--` before the server's own command in a command of `callgate wrap`."""
    if callgate_command(list(words)) != "wrap" or _END not in words:
        return None
    index = list(words).index(_END)
    return index if index + 1 < len(words) else None


def original_words(words: Sequence[str]) -> tuple[str, ...] | None:
    """The server's own command behind `callgate wrap`; None if the words are another command."""
    index = end_of_options(words)
    return None if index is None else tuple(words[index + 1 :])


def connected_url(words: Sequence[str]) -> str | None:
    """The URL of a command of `callgate connect`; None if the words are another command."""
    if callgate_command(list(words)) != "connect":
        return None
    after = iter(words[list(words).index("connect") + 1 :])
    for word in after:
        if word in _CONNECT_OPTIONS:
            # Its value may look like a URL, but the client does not go there.
            next(after, None)
        elif re.match(r"https?://", word):
            return word
    return ""


def routed(gateway: str, server: str) -> str:
    """The URL of a server behind a gateway."""
    return f"{gateway.rstrip('/')}/mcp/{quote(server, safe='')}"


def wrapped_url(url: str) -> tuple[str, str] | None:
    """The gateway's URL and the original one; None if the URL does not contain both."""
    found = _ROUTE.fullmatch(url)
    return None if found is None else (found[1], found[2])
