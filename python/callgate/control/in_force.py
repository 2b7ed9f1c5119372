"""The configuration in force, as housekeeping asks about it."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from callgate._callgate import pins_read
from callgate.config.state import pins_folder
from callgate.config.upstreams import Pinning
from callgate.errors import CallgateError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

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

    def gone_grants(self, grants: Collection[str]) -> dict[str, str]:
        """Of these grants, those that are revoked or not configured, each with the reason."""
        bundle, wanted = self._plan().in_force, set(grants)
        if bundle.grants is None:
            return {}
        gone = {}
        for placed in bundle.grants:
            if placed.grant.id in wanted:
                wanted.remove(placed.grant.id)
                if placed.grant.revoked:
                    gone[placed.grant.id] = "the grant is revoked"
        if bundle.oauth is None:
            # An issuer's callers are configured nowhere.
            gone.update(dict.fromkeys(wanted, "the grant is gone"))
        return gone

    def pin_digest(self, server: str, tool: str) -> str | None:
        """The digest of the pinned forms of a tool; None if that cannot be told (docs/policy.md, section 6)."""
        plan = self._plan()
        known = plan.config.servers.get(server)
        if known is None or known.upstream is None or known.upstream.pinning is Pinning.OFF:
            return None
        folder = pins_folder(plan.bundle.pins or plan.config.state)
        try:
            [tools] = [one["tools"] for one in pins_read(folder, server)]
        except (CallgateError, ValueError):
            return None
        forms: dict[str, Any] = next((one for one in tools if one["tool"] == tool), {"pinned": [], "listed": []})
        if known.upstream.pinning is Pinning.ENFORCE:
            digests = sorted(bytes.fromhex(form["digest"]) for form in forms["pinned"])
        else:
            last = [*forms["pinned"], *forms["listed"]][-1:]
            digests = [bytes.fromhex(form["digest"]) for form in last]
        return hashlib.sha256(b"".join(digests)).hexdigest()
