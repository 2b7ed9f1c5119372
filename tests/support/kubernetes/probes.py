"""Probes as the kubelet runs them: from the node, at the pod's address."""

from __future__ import annotations

import http.client
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from support.kubernetes.network import PATIENCE_S, Network

if TYPE_CHECKING:
    from collections.abc import Mapping

    from support.kubernetes.containers import Container

_GRPC = Path(__file__).parent / "programs" / "grpc_probe.py"
_DEFAULTS = {"periodSeconds": 10, "timeoutSeconds": 1, "failureThreshold": 3}


def succeeds(probe: Mapping[str, Any], network: Network) -> bool:
    """One attempt."""
    timeout_s = probe.get("timeoutSeconds", _DEFAULTS["timeoutSeconds"])
    if "grpc" in probe:
        asked = probe["grpc"]
        words = [
            sys.executable,
            str(_GRPC),
            f"{network.address}:{asked['port']}",
            asked.get("service", ""),
            str(timeout_s),
        ]
        done = subprocess.run(
            [*network.prefix(), *words], timeout=PATIENCE_S, check=False, capture_output=True, text=True
        )
        assert done.returncode in {0, 1}, done.stderr
        return done.returncode == 0
    asked = probe["httpGet"]
    return network.submit(lambda: _get(network.address, asked, timeout_s)).result(PATIENCE_S)


def wait_until_started(container: Container, probe: Mapping[str, Any], network: Network) -> None:
    """Waits like the kubelet before it starts the next container of a pod."""
    period_s = probe.get("periodSeconds", _DEFAULTS["periodSeconds"])
    for _ in range(probe.get("failureThreshold", _DEFAULTS["failureThreshold"])):
        assert container.process.poll() is None, f"{container.name} has ended:\n{container.log}"
        if succeeds(probe, network):
            return
        time.sleep(period_s)
    msg = f"{container.name} has not started:\n{container.log}"
    raise AssertionError(msg)


def _get(address: str, asked: Mapping[str, Any], timeout_s: float) -> bool:
    connection = http.client.HTTPConnection(address, asked["port"], timeout=timeout_s)
    try:
        connection.request("GET", asked["path"], headers={"User-Agent": "kube-probe/1.37"})
        return 200 <= connection.getresponse().status < 400
    except OSError:
        return False
    finally:
        connection.close()
