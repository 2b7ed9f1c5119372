"""A pod's network: a namespace with loopback and the pod's address; and the networks of several pods, joined."""

from __future__ import annotations

import ctypes
import os
import subprocess
import time
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

POD_IP = "10.244.0.7"
NODE_IP = "10.244.0.1"
"""The address of the network that joins those of several pods."""
PATIENCE_S = 60.0
_CLONE_NEWNET = 0x40000000

T = TypeVar("T")


class Network:
    """The network that all containers of a pod share."""

    def __init__(self, namespace: Path, address: str = POD_IP) -> None:
        """Takes the file of the network namespace, and the address in it."""
        self.namespace = namespace
        self.address = address
        self._threads = ThreadPoolExecutor(16, initializer=self._enter)

    def prefix(self) -> list[str]:
        """The beginning of a command that runs in this network."""
        return ["nsenter", f"--net={self.namespace}"]

    def submit(self, work: Callable[[], T]) -> Future[T]:
        """Runs a function on a thread whose sockets are in this network."""
        return self._threads.submit(work)

    def close(self) -> None:
        """Waits for the submitted functions."""
        self._threads.shutdown()

    def _enter(self) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        handle = os.open(self.namespace, os.O_RDONLY | os.O_CLOEXEC)
        try:
            if libc.setns(handle, _CLONE_NEWNET) != 0:
                raise OSError(ctypes.get_errno(), "cannot enter the pod's network")
        finally:
            os.close(handle)


@contextmanager
def network() -> Iterator[Network]:
    """A new one, without a way to others."""
    with _namespace(POD_IP) as shared:
        _ip(shared, "address", "add", f"{POD_IP}/32", "dev", "lo")
        yield shared


class Cluster:
    """The networks of several pods, which reach each other over a bridge."""

    def __init__(self, node: Network) -> None:
        """Takes the network of the node, in which the bridge is."""
        self.node = node
        self._pods = 0

    @contextmanager
    def pod_network(self) -> Iterator[Network]:
        """The network of one more pod."""
        self._pods += 1
        number = self._pods
        with _namespace(f"10.244.0.{number + 1}") as pod:
            target = str(pod.namespace).split("/")[2]
            link = f"pod{number}"
            _ip(self.node, "link", "add", link, "type", "veth", "peer", "name", "eth0", "netns", target)
            _ip(self.node, "link", "set", link, "master", "bridge", "up")
            _ip(pod, "address", "add", f"{pod.address}/24", "dev", "eth0")
            _ip(pod, "link", "set", "eth0", "up")
            yield pod


@contextmanager
def cluster_network() -> Iterator[Cluster]:
    """The network of a node without pods."""
    with _namespace(NODE_IP) as node:
        _ip(node, "link", "add", "bridge", "type", "bridge")
        _ip(node, "address", "add", f"{NODE_IP}/24", "dev", "bridge")
        _ip(node, "link", "set", "bridge", "up")
        yield Cluster(node)


def _ip(place: Network, *words: str) -> None:
    subprocess.run([*place.prefix(), "ip", *words], check=True, timeout=PATIENCE_S)


@contextmanager
def _namespace(address: str) -> Iterator[Network]:
    # It lives as long as a process that is in it, as a pod's does with its sandbox.
    sandbox = subprocess.Popen(["unshare", "--net", "sleep", "infinity"], stdin=subprocess.DEVNULL)
    try:
        namespace = Path(f"/proc/{sandbox.pid}/ns/net")
        ours = Path("/proc/self/ns/net").readlink()
        deadline = time.monotonic() + PATIENCE_S
        while namespace.readlink() == ours:
            assert time.monotonic() < deadline, "no network namespace"
            assert sandbox.poll() is None
            time.sleep(0.01)
        made = Network(namespace, address)
        _ip(made, "link", "set", "lo", "up")
        try:
            yield made
        finally:
            made.close()
    finally:
        sandbox.kill()
        sandbox.wait()
