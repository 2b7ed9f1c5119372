"""Each configuration in `deploy` lets its proxy wait longer for callgate than callgate waits for its store."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from callgate.config.approvals import Approvals
from support.proxies.envoy import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

DEPLOY = ROOT / "deploy"
NEEDED_S = (Approvals().deadline + timedelta(milliseconds=200)).total_seconds()
UNITS = {"ms": 0.001, "s": 1.0}
TYPE = "type.googleapis.com/envoy.extensions.filters.http."


def seconds(text: str) -> float:
    """A time as all of these files write it."""
    found = re.fullmatch(r"([\d.]+)(ms|s)", text)
    assert found is not None, text
    return float(found[1]) * UNITS[found[2]]


def of_envoy(text: str) -> list[float]:
    """The timeouts of all filters that ask callgate."""
    document = yaml.safe_load(text)
    if document.get("kind") == "ConfigMap":
        document = yaml.safe_load(document["data"]["envoy.yaml"])
    return [
        seconds(found) for filters in under("http_filters", document) for one in filters for found in of_filter(one)
    ]


def of_filter(one: dict[str, Any]) -> list[str]:
    configured = one["typed_config"]
    kind = configured["@type"].removeprefix(TYPE)
    if kind == "ext_authz.v3.ExtAuthz":
        asked = configured.get("grpc_service") or configured["http_service"]["server_uri"]
        return [asked["timeout"]]
    if kind == "ext_proc.v3.ExternalProcessor":
        return [configured["message_timeout"]]
    if kind == "ratelimit.v3.RateLimit":
        return [configured["timeout"]]
    assert kind in {"mcp.v3.Mcp", "router.v3.Router"}, f"does {kind} ask callgate?"
    return []


def under(key: str, value: Any) -> Iterator[Any]:
    """Each value of this key, at any depth."""
    if isinstance(value, dict):
        for name, inner in value.items():
            if name == key:
                yield inner
            yield from under(key, inner)
    elif isinstance(value, list):
        for inner in value:
            yield from under(key, inner)


def of_nginx(text: str) -> list[float]:
    """The time for an answer, in the location that asks."""
    [location] = re.findall(r"location = /callgate \{(.*?)\n        \}", text, re.S)
    return [seconds(found) for found in re.findall(r"proxy_read_timeout (\S+);", location)]


def of_caddy(text: str) -> list[float]:
    """The time for an answer, in the one `forward_auth`."""
    [block] = re.findall(r"forward_auth .*?\{(.*?)\n\t\t\}", text, re.S)
    return [seconds(found) for found in re.findall(r"response_header_timeout (\S+)", block)]


def of_lua(text: str) -> list[float]:
    """The constant of the action, which its one question has."""
    assert text.count("timeout = TIMEOUT_MS}") == 1
    return [int(found) / 1000 for found in re.findall(r"^local TIMEOUT_MS = (\d+)$", text, re.M)]


def of_traefik(text: str) -> list[float]:
    """Traefik's time limit, which is fixed and therefore stands in a comment of its configuration."""
    [asks] = under("forwardAuth", yaml.safe_load(text))
    assert not {name for name in asks if "timeout" in name.lower()}
    return [seconds(f"{found}s") for found in re.findall(r"# .*Traefik waits (\d+) s", text)]


def of_envoy_gateway(text: str) -> list[float]:
    """The timeout of the one policy that asks."""
    return [seconds(found["timeout"]) for one in yaml.safe_load_all(text) for found in under("extAuth", one)]


TIMEOUTS: dict[str, Callable[[str], list[float]]] = {
    "caddy/Caddyfile": of_caddy,
    "envoy/all.yaml": of_envoy,
    "envoy/ext-authz.yaml": of_envoy,
    "envoy/ext-proc.yaml": of_envoy,
    "envoy/http-ext-authz.yaml": of_envoy,
    "envoy/mcp-filter.yaml": of_envoy,
    "envoy/rate-limit.yaml": of_envoy,
    "envoy-gateway/envoy-gateway.yaml": of_envoy_gateway,
    "haproxy/callgate.lua": of_lua,
    "kubernetes/envoy-config.yaml": of_envoy,
    "nginx/nginx.conf": of_nginx,
    "traefik/dynamic.yaml": of_traefik,
}
SEE_NO_ARGUMENTS = {"caddy/Caddyfile", "envoy/mcp-filter.yaml", "envoy/rate-limit.yaml", "nginx/nginx.conf"}
WITHOUT = {
    # It sets no time for its questions, and has no key for one.
    "agentgateway/agentgateway.yaml",
    "agentgateway/kubernetes/agentgateway.yaml",
    # Envoy asks for quotas before calls need them, and no call waits for the answer.
    "envoy/quota.yaml",
    # These ask nothing.
    "agentgateway/callgate.yaml",
    "envoy/callgate-all.yaml",
    "envoy/callgate-mcp-filter.yaml",
    "envoy/callgate-quota.yaml",
    "envoy/callgate-rate-limit.yaml",
    "envoy/callgate.yaml",
    "forward-auth/callgate.yaml",
    "haproxy/haproxy.cfg",
    "image/build.txt",
    "image/runtime.txt",
    "image/sbom.txt",
    "kubernetes-replicas/callgate-config.yaml",
    "kubernetes-replicas/network-policy.yaml",
    "kubernetes/agent.yaml",
    "kubernetes/callgate-catalogue.yaml",
    "kubernetes/callgate-config.yaml",
    "kubernetes/callgate-policies.yaml",
    "kubernetes/network-policy.yaml",
    "systemd/callgate.service",
    "traefik/traefik.yaml",
}
# The Envoy of the chart is held equal to that of `kubernetes` by tests/helm; the other folder asks nothing.
ELSEWHERE = ("helm/", "kustomize/", "monitoring/")


def files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_every_file_is_known() -> None:
    assert {file for file in files(DEPLOY) if not file.startswith(ELSEWHERE)} == TIMEOUTS.keys() | WITHOUT


@pytest.mark.parametrize("file", TIMEOUTS)
def test_calls_that_need_an_approval_have_the_time_for_it(file: str) -> None:
    text = (DEPLOY / file).read_text(encoding="utf-8")
    found = TIMEOUTS[file](text)
    assert found
    assert min(found) >= NEEDED_S
    # Explained, so that nobody shortens it, where calls can wait: elsewhere nobody is asked.
    assert len(re.findall(r"(?:#|--) .*`approvals\.deadline`", text)) == (file not in SEE_NO_ARGUMENTS)


def test_the_page_for_operators_says_the_same() -> None:
    page = (ROOT / "docs" / "proxies.md").read_text(encoding="utf-8")
    assert f"{NEEDED_S * 1000:.0f} ms" in page
