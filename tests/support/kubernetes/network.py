"""A pod's network: a namespace with loopback and the pod's address."""

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
PATIENCE_S = 60.0
_CLONE_NEWNET = 0x40000000

T = TypeVar("T")


class Network:
    """The network that all containers of a pod share."""

    def __init__(self, namespace: Path) -> None:
        """Takes the file of the network namespace."""
        self.namespace = namespace
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
    """A new one."""
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
        shared = Network(namespace)
        for words in (["link", "set", "lo", "up"], ["address", "add", f"{POD_IP}/32", "dev", "lo"]):
            subprocess.run([*shared.prefix(), "ip", *words], check=True, timeout=PATIENCE_S)
        try:
            yield shared
        finally:
            shared.close()
    finally:
        sandbox.kill()
        sandbox.wait()
