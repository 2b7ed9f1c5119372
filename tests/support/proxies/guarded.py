"""Client, Envoy, callgate and upstream, as in `deploy/envoy`."""

from __future__ import annotations

import json
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from support.program import Sidecar, sidecar
from support.proxies.envoy import ROOT, Proxy, envoy, upstream
from support.proxies.policies import POLICY

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

DEPLOY = ROOT / "deploy" / "envoy"
AUTHZ = ("ext-authz.yaml", "callgate.yaml")
"""Envoy's configuration and callgate's."""


@contextmanager
def guarded(
    folder: Path, by: tuple[str, str] = AUTHZ, policy: dict[str, Any] = POLICY, **proxies: Any
) -> Iterator[tuple[Proxy, Sidecar]]:
    """Envoy and callgate in front of a server that echoes requests."""
    with upstream() as behind, guarded_server(folder, behind, by, policy, **proxies) as both:
        yield both


@contextmanager
def guarded_server(
    folder: Path,
    port: int,
    by: tuple[str, str] = AUTHZ,
    policy: dict[str, Any] = POLICY,
    server: str = "aws",
    catalogue: Path | None = None,
    keys: Mapping[str, Any] | None = None,
    **proxies: Any,
) -> Iterator[tuple[Proxy, Sidecar]]:
    """In front of the server at this port; callgate's configuration is ours but for its policy, the server's name,
    its catalogue, further `keys` and `proxies`."""
    envoys, ours = by
    configuration = yaml.safe_load((DEPLOY / ours).read_text())
    (folder / "policy.json").write_text(json.dumps(policy))
    configuration["policies"] = {"example": "policy.json"}
    configuration["servers"] = {server: {"policy": "example"}}
    configuration["proxies"].update(proxies)
    configuration["rate_limits"] = [str(DEPLOY / file) for file in configuration.get("rate_limits", [])]
    del configuration["catalogue"]
    if catalogue is not None:
        configuration["catalogue"] = str(catalogue)
    configuration.update(keys or {})
    path = folder / "callgate.yaml"
    path.write_text(yaml.safe_dump(configuration))
    with sidecar("--config", path) as running:
        ports = {8081: port, 9191: int(running.address.rpartition(":")[2])}
        with envoy(DEPLOY / envoys, ports, folder) as proxy:
            yield proxy, running
