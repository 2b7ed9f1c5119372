"""Descriptions and input schemas of tools, as people who answer are shown them."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any, Final

from callgate._callgate import pins_read
from callgate.config.policies import read_catalogue
from callgate.errors import CallgateError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from callgate.config.bundle import Bundle

_FRESH_S: Final = 2.0
"""Time after which the definitions of a server are read again."""

_MEMBERS: Final = {"description": "description", "inputSchema": "input_schema"}


class Definitions:
    """The definitions of tools: as they are pinned, else as the catalogue has them."""

    def __init__(self, bundle: Callable[[], Bundle]) -> None:
        """Takes the function that gives the configuration in force."""
        self._bundle = bundle
        self._known: dict[str, tuple[float, dict[str, dict[str, Any]]]] = {}

    def of(self, server: str, tool: str) -> Mapping[str, Any] | None:
        """The `description` and the `input_schema` of a tool; None if neither is known."""
        now_s = time.monotonic()
        read_s, known = self._known.get(server, (-_FRESH_S, {}))
        if now_s - read_s >= _FRESH_S:
            known = {**self._of_catalogue(server), **self._of_pins(server)}
            # Configured servers and no others are in either, so that these are few.
            self._known = {**self._known, server: (now_s, known)} if known else self._known
        return known.get(tool)

    def _of_pins(self, server: str) -> dict[str, dict[str, Any]]:
        try:
            [of_server] = pins_read(self._bundle().pins_folder, server)
        except (CallgateError, ValueError):
            # Nothing is pinned there; a file that cannot be read is reported by the calls that need it.
            return {}
        accepted = {tool["tool"]: tool["pinned"][-1]["members"] for tool in of_server["tools"] if tool["pinned"]}
        return {
            tool: {_MEMBERS[name]: json.loads(text) for name, text in members if name in _MEMBERS}
            for tool, members in accepted.items()
        }

    def _of_catalogue(self, server: str) -> dict[str, dict[str, Any]]:
        path = self._bundle().config.catalogue
        if path is None:
            return {}
        catalogue = read_catalogue(path)
        if catalogue is None:
            return {}
        tools = catalogue.document.data["servers"].get(server, {}).get("tools", {})
        return {
            tool: {name: facts[name] for name in _MEMBERS.values() if name in facts} for tool, facts in tools.items()
        }
