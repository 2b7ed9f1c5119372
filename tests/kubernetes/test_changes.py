"""Changed ConfigMaps and Secrets take effect in the pod that runs, as the kubelet shows them; broken ones do not."""

from __future__ import annotations

import json
import urllib.request
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

import pytest

from support.kubernetes.manifests import config_maps
from support.kubernetes.network import PATIENCE_S, POD_IP
from support.kubernetes.pod import Pod, running_pod
from support.kubernetes.world import mcp_server, told, until

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

Files: TypeAlias = "dict[str, str]"
FREE = "x-callgate-outcome: allow"
DENIED = (200, "ask the data team")


@pytest.fixture(scope="module")
def shared(secrets: Mapping[str, Mapping[str, str]]) -> Iterator[Pod]:
    with running_pod(secrets) as running, mcp_server(running.network):
        yield running


@pytest.fixture
def pod(shared: Pod, token: str, secrets: Mapping[str, Mapping[str, str]]) -> Iterator[Pod]:
    """The pod with the shipped manifests; reloads bring them back after each test."""
    yield shared
    for name in ("callgate-config", "callgate-policies", "callgate-catalogue"):
        shared.put(name, config_maps()[name])
    shared.put("callgate-grants", secrets["callgate-grants"])
    until(partial(says, shared, token, "ask the data team", "drop_table", name="users"))
    until(partial(says, shared, token, FREE, "describe_images"))
    until(lambda: page(shared, "/readyz") == "ready\n")
    assert shared.containers["callgate"].process.poll() is None


def says(pod: Pod, token: str, expected: str, tool: str, **arguments: str) -> bool:
    """True if the answer to a call says this. The effect shows a change, which may take more than one reload."""
    return expected in told(pod, token, tool, **arguments)[1]


def policy(**tools: Any) -> Files:
    """The policy of the ConfigMap, with these tools changed."""
    document = json.loads(config_maps()["callgate-policies"]["example.json"])
    document["tools"].update(tools)
    return {"example.json": json.dumps(document)}


def page(pod: Pod, path: str) -> str:
    def get() -> str:
        with urllib.request.urlopen(f"http://{POD_IP}:9193{path}", timeout=PATIENCE_S) as response:
            text: str = response.read().decode()
            return text

    return pod.network.submit(get).result(PATIENCE_S)


def refused(pod: Pod) -> int:
    """The number of refused configurations."""
    line = 'callgate_policy_reloads_total{result="failure"} '
    return next(int(float(one[len(line) :])) for one in page(pod, "/metrics").splitlines() if one.startswith(line))


def test_a_policy_and_the_counts_go_on(pod: Pod, token: str) -> None:
    assert [told(pod, token, "create-ami") for _ in range(30)] == [(200, "made")] * 30
    assert "try again in" in told(pod, token, "create-ami")[1]
    assert told(pod, token, "drop_table", name="users") == DENIED
    for reason in ("not on Fridays", "not on Mondays"):
        pod.put("callgate-policies", policy(drop_table={"action": "deny", "reason": reason}))
        until(partial(says, pod, token, reason, "drop_table", name="users"))
    pod.put("callgate-policies", policy(drop_table={}))
    until(partial(says, pod, token, "dropped users", "drop_table", name="users"))
    assert "try again in" in told(pod, token, "create-ami")[1]


def test_the_catalogue(pod: Pod, token: str) -> None:
    catalogue = json.loads(config_maps()["callgate-catalogue"]["catalogue.json"])
    catalogue["servers"]["srv"]["tools"]["describe_images"]["category"] = "Destructive"
    pod.put("callgate-catalogue", {"catalogue.json": json.dumps(catalogue)})
    until(partial(says, pod, token, "not allowed by this policy", "describe_images"))


def test_grants(pod: Pod, token: str, secrets: Mapping[str, Mapping[str, str]]) -> None:
    grants = secrets["callgate-grants"]["grants.yaml"]
    pod.put("callgate-grants", {"grants.yaml": grants.replace('"id": "agent"', '"id": "agent", "revoked": true')})
    until(partial(says, pod, token, "revoked", "describe_images"))
    # Under another name, as another key of the Secret.
    pod.put("callgate-grants", {"agents.yaml": grants})
    until(partial(says, pod, token, FREE, "describe_images"))
    # The Secret is gone.
    pod.put("callgate-grants", {})
    until(partial(says, pod, token, "that of no grant", "describe_images"))


@pytest.mark.parametrize(
    ("broken", "fault"),
    [
        ({"example.json": '{"version": "1", "default": "allow", "tools": {'}, "example.json:1:"),
        ({"example.json": '{"version": "1", "default": "allow", "tool": {}}'}, "unknown field `tool`"),
        ({"other.json": '{"version": "1", "default": "allow"}'}, "unknown policy `example`"),
        ({}, "unknown policy `example`"),
    ],
    ids=["no JSON", "unknown field", "renamed", "emptied"],
)
def test_a_broken_policy_leaves_the_old_one(pod: Pod, token: str, broken: Files, fault: str) -> None:
    assert told(pod, token, "drop_table", name="users") == DENIED
    before = refused(pod)
    pod.put("callgate-policies", broken)
    until(lambda: refused(pod) > before)
    assert told(pod, token, "drop_table", name="users") == DENIED
    assert says(pod, token, FREE, "describe_images")
    assert fault in page(pod, "/readyz")
    assert fault in [line for line in pod.containers["callgate"].log.splitlines() if "reload_failed" in line][-1]
    assert pod.is_ready("callgate"), "it decides as before"
    assert pod.is_alive("callgate")
    pod.put("callgate-policies", policy(drop_table={}))
    until(partial(says, pod, token, "dropped users", "drop_table", name="users"))
    until(lambda: page(pod, "/readyz") == "ready\n")


def test_what_takes_a_restart_says_so(pod: Pod, token: str) -> None:
    text = config_maps()["callgate-config"]["callgate.yaml"]
    before = refused(pod)
    pod.put("callgate-config", {"callgate.yaml": text.replace("grace: 10s", "grace: 20s")})
    until(lambda: refused(pod) > before)
    assert "`grace` cannot change while callgate runs" in page(pod, "/readyz")
    assert says(pod, token, FREE, "describe_images")
