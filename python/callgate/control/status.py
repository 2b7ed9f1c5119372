"""The state of a running sidecar, as `callgate status` prints it."""

from __future__ import annotations

import os
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from callgate._callgate import ManagedGrants, version
from callgate.config.freezes import Freeze
from callgate.config.pins import seen_tools

if TYPE_CHECKING:
    from callgate._callgate import Engine, Server
    from callgate.admin.face import AdminFace
    from callgate.control.parts import Parts
    from callgate.control.port.pages import Pages
    from callgate.control.reload import Reloader


def status(
    engine: Engine,
    server: Server,
    reloader: Reloader,
    pages: Pages,
    parts: Parts,
    *,
    admin: str,
    grpc: AdminFace,
    started: datetime,
) -> dict[str, Any]:
    """The state, without secrets."""
    plan, config, serving = reloader.plan, reloader.plan.config, reloader.serving
    live, capacity = engine.counters
    freezes, freeze_fault = _freezes(server, parts)
    faults = dict(pages.upstream_faults)
    return {
        "version": version(),
        "pid": os.getpid(),
        "started": _utc(started),
        "ready": pages.is_ready,
        "failure": pages.failure,
        "state": str(config.state),
        "listen": server.address,
        "socket": None if server.socket is None else str(server.socket),
        "admin": admin,
        "admin_tls": config.admin.tls is not None,
        "admin_grpc": {"listen": grpc.address, "failure": grpc.failure},
        "configuration": {
            "since": _utc(serving.since),
            "newer_refused": serving.refused,
            "newer_retried": serving.retried,
            "store_refused": reloader.refusals.text,
        },
        "servers": [
            {
                "name": name,
                "policy": known.policy if plan.policy is None else _policy_of(name, engine),
                "gateway": known.upstream is not None,
                "fault": faults.get(name),
            }
            for name, known in config.servers.items()
        ],
        "policies": [
            {"server": policy.server, "name": policy.name, "version": policy.version} for policy in engine.policies
        ],
        "candidates": [_candidate(report) for report in server.candidates()],
        "grants": None if plan.in_force.grants is None else len(plan.in_force.grants) + len(ManagedGrants(engine)),
        "peps": None if config.peps is None else len(config.peps),
        "counters": {
            "live": live,
            "capacity": capacity,
            "store": plan.counters_place,
            "shared": None if plan.shared_place is None else str(plan.shared_place),
            "shared_fault": None if server.shared_store is None else server.shared_store["fault"],
        },
        "pins_waiting": _pins_waiting(reloader),
        "approvals": parts.approvals(),
        "freezes": freezes,
        "freeze_fault": freeze_fault,
        "store": parts.plane.status.fields(),
    }


def waiting(server: Server, parts: Parts) -> dict[str, Any]:
    """The members of the state that are for people to look at, the freezes as their number alone."""
    freezes, _ = _freezes(server, parts)
    return {"approvals": parts.approvals(), "freezes_in_force": len(freezes)}


def _freezes(server: Server, parts: Parts) -> tuple[list[dict[str, Any]], str | None]:
    """The freezes in force, of the file and of the store, and the reason for which the file cannot be read."""
    rows, fault = server.freezes()
    now = datetime.now(timezone.utc)
    of_file = [freeze.fields() for freeze in map(Freeze.of_row, rows) if not freeze.has_ended(now)]
    return [*of_file, *parts.freezes()], fault


def _policy_of(server: str, engine: Engine) -> str | None:
    """The name of the policy that decides for a server where there is no configuration."""
    return next((policy.name for policy in engine.policies if policy.server in {None, server}), None)


def _candidate(report: dict[str, Any]) -> dict[str, Any]:
    """A policy that is weighed beside that of a server, without its results."""
    since = datetime.fromtimestamp(report["since_us"] // 1_000_000, timezone.utc)
    return {**{name: report[name] for name in ("server", "policy", "version")}, "since": _utc(since)}


def _pins_waiting(reloader: Reloader) -> list[dict[str, Any]]:
    """The tools of each server behind the gateway that wait for `callgate pin`."""
    plan, waiting = reloader.plan, []
    for name, known in plan.config.servers.items():
        if known.upstream is None:
            continue
        tools = seen_tools(plan.bundle.pins_folder, name)
        counts = {state: sum(tool["state"] == state for tool in tools) for state in ("changed", "new")}
        if any(counts.values()):
            waiting.append({"server": name, **counts})
    return waiting


def _utc(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z")
