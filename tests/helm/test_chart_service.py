"""The rendered shape `service` at work: pods in networks of their own, Redis over TLS, proxies over mutual TLS."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import pytest
import trustme

from support.kubernetes import chart
from support.kubernetes.network import NODE_IP, PATIENCE_S, Cluster, cluster_network
from support.kubernetes.pod import Pod, stopped_pod
from support.kubernetes.service import Service, running_service
from support.kubernetes.world import PROGRAMS, run_helm_test, until

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from support.kubernetes.grant import Grant

PASSWORD = "a password of tests"
PORT = 9191
REDIS_PORT = 6379
HOSTS = f"127.0.0.1 localhost\n{NODE_IP} redis\n"
MAX = 30
"""Of the limit in values-service.yaml, over all replicas."""


class World:
    """A cluster with a Redis, the Service, and the Secrets that the page names."""

    def __init__(self, cluster: Cluster, service: Service, secrets: Mapping[str, Mapping[str, str]]) -> None:
        self.cluster = cluster
        self.service = service
        self.secrets = secrets

    @contextmanager
    def pod(self) -> Iterator[Pod]:
        """One more pod, ready and an endpoint."""
        spec, maps = chart.pod("service"), chart.maps("service")
        with (
            self.cluster.pod_network() as network,
            stopped_pod(self.secrets, spec, maps, joined=network, hosts=HOSTS) as pod,
        ):
            pod.start("callgate")
            until(lambda: pod.is_ready("callgate"))
            self.service.endpoints.append(network.address)
            yield pod

    def delete(self, pod: Pod) -> None:
        """Ends a pod as Kubernetes does: it is no endpoint any more while the kubelet runs `preStop`, then SIGTERM."""
        pause_s = pod.container("callgate")["lifecycle"]["preStop"]["sleep"]["seconds"]
        self.service.endpoints.remove(pod.network.address)
        time.sleep(pause_s)
        self.terminate(pod)

    def terminate(self, pod: Pod) -> None:
        """SIGTERM, and the end of the container."""
        pod.containers["callgate"].terminate()
        assert pod.containers["callgate"].wait() == 0, pod.containers["callgate"].log


@pytest.fixture
def world(grant: Grant, tmp_path: Path) -> Iterator[World]:
    if subprocess.run(["unshare", "--net", "true"], check=False, capture_output=True).returncode != 0:
        pytest.skip("networks of their own need root")
    authority = trustme.CA()
    secrets = {
        **grant.secrets,
        "callgate-tls": certificate(authority, "callgate", NODE_IP),
        "callgate-redis": {"password": PASSWORD, "ca.crt": authority.cert_pem.bytes().decode()},
    }
    for name, text in certificate(authority, "proxy.example.com").items():
        (tmp_path / name).write_text(text)
    with ExitStack() as stack:
        cluster = stack.enter_context(cluster_network())
        stack.enter_context(redis(cluster, certificate(authority, "redis"), tmp_path / "redis"))
        service = stack.enter_context(running_service(cluster.node, PORT))
        yield World(cluster, service, secrets)


def certificate(authority: trustme.CA, *names: str) -> dict[str, str]:
    """The keys of a Secret with a certificate for these names."""
    made = authority.issue_cert(*names)
    return {
        "tls.crt": "".join(part.bytes().decode() for part in made.cert_chain_pems),
        "tls.key": made.private_key_pem.bytes().decode(),
        "ca.crt": authority.cert_pem.bytes().decode(),
    }


@contextmanager
def redis(cluster: Cluster, files: Mapping[str, str], folder: Path) -> Iterator[None]:
    """A Redis at the node's address, over TLS alone."""
    folder.mkdir()
    for name, text in files.items():
        (folder / name).write_text(text)
    words = {
        "bind": NODE_IP,
        "port": "0",
        "tls-port": str(REDIS_PORT),
        "tls-cert-file": str(folder / "tls.crt"),
        "tls-key-file": str(folder / "tls.key"),
        "tls-ca-cert-file": str(folder / "ca.crt"),
        "tls-auth-clients": "no",
        "requirepass": PASSWORD,
        "save": "",
        "dir": str(folder),
    }
    options = [word for name, value in words.items() for word in (f"--{name}", value)]
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(
            [*cluster.node.prefix(), "redis-server", *options], stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )
    try:
        until(lambda: "Ready to accept connections" in (folder / "log").read_text())
        yield
    finally:
        server.kill()
        server.wait()


@contextmanager
def asking(world: World, folder: Path, token: str) -> Iterator[subprocess.Popen[str]]:
    """Proxies that ask all the time."""
    words = [str(PROGRAMS / "calls.py"), f"{NODE_IP}:{PORT}", str(folder), token]
    with subprocess.Popen(
        [*world.cluster.node.prefix(), sys.executable, *words],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "asking\n"
            yield process
        finally:
            process.kill()


def seen_by(process: subprocess.Popen[str]) -> Any:
    """The answers that the proxies have got."""
    process.terminate()
    out, _ = process.communicate(timeout=PATIENCE_S)
    return json.loads(out)


def test_a_rolling_update_loses_no_call(world: World, grant: Grant, tmp_path: Path) -> None:
    with ExitStack() as stack:
        threads = stack.enter_context(ThreadPoolExecutor())
        old = [stack.enter_context(world.pod()) for _ in range(2)]
        with asking(world, tmp_path, grant.token) as process:
            new, deletions = [], []
            for pod in old:
                # A new pod first (`maxSurge: 1`, `maxUnavailable: 0`); the next one starts while the old one ends.
                new.append(stack.enter_context(world.pod()))
                deletions.append(threads.submit(world.delete, pod))
            run_helm_test("service", world.cluster.node, new[0].network.address, NODE_IP)
            for deletion in deletions:
                deletion.result()
            seen = seen_by(process)
        assert seen["faults"] == []
        assert seen["allowed"]["grpc"] > 0
        assert seen["allowed"]["http"] > 0
        assert all("shared_store_connected" in pod.containers["callgate"].log for pod in [*old, *new])
        assert 0 < seen["allowed"]["create-ami"] <= MAX, "a limit holds over all replicas, old and new"

        # SIGTERM without the pause loses calls, and these proxies notice: new connections still go to the pod.
        with asking(world, tmp_path, grant.token) as process:
            world.terminate(new[0])
            assert seen_by(process)["faults"] != []
