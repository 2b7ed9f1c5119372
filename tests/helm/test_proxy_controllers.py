"""The examples for Envoy Gateway and agentgateway: they fit the chart, and Envoy asks as the policy makes it ask."""

from __future__ import annotations

import gzip
import json
import re
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from support.kubernetes import chart
from support.kubernetes.manifests import ROOT, Manifest
from support.proxies.forward import ENVOY_HTTP, forwarding
from support.proxies.upstream import call, keeping_upstream, send_raw

if TYPE_CHECKING:
    from pathlib import Path

ENVOY_GATEWAY = ROOT / "deploy" / "envoy-gateway" / "envoy-gateway.yaml"
AGENTGATEWAY = ROOT / "deploy" / "agentgateway" / "kubernetes" / "agentgateway.yaml"


def example(path: Path, kind: str, name: str = "mcp") -> Manifest:
    [found] = [one for one in chart.documents(path) if (one["kind"], one["metadata"]["name"]) == (kind, name)]
    return found


def extauth() -> Any:
    return example(ENVOY_GATEWAY, "SecurityPolicy")["spec"]["extAuth"]


@pytest.mark.parametrize("path", [ENVOY_GATEWAY, AGENTGATEWAY], ids=["envoy-gateway", "agentgateway"])
def test_policies_are_for_objects_that_exist(path: Path) -> None:
    documents = chart.documents(path)
    there = {(one["kind"], one["metadata"]["name"]) for one in documents} | {("Service", "callgate")}
    targets = [target for one in documents for target in one["spec"].get("targetRefs", [])]
    assert len(targets) >= 2
    assert {(target["kind"], target["name"]) for target in targets} <= there
    assert [one["spec"]["parentRefs"] for one in documents if one["kind"] == "HTTPRoute"] == [[{"name": "mcp"}]]


def test_both_ask_the_service_of_the_chart() -> None:
    [service] = [one for one in chart.of_kind("service", "Service") if one["spec"].get("clusterIP") != "None"]
    expected = {"name": service["metadata"]["name"], "port": service["spec"]["ports"][0]["port"]}
    assert extauth()["http"]["backendRefs"] == [expected]
    [processor] = example(AGENTGATEWAY, "AgentgatewayPolicy")["spec"]["backend"]["mcp"]["guardrails"]["processors"]
    assert processor["remote"]["backendRef"] == expected
    # Mutual TLS: callgate's certificate has the name of the Service.
    assert example(ENVOY_GATEWAY, "BackendTLSPolicy", "callgate")["spec"]["validation"]["hostname"] == expected["name"]
    assert "clientCertificateRef" in example(ENVOY_GATEWAY, "EnvoyProxy")["spec"]["backendTLS"]
    tls = example(AGENTGATEWAY, "AgentgatewayPolicy", "callgate")["spec"]["backend"]["tls"]
    assert tls["verifySubjectAltNames"] == [expected["name"]]
    assert tls.keys() >= {"caCertificateRefs", "mtlsCertificateRef"}
    assert chart.config("service")["tls"].keys() >= {"client_ca"}


def test_nothing_passes_without_callgate_and_nothing_is_sent_twice() -> None:
    assert extauth()["failOpen"] is False
    limit = chart.config("service")["limits"]["body_limit_bytes"]
    assert extauth()["bodyToExtAuth"]["maxRequestBytes"] < int(limit.removesuffix("MiB")) << 20
    traffic = example(ENVOY_GATEWAY, "BackendTrafficPolicy")["spec"]
    assert traffic["retry"]["numRetries"] == 0
    assert traffic["timeout"]["http"]["requestTimeout"] == "0s"


def test_agentgateway_asks_as_without_kubernetes() -> None:
    alone = yaml.safe_load((ROOT / "deploy" / "agentgateway" / "agentgateway.yaml").read_text(encoding="utf-8"))
    [route] = alone["binds"][0]["listeners"][0]["routes"]
    [theirs] = route["policies"]["mcpGuardrails"]["processors"]
    [ours] = example(AGENTGATEWAY, "AgentgatewayPolicy")["spec"]["backend"]["mcp"]["guardrails"]["processors"]
    assert {method: phase.lower() for method, phase in ours["methods"].items()} == theirs["methods"]
    assert ours["remote"]["failureMode"].lower() == theirs["failureMode"].lower()
    assert ours["remote"]["metadata"] == {"authorization": 'request.headers["authorization"]'}
    targets = example(AGENTGATEWAY, "AgentgatewayBackend")["spec"]["mcp"]["targets"]
    assert {target["name"] for target in targets} == chart.config("service")["servers"].keys()


def as_envoy_gateway(text: str) -> str:
    """The configuration of an Envoy over HTTP, with the filter that Envoy Gateway makes of the `SecurityPolicy`.

    The proxy's token stays in the place of the client's certificate.
    """
    configuration = yaml.safe_load(text)
    [filters] = [
        one["typed_config"]["http_filters"]
        for one in configuration["static_resources"]["listeners"][0]["filter_chains"][0]["filters"]
    ]
    policy = extauth()
    asks = filters[0]["typed_config"]
    http = policy["http"]
    filters[0]["typed_config"] = {
        "@type": asks["@type"],
        "transport_api_version": "V3",
        "failure_mode_allow": policy["failOpen"],
        "with_request_body": {"max_request_bytes": policy["bodyToExtAuth"]["maxRequestBytes"]},
        "allowed_headers": {"patterns": exact(policy["headersToExtAuth"])},
        "http_service": {
            "server_uri": asks["http_service"]["server_uri"],
            "path_prefix": http["path"],
            "authorization_request": asks["http_service"]["authorization_request"],
            "authorization_response": {"allowed_upstream_headers": {"patterns": exact(http["headersToBackend"])}},
        },
    }
    # Ports are replaced in this form.
    return re.sub(r"\{\s*address: 127", "{address: 127", json.dumps(configuration))


def exact(names: list[str]) -> list[dict[str, Any]]:
    return [{"exact": name, "ignore_case": True} for name in names]


def test_envoy_asks_as_the_policy_says(tmp_path: Path) -> None:
    def send(body: bytes | None, *more: tuple[str, bytes], who: str = "alice", method: str = "POST") -> int:
        headers = [("authorization", f"Bearer cgt_{who}".encode()), *more]
        return send_raw(proxy.address, method, "/mcp/aws", headers, body).status

    json_type = ("content-type", b"application/json")
    with (
        keeping_upstream() as upstream,
        forwarding(ENVOY_HTTP, tmp_path, upstream.port, edit=as_envoy_gateway) as (proxy, _),
    ):
        post = partial(send, call("open", n=1))
        assert post(json_type) == 200
        [arrived] = upstream.arrived
        assert (arrived.path, arrived.body) == ("/mcp", call("open", n=1))
        assert arrived.header("x-callgate-outcome") == "allow"
        assert "cgt_" not in str(arrived.headers)
        assert send(None, method="GET") == 200
        # Each of them would be read otherwise by a server: the fields that tell are among those of the policy.
        for told in (
            [json_type, ("mcp-name", b"other"), ("mcp-method", b"tools/call"), ("mcp-protocol-version", b"2026-07-28")],
            [("content-type", b"text/plain")],
            [json_type, ("upgrade", b"websocket"), ("connection", b"upgrade")],
        ):
            assert post(*told) == 403, told
        assert send(gzip.compress(call("open", n=1)), json_type, ("content-encoding", b"gzip")) == 403
        assert send(call("small", n=11), json_type) == 403
        assert send(call("unknown"), json_type) == 403
        assert post(json_type, who="nobody") in {401, 403}
        assert len(upstream.arrived) == 2
