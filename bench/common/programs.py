"""Programs under test: started on their core, waited for, watched, stopped."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from common import machine

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

SERVER_CORE, LOAD_CORE = "0", "1"
START_SECONDS = 30.0
# Between two questions whether a program is ready: also what its start is measured to.
ASK_EVERY_SECONDS = 0.001
CALLGATE = Path(sys.executable).parent / "callgate"
# A sidecar that opens no store: what the data plane takes by itself.
WITHOUT_CONTROL_PLANE = (sys.executable, "-m", "control.alone")


@dataclass
class Program:
    """A running program."""

    process: subprocess.Popen[bytes]
    command: str

    def cpu_seconds(self) -> float:
        """CPU time that its threads have used so far."""
        text = Path(f"/proc/{self.process.pid}/stat").read_text(encoding="utf-8")
        user, system = text.rpartition(")")[2].split()[11:13]
        return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")

    def resident_bytes(self) -> dict[str, int]:
        """Resident memory by kind: `total`, and of it what belongs to files that are mapped (`file`)."""
        text = Path(f"/proc/{self.process.pid}/status").read_text(encoding="utf-8")
        kib = {name: int(value) for name, value in re.findall(r"^(\w+):\s+(\d+) kB$", text, re.MULTILINE)}
        return {"total": kib["VmRSS"] * 1024, "file": (kib["RssFile"] + kib["RssShmem"]) * 1024}

    def running(self) -> None:
        """Ends the bench when the program has ended."""
        code = self.process.poll()
        if code is not None:
            sys.exit(f"`{self.command}` ended with status {code}")


@contextmanager
def started(command: Sequence[str], core: str | None = SERVER_CORE, **environment: str) -> Iterator[Program]:
    """Starts a program, pinned to a core unless that is None; it is stopped with SIGTERM in the end."""
    with _started(command, core, environment) as program:
        yield program


@contextmanager
def _started(
    command: Sequence[str], core: str | None, environment: Mapping[str, str], log: Path | None = None
) -> Iterator[Program]:
    """Likewise; what it writes to stderr is shown, or written to `log`."""
    pinned = ["taskset", "-c", core, *command] if core is not None else list(command)
    with log.open("ab") if log is not None else nullcontext() as stderr:
        process = subprocess.Popen(
            pinned, cwd=machine.ROOT, env={**os.environ, **environment}, stdout=subprocess.DEVNULL, stderr=stderr
        )
    try:
        yield Program(process, " ".join(command))
    finally:
        process.terminate()
        process.wait(timeout=START_SECONDS)


@dataclass
class Sidecar(Program):
    """A running `callgate serve`."""

    address: str
    admin: str
    admin_grpc: str
    configuration: Path

    def wait_until_ready(self, within_seconds: float = START_SECONDS) -> None:
        """Returns when `/readyz` says so."""
        deadline = time.monotonic() + within_seconds
        while time.monotonic() < deadline:
            self.running()
            try:
                with urllib.request.urlopen(f"http://{self.admin}/readyz", timeout=1.0) as response:
                    if response.status == 200:
                        return
            except (urllib.error.URLError, ConnectionError, TimeoutError):
                time.sleep(ASK_EVERY_SECONDS)
        sys.exit(f"callgate was not ready within {within_seconds:g} s")

    def metrics(self) -> str:
        """The text of `/metrics`."""
        with urllib.request.urlopen(f"http://{self.admin}/metrics", timeout=30.0) as response:
            return str(response.read().decode())

    def metric(self, name: str, **labels: str) -> float:
        """The sum of a metric's rows that carry these labels; 0 where there is none."""
        total = 0.0
        for found, value in re.findall(rf"^{name}(?:\{{(.*)\}})? ([\d.e+-]+)$", self.metrics(), re.MULTILINE):
            if all(f'{label}="{wanted}"' in found for label, wanted in labels.items()):
                total += float(value)
        return total

    def allowed(self) -> int:
        """Allowed calls by callgate's own count."""
        return round(self.metric("callgate_decisions_total", outcome="allow"))


@contextmanager
def sidecar(
    configuration: Mapping[str, object],
    folder: Path,
    *,
    socket_path: Path | None = None,
    core: str | None = SERVER_CORE,
    program: Sequence[str] = (str(CALLGATE),),
    within_seconds: float = START_SECONDS,
    log: Path | None = None,
    before_ready: Callable[[Sidecar], None] = lambda _: None,
    wait: bool = True,
) -> Iterator[Sidecar]:
    """Starts `callgate serve` with a configuration on free ports, and waits until it is ready unless told otherwise.

    What outlives the process goes to `folder`; counters are in memory unless the configuration says otherwise.
    `before_ready` is called as soon as the process has been started.
    """
    address, admin, admin_grpc = free_addresses(3)
    path = folder / f"callgate-{address.rpartition(':')[2]}.json"
    document: dict[str, object] = {
        "state": str(folder),
        "listen": address,
        "admin": {"listen": admin, "grpc_listen": admin_grpc},
        "workers": 1,
        "counters": "memory",
        **configuration,
    }
    if socket_path is not None:
        document["socket"] = str(socket_path)
    path.write_text(json.dumps(document), encoding="utf-8")
    with _started([*program, "serve", "--config", str(path)], core, {}, log) as running:
        ours = Sidecar(running.process, running.command, address, admin, admin_grpc, path)
        before_ready(ours)
        if wait:
            ours.wait_until_ready(within_seconds)
        yield ours


def free_addresses(count: int) -> list[str]:
    """Loopback addresses without a listener."""
    listeners = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    addresses = [f"127.0.0.1:{listener.getsockname()[1]}" for listener in listeners]
    for listener in listeners:
        listener.close()
    return addresses


def free_port() -> int:
    """A loopback port without a listener."""
    return int(free_addresses(1)[0].rpartition(":")[2])


def wait_for(port: int, program: Program) -> None:
    """Returns when the program listens on a port of loopback."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        program.running()
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1.0).close()
        except OSError:
            time.sleep(ASK_EVERY_SECONDS)
        else:
            return
    sys.exit(f"`{program.command}` did not listen within {START_SECONDS:g} s")


def two_cores() -> None:
    """Ends a bench that wants a core for the server and one for the load where there are none."""
    if not {int(SERVER_CORE), int(LOAD_CORE)} <= os.sched_getaffinity(0):
        sys.exit("this bench wants two cores: one for the server, one for the load")
