"""Client, Envoy, callgate and upstream, as `deploy/envoy` puts them together."""

from __future__ import annotations

import json
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from cli.program import Sidecar, sidecar
from proxies.envoy import ROOT, Proxy, envoy, upstream

if TYPE_CHECKING:
    from collections.abc import Iterator

DEPLOY = ROOT / "deploy" / "envoy"
POLICY = {
    "version": "1",
    "name": "example",
    "default": "deny",
    "tools": {
        "open": {},
        "capped": {"limits": [{"counter": "calls", "window": "hour", "max": 2}]},
        "small": {"deny_if": [{"conditions": [{"path": "args.n", "op": "gt", "value": 10}], "on_deny": "too many"}]},
    },
}


@contextmanager
def guarded(folder: Path, **proxies: Any) -> Iterator[tuple[Proxy, Sidecar]]:
    """In front of a server that tells what it was sent."""
    with upstream() as behind, guarded_server(folder, behind, **proxies) as both:
        yield both


@contextmanager
def guarded_server(folder: Path, port: int, **proxies: Any) -> Iterator[tuple[Proxy, Sidecar]]:
    """In front of the server at this port; callgate's configuration is ours but for its policy and for `proxies`."""
    configuration = yaml.safe_load((DEPLOY / "callgate.yaml").read_text())
    (folder / "policy.json").write_text(json.dumps(POLICY))
    configuration["policies"] = {"example": "policy.json"}
    configuration["proxies"].update(proxies)
    del configuration["catalogue"]
    path = folder / "callgate.yaml"
    path.write_text(yaml.safe_dump(configuration))
    with sidecar("--config", path) as running:
        ports = {8081: port, 9191: int(running.address.rpartition(":")[2])}
        with envoy(DEPLOY / "ext-authz.yaml", ports, folder) as proxy:
            yield proxy, running
