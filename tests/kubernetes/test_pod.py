"""The pod of `deploy/kubernetes` at work: a real MCP client, Envoy, callgate, and a real MCP server."""

from __future__ import annotations

import http.client
import json
import re
import socket
import urllib.error
import urllib.request
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from support.kubernetes.manifests import ROOT, container, envoy_config
from support.kubernetes.network import PATIENCE_S, POD_IP
from support.kubernetes.pod import Pod, running_pod
from support.kubernetes.probes import succeeds
from support.kubernetes.world import ENVOY_PORT, PROGRAMS, call, mcp_server, told, until
from support.proxies.mcp import PYTHON

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

FREE = "x-callgate-outcome: allow"
"""The answer of `describe_images`: the server got the outcome, and not the token."""
UNKNOWN = "that of no grant of this server"


@pytest.fixture(scope="module")
def pod(secrets: Mapping[str, Mapping[str, str]]) -> Iterator[Pod]:
    with running_pod(secrets) as running, mcp_server(running.network):
        yield running


def test_an_agent_works_with_what_the_manifest_gives_it(pod: Pod) -> None:
    calls: list[tuple[str, dict[str, Any]]] = [
        ("describe_images", {}),
        ("drop_table", {"name": "users"}),
        *[("create-ami", {})] * 31,
        ("describe_images", {}),
    ]
    # The runtime gives a user without a name this home.
    printed = pod.run("/usr/bin/env", "HOME=/", PYTHON, PROGRAMS / "agent.py", json.dumps(calls))
    saw = json.loads(printed.splitlines()[-1])
    assert saw["tools"] == ["create-ami", "describe_images", "drop_table"]
    first, dropped, *made, last = saw["seen"]
    assert first == last == ["done", FREE], "the token does not reach the server"
    assert dropped == ["refused", "ask the data team"]
    assert made[:30] == [["done", "made"]] * 30
    assert made[30][0] == "refused"
    assert "try again in" in made[30][1]


def test_who_has_no_token_is_nobody(pod: Pod, token: str) -> None:
    assert told(pod, token, "describe_images") == (200, FREE)
    for wrong in ("x", token.swapcase(), token[:-1]):
        status, message = told(pod, wrong, "describe_images")
        assert (status, UNKNOWN in message) == (200, True), "an answer that a model is shown"
    status, message = told(pod, "", "describe_images")
    assert FREE not in message


def test_a_person_admits_a_call_with_the_commands_of_the_page(pod: Pod, token: str) -> None:
    def charge() -> str:
        return told(pod, token, "create_charge", amount=20_000, currency="usd")[1]

    def asked() -> list[str]:
        return re.findall(r"needs the approval `(\w+)` of a person", charge())

    def answer(verb: str, **words: str) -> str:
        [command] = re.findall(rf"^kubectl exec deploy/agent -c callgate -- (.* {verb} .*)$", page, re.MULTILINE)
        replaced = [words.get(word, word) for word in command.split()]
        return pod.run(*replaced, spec=container("callgate"))

    page = (ROOT / "docs" / "kubernetes.md").read_text(encoding="utf-8")
    # The store is opened after the start.
    until(asked)
    [approval] = asked()
    assert approval in answer("list")
    assert f"approved: {approval}" in answer("approve", ID=approval)
    passed = charge()
    assert "approval" not in passed, "the server answers"
    until(asked)
    assert asked() != [approval]


@pytest.mark.parametrize("name", ["callgate", "envoy"])
def test_the_probes_succeed(pod: Pod, name: str) -> None:
    assert pod.is_ready(name)
    assert pod.is_alive(name)


def test_a_probe_can_fail(pod: Pod) -> None:
    probe = container("callgate")["readinessProbe"]
    assert not succeeds({**probe, "grpc": {**probe["grpc"], "service": "callgate.decision.v1.Other"}}, pod.network)
    assert not succeeds({**probe, "grpc": {**probe["grpc"], "port": 9192}}, pod.network)
    probe = container("envoy")["readinessProbe"]
    assert not succeeds({**probe, "httpGet": {**probe["httpGet"], "path": "/quitquitquit"}}, pod.network)


def test_the_agent_cannot_ask_callgate_past_envoy(pod: Pod, token: str) -> None:
    """Over TCP it is nobody; and where it had the socket, callgate would still tell it by its user."""
    asked = json.dumps({"grant_token": token, "server": "srv", "tool": "describe_images"})

    def status(address: str, **headers: str) -> int:
        connection = http.client.HTTPConnection(address, 9191, timeout=PATIENCE_S)
        try:
            connection.request("POST", "/v1/check", asked, {"content-type": "application/json", **headers})
            return connection.getresponse().status
        finally:
            connection.close()

    for address in ("127.0.0.1", POD_IP):
        for headers in ({}, {"authorization": f"Bearer {token}"}, {"authorization": "Bearer "}):
            assert pod.network.submit(partial(status, address, **headers)).result(PATIENCE_S) == 401
    mount = next(mount for mount in container("envoy")["volumeMounts"] if mount["name"] == "callgate-socket")
    for user, answer in [("agent", "cut off"), ("envoy", "200")]:
        spec = {**container(user), "volumeMounts": [mount]}
        assert pod.run("python", PROGRAMS / "ask.py", asked, spec=spec).splitlines()[0] == answer


def test_a_container_sees_its_mounts_and_no_others(pod: Pod) -> None:
    for path in (
        "/run/callgate/callgate.sock",
        "/run/envoy/admin.sock",
        "/etc/callgate/grants",
        "/var/lib/callgate/state/counters",
    ):
        assert pod.run("/bin/sh", "-c", f"test -e {path} && echo there || echo absent").strip() == "absent"
    assert pod.run("/bin/cat", container("agent")["env"][1]["value"]).startswith("cgt_")


@pytest.mark.parametrize("name", ["callgate", "envoy"])
def test_no_container_has_a_capability_or_writes_beside_its_volumes(pod: Pod, name: str) -> None:
    process, spec = Path(f"/proc/{pod.containers[name].process.pid}"), container(name)
    facts = dict(line.split(":\t", 1) for line in (process / "status").read_text().splitlines() if ":\t" in line)
    user = spec["securityContext"]["runAsUser"]
    assert set(facts["Uid"].split("\t")) == {str(user)}
    assert {facts[f"Cap{kind}"] for kind in ("Inh", "Prm", "Eff", "Bnd", "Amb")} == {"0" * 16}
    assert facts["NoNewPrivs"] == "1"
    mounts = [line.split() for line in (process / "mountinfo").read_text().splitlines()]
    writable = {fields[4] for fields in mounts if "rw" in fields[5].split(",") and not fields[4].startswith("/dev/")}
    own = [mount for mount in spec["volumeMounts"] if not mount.get("readOnly")]
    assert writable == {mount["mountPath"] for mount in own}
    written = {
        path.name for mount in own for path in pod.place.volumes[mount["name"]].iterdir() if path.stat().st_uid == user
    }
    assert written == {"callgate": {"callgate.sock", "state"}, "envoy": {"admin.sock"}}[name]
    assert list((pod.place.folder / "shm").iterdir()) == [], "every container of the pod could open it"


def test_metrics_come_to_the_pods_address(pod: Pod) -> None:
    def page(url: str) -> str:
        with urllib.request.urlopen(f"http://{POD_IP}:{url}", timeout=PATIENCE_S) as response:
            text: str = response.read().decode()
            return text

    metrics = pod.network.submit(lambda: page("9193/metrics")).result(PATIENCE_S)
    assert 'callgate_policy_reloads_total{result="success"} 1.0' in metrics
    assert "envoy_cluster_ext_authz_denied" in pod.network.submit(lambda: page("8082/stats/prometheus")).result(
        PATIENCE_S
    )
    with pytest.raises(urllib.error.HTTPError):
        pod.network.submit(lambda: page("8082/config_dump")).result(PATIENCE_S)


def test_an_agent_that_opens_many_connections_gets_no_more(pod: Pod, token: str) -> None:
    most = next(
        monitor["typed_config"]["max_active_downstream_connections"]
        for monitor in envoy_config()["overload_manager"]["resource_monitors"]
        if "max_active_downstream_connections" in monitor["typed_config"]
    )

    def open_all() -> ExitStack:
        with ExitStack() as stack:
            for _ in range(most):
                stack.enter_context(socket.create_connection(("127.0.0.1", ENVOY_PORT), timeout=PATIENCE_S))
            return stack.pop_all()

    with pod.network.submit(open_all).result(PATIENCE_S):
        until(lambda: not pod.network.submit(partial(answers, token)).result(PATIENCE_S))
        assert pod.is_ready("envoy"), "the kubelet and Prometheus have connections of their own"
        assert pod.is_alive("envoy")
    until(lambda: pod.network.submit(partial(answers, token)).result(PATIENCE_S))


def answers(token: str) -> bool:
    try:
        return call(token, "describe_images") == (200, FREE)
    except OSError:
        return False


def test_without_secrets_everything_runs_and_nothing_is_allowed(token: str) -> None:
    with running_pod({}) as pod, mcp_server(pod.network):
        assert pod.is_ready("callgate")
        assert pod.is_ready("envoy")
        assert UNKNOWN in told(pod, token, "describe_images")[1]
        assert "the list of grants is empty" in pod.containers["callgate"].log
