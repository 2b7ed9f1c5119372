"""`callgate status`."""

import json
from typing import Any, Final

import typer

from callgate.cli.running import AdminTokenFile, AdminUrl, AsJson, ConfigFile, StateFolder, running
from callgate.cli.waiting import answering_place, approvals_line, permits_line
from callgate.control.port.routes import STATUS
from callgate.store.targets import Target
from callgate.text import visible

EXAMPLES: Final = (
    "callgate status",
    "callgate status --state /var/lib/callgate --json",
    "callgate status --admin http://127.0.0.1:9193 --admin-token-file admin.token",
)


def status(
    state: StateFolder = None,
    config: ConfigFile = None,
    admin: AdminUrl = None,
    admin_token_file: AdminTokenFile = None,
    as_json: AsJson = False,
) -> None:
    """Print what a running sidecar serves, and what waits for people: approvals, permits, changed tools, freezes."""
    document = running(state, config, admin, admin_token_file).ask("GET", STATUS)
    if as_json:
        typer.echo(json.dumps(document, ensure_ascii=False))
        return
    ready = "ready" if document["ready"] else f"not ready: {document['failure'] or 'it starts or stops'}"
    typer.echo(f"callgate {document['version']}, process {document['pid']}, since {document['started']}: {ready}")
    answering = answering_place(document, state, config, admin) if "store" in document else ""
    rows = [(name, visible(value)) for name, values in _rows(document, answering) for value in values]
    last = ""
    for name, value in rows:
        typer.echo(f"{'' if name == last else name + ':':<15}{value}")
        last = name


def _rows(document: dict[str, Any], answering: str) -> list[tuple[str, list[str]]]:
    configuration, counters = document["configuration"], document["counters"]
    decisions = [address for address in (document["listen"], document["socket"]) if address is not None]
    since = [f"in force since {configuration['since']}"]
    if configuration["newer_refused"] is not None:
        again = "; it is tried again" if configuration["newer_retried"] else ""
        since.append(f"the newer one is refused: {configuration['newer_refused']}{again}")
    if configuration.get("store_refused") is not None:
        since.append(f"not all of the store is served: {configuration['store_refused']}")
    return [
        ("state", [document["state"]]),
        ("decisions", decisions),
        ("admin", [document["admin"], *_not_served(document)]),
        ("configuration", since),
        ("servers", [_server(one) for one in document["servers"]]),
        ("policies", [_policy(one) for one in document["policies"]]),
        # A sidecar of an earlier version weighs none.
        ("candidates", [_candidate(one) for one in document.get("candidates", ())]),
        ("grants", [_number(document["grants"], "callers are trusted to name their grant")]),
        ("peps", [_number(document["peps"], "everybody who reaches the port may ask for decisions")]),
        ("counters", _counters(counters)),
        # A sidecar of an earlier version has none.
        ("approvals", [approvals_line(document, answering)] if "approvals" in document else []),
        ("permits", [permits_line(document)] if "approvals" in document else []),
        ("pins waiting", [_pins(one) for one in document["pins_waiting"]] or ["none"]),
        ("freezes", _freezes(document)),
        ("store", _store(document["store"]) if "store" in document else []),
    ]


def _counters(counters: dict[str, Any]) -> list[str]:
    shown = [f"{counters['live']} of {counters['capacity']}, in {counters['store']}"]
    # A sidecar of an earlier version shares none.
    if counters.get("shared") is not None:
        fault = counters.get("shared_fault")
        shown.append(f"shared through {counters['shared']}{f': {fault}' if fault else ''}")
    return shown


def _not_served(document: dict[str, Any]) -> list[str]:
    # A sidecar of an earlier version has no gRPC there.
    failure = document.get("admin_grpc", {}).get("failure")
    return [] if failure is None else [f"gRPC is not served: {failure}"]


def _server(server: dict[str, Any]) -> str:
    policy = "no policy" if server["policy"] is None else f"policy {server['policy']}"
    # A sidecar of an earlier version tells no fault.
    fault = "" if server.get("fault") is None else f"; does not answer as an MCP server: {server['fault']}"
    return f"{server['name']} ({policy}{', behind the gateway' if server['gateway'] else ''}){fault}"


def _policy(policy: dict[str, Any]) -> str:
    where = "every server" if policy["server"] is None else policy["server"]
    return f"{policy['name']} {policy['version']} ({where})"


def _candidate(candidate: dict[str, Any]) -> str:
    name = f"{candidate['policy']} {candidate['version']}"
    return f"{name} ({candidate['server']}), since {candidate['since']}; `callgate candidate report` has its results"


def _freezes(document: dict[str, Any]) -> list[str]:
    freezes = document["freezes"]
    shown = [_freeze(one) for one in freezes] or ["none"]
    if any("source" not in one for one in freezes):
        shown.append("`callgate thaw` ends those of the state folder")
    if document["freeze_fault"] is not None:
        shown.append(f"these stay in force, because the file cannot be read: {document['freeze_fault']}")
    return shown


def _freeze(fields: dict[str, str]) -> str:
    chosen = Target(server=fields.get("server"), tool=fields.get("tool"), grant=fields.get("grant"))
    until = f" until {fields['until']}" if "until" in fields else ""
    where = " in the store" if "source" in fields else ""
    return f"{chosen} are denied{until}; frozen{where} by {fields['by']}: {fields['reason']}"


def _store(store: dict[str, Any]) -> list[str]:
    kept = ", removed when callgate ends" if store["temporary"] else ""
    shown = [f"{store['place']}: {store['state']} since {store['since']}{kept}"]
    if store["error"] is not None:
        shown.append(f"calls that need an approval are denied: {store['error']}")
    return shown


def _number(count: int | None, otherwise: str) -> str:
    return f"none are configured: {otherwise}" if count is None else str(count)


def _pins(pins: dict[str, Any]) -> str:
    return f"{pins['server']}: {pins['changed']} changed, {pins['new']} new; `callgate pin diff` shows them"
