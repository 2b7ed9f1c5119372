"""Tools that servers have listed, as the state folder has them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from callgate._callgate import pins_read
from callgate.errors import CallgateError

if TYPE_CHECKING:
    from pathlib import Path


def seen_tools(folder: Path, server: str) -> list[dict[str, Any]]:
    """The tools of a server as `pins_read` gives them.

    None if no list of the server was seen yet, or if its file cannot be read: then its calls say so.
    """
    try:
        return [tool for one in pins_read(folder, server) for tool in one["tools"]]
    except CallgateError:
        return []
