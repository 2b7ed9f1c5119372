"""Digests of definitions, made by the code that pins tools, so that they can be compared with pinned ones."""

from __future__ import annotations

from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from callgate._callgate import pins_read, pins_record
from callgate.errors import CallgateError
from callgate.exact_json import write_json
from callgate.workbench.scan.bad_items import bad_ones

if TYPE_CHECKING:
    from collections.abc import Sequence

    from callgate.workbench.scan.target import Target

_SERVER = "scanned"


def digests_of(target: Target, definitions: Sequence[dict[str, Any]]) -> dict[str, str]:
    """The digest of each definition by the tool's name, without those that cannot be pinned.

    Args:
        target: The server, whose endpoint is part of each digest.
        definitions: Definitions of different names.
    """
    found: dict[str, str] = {}

    def fault(some: Sequence[dict[str, Any]]) -> str | None:
        try:
            found.update(_recorded(target, some))
        except CallgateError as error:
            return str(error)
        return None

    # One definition that cannot be pinned must not cost the others their digests.
    bad_ones(definitions, fault)
    return found


def _recorded(target: Target, definitions: Sequence[dict[str, Any]]) -> dict[str, str]:
    url, command = target.endpoint()
    answer = write_json({"tools": list(definitions)}).encode("ascii")
    with TemporaryDirectory(prefix="callgate-scan-") as folder:
        pins_record(folder, _SERVER, url, command, answer)
        tools = pins_read(folder, _SERVER)[0]["tools"]
    return {tool["tool"]: form["digest"] for tool in tools for form in tool["pinned"]}
