"""The configuration in force, as housekeeping asks about it."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from callgate._callgate import ManagedGrants, pins_read
from callgate.config.upstreams import Pinning
from callgate.errors import CallgateError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from callgate._callgate import Engine
    from callgate.control.sidecar import Plan


class PlanInForce:
    """The plan that a sidecar serves."""

    def __init__(self, engine: Engine, plan: Callable[[], Plan]) -> None:
        """Takes the engine, and the function that gives the plan, which a reload replaces."""
        self._engine = engine
        self._plan = plan

    def policy_versions(self) -> frozenset[str]:
        """The versions of the policies: the first digits of their digests."""
        return frozenset(policy.version for policy in self._engine.policies)

    def configured_grants(self, grants: Collection[str]) -> dict[str, bool]:
        """The configured ones among these grants, each with true if it is revoked."""
        return ManagedGrants(self._engine).known(list(grants)) if grants else {}

    def pins_stamp(self) -> int | None:
        """A number that changes with the files of pins; None without a folder."""
        try:
            # Each file is replaced by another one of its name, which is a change of the folder.
            return self._plan().bundle.pins_folder.stat().st_mtime_ns
        except OSError:
            return None

    def pin_digests(self, server: str, tools: Collection[str]) -> dict[str, str]:
        """The digests of the pinned forms of these tools; none of a tool for which that cannot be told."""
        plan = self._plan()
        known = plan.config.servers.get(server)
        if known is None or known.upstream is None or known.upstream.pinning is Pinning.OFF:
            return {}
        folder = plan.bundle.pins_folder
        try:
            found = {tool["tool"]: tool for one in pins_read(folder, server) for tool in one["tools"]}
        except CallgateError:
            return {}
        none: dict[str, Any] = {"pinned": [], "listed": []}
        return {tool: _digest(found.get(tool, none), known.upstream.pinning) for tool in tools}


def _digest(tool: Mapping[str, Any], pinning: Pinning) -> str:
    """The digest of a tool's pinned forms (docs/policy.md, section 6)."""
    if pinning is Pinning.ENFORCE:
        digests = sorted(bytes.fromhex(form["digest"]) for form in tool["pinned"])
    else:
        digests = [bytes.fromhex(form["digest"]) for form in (*tool["pinned"], *tool["listed"])[-1:]]
    return hashlib.sha256(b"".join(digests)).hexdigest()
