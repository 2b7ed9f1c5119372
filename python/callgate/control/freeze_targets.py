"""Names in freezes that callgate does not know: a freeze of them holds, and probably stops nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from callgate._callgate import ManagedGrants
from callgate.config.policies import exact_name
from callgate.control.plan_findings import known_tools
from callgate.text import did_you_mean, nearest, quoted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from callgate._callgate import Engine
    from callgate.control.sidecar import Plan
    from callgate.store.targets import Target

_MOST_COMPARED: Final = 1_000
"""Names that are compared with an unknown one: there may be a million grants."""


def unknown_name(plan: Plan, target: Target, is_stored: Callable[[str, str], bool]) -> str | None:
    """A warning about a name of a freeze that is unknown; None if all are known, or nobody can tell.

    Args:
        plan: The configuration.
        target: The calls of the freeze.
        is_stored: True if the store has a document, of this kind (`servers` or `grants`) and this id, that is not in
            the plan.
    """
    if target.grant is not None:
        return _unknown_grant(plan, target.grant, is_stored)
    if target.server is None:
        return None
    servers = plan.servers()
    # A policy for every server serves any name.
    if servers and target.server not in servers and not is_stored("servers", target.server):
        return f"unknown server {quoted(target.server)}{did_you_mean(target.server, sorted(servers))}"
    return None if target.tool is None else _unknown_tool(plan, target.server, target.tool)


def managed_names(engine: Engine) -> Callable[[str, str], bool]:
    """The function `is_stored` of a sidecar, whose plan has the servers of the store and not its grants."""
    return lambda kind, name: kind == "grants" and bool(ManagedGrants(engine).among([name]))


def _unknown_tool(plan: Plan, server: str, pattern: str) -> str | None:
    name, known = exact_name(pattern), known_tools(plan)
    # Patterns may be meant for later tools, and without any name nobody can tell.
    if name is None or not known or name in known:
        return None
    nobody = "neither policies nor the catalogue nor pins have"
    return f"{nobody} a tool {quoted(name)} of {quoted(server)}{_near(name, known)}"


def _unknown_grant(plan: Plan, grant: str, is_stored: Callable[[str, str], bool]) -> str | None:
    # Without grants callers name any, and an issuer's callers are grants that are configured nowhere.
    if plan.in_force.grants is None or plan.config.gateway.oauth is not None:
        return None
    known = {placed.grant.id for placed in plan.in_force.grants}
    if grant in known or is_stored("grants", grant):
        return None
    return (
        f"unknown grant {quoted(grant)}{_near(grant, known) or '; `callgate grants list` prints the configured ones'}"
    )


def _near(name: str, known: Iterable[str]) -> str:
    names = sorted(known)
    near = nearest(name, names) if len(names) <= _MOST_COMPARED else None
    return "" if near is None else f"; did you mean {quoted(near)}?"
