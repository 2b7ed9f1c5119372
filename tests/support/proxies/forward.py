"""nginx, Caddy, HAProxy and Envoy, which call callgate over HTTP as `deploy` configures them."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from callgate._callgate import hash_token
from support.ports import free_port
from support.program import Sidecar, sidecar
from support.proxies.envoy import ENVOY, ROOT, Proxy, wait_for
from support.proxies.policies import POLICY

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

DEPLOY = ROOT / "deploy"
KEY = bytes(range(32))
PEP_TOKEN = "cgt_the-proxy-itself"
TOKENS = {"alice": "cgt_alice", "bob": "cgt_bob"}


@dataclass(frozen=True)
class Kind:
    """A proxy that can be started."""

    name: str
    forwards_body: bool
    """True if it forwards bodies to callgate."""
    configuration: Path
    command: Callable[[Path], tuple[list[str], dict[str, str]]]
    """Changes the configuration beyond ports, in the test's folder; gives the command's words and its environment."""
    program: Path | None = None
    """The program that starts it, if it is not a command on the PATH."""

    def __str__(self) -> str:
        return self.name


def nginx_command(folder: Path) -> tuple[list[str], dict[str, str]]:
    (folder / "callgate-pep.conf").write_text(f'proxy_set_header X-Callgate-Pep "Bearer {PEP_TOKEN}";\n')
    options = f"daemon off; error_log {folder}/error.log;"
    return ["-p", str(folder), "-c", str(folder / "nginx.conf"), "-g", options], {}


def caddy_command(folder: Path) -> tuple[list[str], dict[str, str]]:
    environment = {"CALLGATE_PEP_TOKEN": PEP_TOKEN, "HOME": str(folder)}
    return ["run", "--config", str(folder / "Caddyfile"), "--adapter", "caddyfile"], environment


def haproxy_command(folder: Path) -> tuple[list[str], dict[str, str]]:
    text = (DEPLOY / "haproxy" / "callgate.lua").read_text(encoding="utf-8")
    assert text.count("TIMEOUT_MS = 1000") == 1
    # On a busy machine answers may take longer than a proxy usually waits.
    (folder / "callgate.lua").write_text(text.replace("TIMEOUT_MS = 1000", "TIMEOUT_MS = 30000"), encoding="utf-8")
    return ["-db", "-q", "-C", str(folder), "-f", "haproxy.cfg"], {"CALLGATE_PEP_TOKEN": PEP_TOKEN}


def envoy_command(folder: Path) -> tuple[list[str], dict[str, str]]:
    file = folder / "http-ext-authz.yaml"
    text = file.read_text(encoding="utf-8")
    assert text.count("Bearer cgt_...") == 1
    file.write_text(text.replace("cgt_...", PEP_TOKEN), encoding="utf-8")
    return ["-c", str(file), "--use-dynamic-base-id", "--log-level", "error", "--concurrency", "1"], {}


NGINX = Kind("nginx", False, DEPLOY / "nginx" / "nginx.conf", nginx_command)
CADDY = Kind("caddy", False, DEPLOY / "caddy" / "Caddyfile", caddy_command)
HAPROXY = Kind("haproxy", True, DEPLOY / "haproxy" / "haproxy.cfg", haproxy_command)
ENVOY_HTTP = Kind("envoy", True, DEPLOY / "envoy" / "http-ext-authz.yaml", envoy_command, ENVOY)
KINDS = [NGINX, CADDY, HAPROXY, ENVOY_HTTP]
WITHOUT_BODY = [kind for kind in KINDS if not kind.forwards_body]
WITH_BODY = [kind for kind in KINDS if kind.forwards_body]


@contextmanager
def forwarding(
    kind: Kind,
    folder: Path,
    port: int,
    *,
    edit: Callable[[str], str] = lambda text: text,
    policy: Mapping[str, Any] = POLICY,
    catalogue: Path | None = None,
    keys: Mapping[str, Any] | None = None,
    **proxies: Any,
) -> Iterator[tuple[Proxy, Sidecar]]:
    """A proxy in front of the server at this port, and its callgate; `edit` changes its configuration."""
    with (
        asked(folder, policy, proxies, catalogue, keys) as running,
        started(kind, folder, port, running, edit) as proxy,
    ):
        yield proxy, running


@contextmanager
def asked(
    folder: Path,
    policy: Mapping[str, Any] = POLICY,
    proxies: Mapping[str, Any] | None = None,
    catalogue: Path | None = None,
    keys: Mapping[str, Any] | None = None,
) -> Iterator[Sidecar]:
    """callgate with the configuration of `deploy/forward-auth`, but for its policy, grants, PEPs and further `keys`."""
    configuration = yaml.safe_load((DEPLOY / "forward-auth" / "callgate.yaml").read_text())
    (folder / "policy.json").write_text(json.dumps(policy))
    (folder / "key").write_text(KEY.hex())
    (folder / "key").chmod(0o600)
    configuration["policies"] = {"example": "policy.json"}
    del configuration["catalogue"]
    if catalogue is not None:
        configuration["catalogue"] = str(catalogue)
    configuration["grant_key_file"] = "key"
    configuration["grants"] = [
        {"id": name, "server": "aws", "policy": "example", "token_hash": hash_token(KEY, token)}
        for name, token in TOKENS.items()
    ]
    configuration["peps"] = [{"name": "proxy", "token_hash": hash_token(KEY, PEP_TOKEN)}]
    configuration["proxies"].update(proxies or {})
    configuration.update(keys or {})
    path = folder / "callgate.yaml"
    path.write_text(yaml.safe_dump(configuration))
    with sidecar("--config", path, stderr=subprocess.DEVNULL) as running:
        yield running


@contextmanager
def started(
    kind: Kind, folder: Path, port: int, running: Sidecar, edit: Callable[[str], str] = lambda text: text
) -> Iterator[Proxy]:
    """The proxy on a free port."""
    program = (
        str(kind.program) if kind.program else shutil.which(kind.name) or shutil.which(kind.name, path="/usr/sbin")
    )
    if program is None or not Path(program).exists():
        pytest.skip(f"{kind.name} is not installed (make test installs it)")
    own = free_port()
    text = edit(kind.configuration.read_text(encoding="utf-8"))
    text = with_ports(text, {8080: own, 8081: port, 9191: int(running.address.rpartition(":")[2])})
    (folder / kind.configuration.name).write_text(text, encoding="utf-8")
    words, environment = kind.command(folder)
    process = subprocess.Popen(
        [program, *words], cwd=folder, stdin=subprocess.DEVNULL, env={**os.environ, **environment}
    )
    try:
        wait_for(own, process)
        yield Proxy(f"127.0.0.1:{own}", process)
    finally:
        process.terminate()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def with_ports(text: str, ports: Mapping[int, int]) -> str:
    """A configuration with the test's ports; comments are not changed."""
    for written, used in ports.items():
        lines = [
            line if line.lstrip().startswith("#") else re.sub(rf"(?<=[: ]){written}\b", str(used), line)
            for line in text.splitlines()
        ]
        assert lines != text.splitlines(), f"port {written} is not in the configuration"
        text = "\n".join(lines) + "\n"
    return text
