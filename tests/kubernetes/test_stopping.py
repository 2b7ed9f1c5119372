"""The end of the pod, and the restart of a sidecar that ends alone."""

from __future__ import annotations

import json
import signal
import time
from typing import TYPE_CHECKING

import pytest

from support.kubernetes.manifests import container, pod_spec
from support.kubernetes.pod import Pod, running_pod
from support.kubernetes.world import PROGRAMS, call, mcp_server, told, until

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

FREE = (200, "x-callgate-outcome: allow")


@pytest.fixture
def pod(secrets: Mapping[str, Mapping[str, str]]) -> Iterator[Pod]:
    with running_pod(secrets) as running, mcp_server(running.network):
        yield running


def test_the_agent_has_its_proxy_until_it_has_ended(pod: Pod) -> None:
    agent = pod.begin("python", PROGRAMS / "last_call.py")
    until(lambda: "waiting" in agent.log)
    began = time.monotonic()
    agent.terminate()
    assert agent.wait() == 0, agent.log
    assert "made" in agent.log
    # Sidecars in the reverse order of their start, each after the one before.
    for spec in reversed(pod_spec()["initContainers"]):
        sidecar = pod.containers[spec["name"]]
        sidecar.terminate()
        assert sidecar.wait() == 0, sidecar.log
    assert time.monotonic() - began < pod_spec()["terminationGracePeriodSeconds"]
    assert '"event": "server_stopped", "connections_cut_off": 0' in pod.containers["callgate"].log


def test_calls_in_flight_finish(pod: Pod, token: str) -> None:
    assert told(pod, token, "describe_images") == FREE
    slow = pod.network.submit(lambda: call(token, "describe_images", wait_s=3.0))
    asked = json.dumps({"grant_token": token, "server": "srv", "tool": "create-ami"})
    socket = next(mount for mount in container("envoy")["volumeMounts"] if mount["name"] == "callgate-socket")
    half = pod.begin(
        "python", PROGRAMS / "ask.py", asked, "halfway", spec={**container("envoy"), "volumeMounts": [socket]}
    )
    until(lambda: "halfway" in half.log)
    callgate = pod.containers["callgate"]
    callgate.terminate()
    until(lambda: not pod.is_ready("callgate"))
    assert callgate.process.poll() is None, "it waits for the other half"
    half.process.send_signal(signal.SIGUSR1)
    assert half.wait() == 0
    assert half.log.splitlines()[1] == "200"
    assert callgate.wait() == 0, callgate.log
    assert slow.result() == FREE, "it was judged before"
    assert told(pod, token, "describe_images")[0] == 403, "what was not judged does not pass"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_counts_survive_a_restart_of_the_container(pod: Pod, token: str, number: signal.Signals) -> None:
    assert [told(pod, token, "create-ami") for _ in range(30)] == [(200, "made")] * 30
    callgate = pod.containers["callgate"]
    callgate.process.send_signal(number)
    callgate.wait()
    assert told(pod, token, "create-ami")[0] == 403, "while it is away, nothing passes"
    assert pod.is_ready("envoy")
    pod.start("callgate")
    until(lambda: told(pod, token, "describe_images") == FREE)
    assert "try again in" in told(pod, token, "create-ami")[1]


def test_envoy_comes_back(pod: Pod, token: str) -> None:
    pod.containers["envoy"].process.send_signal(signal.SIGKILL)
    pod.containers["envoy"].wait()
    assert not pod.is_ready("envoy")
    assert pod.is_ready("callgate")
    pod.start("envoy")
    until(lambda: told(pod, token, "describe_images") == FREE)
