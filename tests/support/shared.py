"""Sidecars that share their counters through a Redis."""

from __future__ import annotations

import json
import signal
import time
import urllib.request
from bisect import bisect_left
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from callgate import Client
from support.planes import wait_until
from support.program import TIMEOUT_S, Sidecar, run, sidecar, stand_still
from support.redis import running_redis

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from callgate import Decision
    from support.redis import RedisServer

KEY = bytes(range(32)).hex()
PATIENCE_MS = 20_000
PROBE = "probe"
"""A tool of every policy: its strict limit shows that the store is used."""
UNAVAILABLE = "(counter store unavailable)"


def limit(counter: str, most: float, window: str = "1h", **more: Any) -> dict[str, Any]:
    """A limit of a tool."""
    return {"counter": counter, "window": window, "max": most, **more}


def policy(name: str, **tools: Any) -> dict[str, Any]:
    """A policy of tools, each a list of limits or an entry."""
    entries = {tool: {"limits": entry} if isinstance(entry, list) else entry for tool, entry in tools.items()}
    probe = {"limits": [limit(PROBE, 10_000, "10ms", shared="strict")]}
    return {"version": "1", "name": name, "default": "allow", "tools": {**entries, PROBE: probe}}


class Node:
    """A running sidecar of a fleet."""

    def __init__(self, folder: Path, running: Sidecar, client: Client) -> None:
        self.folder = folder
        self.running = running
        self.client = client

    def check(self, tool: str, server: str = "s", grant: str | None = "g", **more: Any) -> Decision:
        """Asks for a call."""
        return self.client.check(tool=tool, server=server, grant=grant, **more)

    def admits(self, tool: str, server: str = "s", **more: Any) -> bool:
        """True if a call is allowed."""
        return self.check(tool, server, **more).outcome == "allow"

    def admitted(self, calls: int, tool: str, server: str = "s", **more: Any) -> int:
        """How many of so many calls, one after the other, are allowed.

        A call that the store did not answer in time is asked for again: it took nothing, and on a busy machine a lease
        ends before it is renewed.
        """

        def outcome() -> str:
            until = time.monotonic() + TIMEOUT_S
            while True:
                decision = self.check(tool, server, **more)
                if decision.rule != UNAVAILABLE or time.monotonic() > until:
                    return decision.outcome
                time.sleep(0.01)

        return sum(outcome() == "allow" for _ in range(calls))

    @property
    def log(self) -> str:
        """What the sidecar has logged."""
        return (self.folder / "log").read_text()

    def events(self, name: str) -> list[dict[str, Any]]:
        """The events of this name in the log."""
        lines = [json.loads(line) for line in self.log.splitlines(keepends=True) if line.endswith("\n")]
        return [line for line in lines if line["event"] == name]

    @property
    def faults(self) -> list[str]:
        """The failures of the store that the log tells."""
        return [event["error"] for event in self.events("shared_store_failed")]

    @property
    def status(self) -> dict[str, Any]:
        """The document of `callgate status`."""
        done = run("status", "--state", self.folder / "state", "--json")
        assert done.code == 0, done
        document: dict[str, Any] = json.loads(done.out)
        return document

    def metrics(self) -> str:
        """The page of metrics."""
        with urllib.request.urlopen(f"http://{self.running.admin}/metrics", timeout=TIMEOUT_S) as response:
            text: str = response.read().decode()
            return text

    def metric(self, name: str) -> float:
        """The value of a metric, with its labels in the name."""
        [line] = [line for line in self.metrics().splitlines() if line.startswith(f"{name} ")]
        return float(line.rpartition(" ")[2])

    def wait_for_counts(self, *servers: str) -> None:
        """Waits until the store gives units of the policies of these servers."""
        for server in servers:
            wait_until(partial(self.admits, PROBE, server), lambda: (self.status["counters"], self.log[-1_000:]))

    def wait_for_approvals(self) -> None:
        """Waits until the store of approvals is open."""
        wait_until(lambda: self.status["store"]["state"] == "open")

    def write(self, name: str, document: object) -> None:
        """Puts a file in place in one step."""
        path = self.folder / f".{name}.new"
        path.write_text(json.dumps(document))
        path.rename(self.folder / name)

    def kill(self) -> None:
        """Ends it by SIGKILL."""
        self.running.process.kill()
        self.running.process.wait(TIMEOUT_S)

    def stop(self) -> None:
        """Ends it by SIGTERM."""
        self.running.process.terminate()
        assert self.running.process.wait(TIMEOUT_S) == 0, self.log

    def pause(self) -> None:
        """Holds the process."""
        stand_still(self.running.process)

    def resume(self) -> None:
        """Lets a held process go on."""
        self.running.process.send_signal(signal.SIGCONT)


@contextmanager
def node(
    folder: Path,
    url: str,
    policies: Mapping[str, dict[str, Any]],
    *,
    key: str = KEY,
    lease: str = "1s",
    budget: str = "500ms",
    shared: Mapping[str, Any] | None = None,
    password: str | None = None,
    timeout_ms: float = PATIENCE_MS,
    kept: str = "memory",
    through: Sequence[str] = (),
    **keys: Any,
) -> Iterator[Node]:
    """A sidecar that need not reach its store.

    Args:
        folder: Where its files are; it is made, and may be that of a sidecar that has ended.
        url: The URL of the store.
        policies: The policies, each by the name of the one server that it is for.
        key: The key of token hashes as hex.
        lease: Length of a lease.
        budget: The longest time that a call waits for the store.
        shared: Further keys of `counters.shared`.
        password: The password for the store.
        timeout_ms: The longest time that the client waits for a decision.
        kept: The place of the sidecar's own counters: `memory`, or `file` for one in its state folder.
        through: A command that executes the command after it.
        keys: Further keys of the configuration.
    """
    folder.mkdir(parents=True, exist_ok=True)
    shared = {"url": url, "lease": lease, "budget": budget, **(shared or {})}
    if password is not None:
        _write_secret(folder / "password", password)
        shared["password_file"] = "password"
    for name, document in policies.items():
        (folder / f"{name}.json").write_text(json.dumps(document))
    _write_secret(folder / "key", key)
    document = {
        "state": "state",
        "servers": {name: {"policy": name} for name in policies},
        "policies": {name: f"{name}.json" for name in policies},
        "grant_key_file": "key",
        "counters": {"shared": shared, **({"store": kept} if kept != "file" else {})},
        "log_format": "json",
        "grace": "1s",
        **keys,
    }
    (folder / "callgate.json").write_text(json.dumps(document))
    with (
        (folder / "log").open("ab") as log,
        sidecar(
            "--config",
            folder / "callgate.json",
            "--state",
            folder / "state",
            stderr=log.fileno(),
            through=through,
        ) as running,
        Client(running.address, timeout_ms=timeout_ms) as client,
    ):
        yield Node(folder, running, client)


def _write_secret(path: Path, text: str) -> None:
    path.touch(0o600)
    path.write_text(text)


@dataclass
class Fleet:
    """Sidecars with one store."""

    redis: RedisServer
    nodes: list[Node]

    def wait_for_counts(self, *servers: str) -> None:
        """Waits until every node gives units of the policies of these servers."""
        for one in self.nodes:
            one.wait_for_counts(*servers)


@contextmanager
def fleet(
    folder: Path,
    policies: Mapping[str, dict[str, Any]],
    *,
    nodes: int = 2,
    redis: RedisServer | None = None,
    url: str | None = None,
    waits: bool = True,
    **more: Any,
) -> Iterator[Fleet]:
    """So many sidecars, whose counts can be used.

    Args:
        folder: Where their files are.
        policies: The policies by the names of their servers.
        nodes: The number of sidecars.
        redis: The server; one of its own by default.
        url: The way to the server, if it is not its own URL.
        waits: Wait until every policy gives units at every node.
        more: Keywords of `node`.
    """
    with ExitStack() as stack:
        server = redis or stack.enter_context(running_redis(folder / "redis"))
        contexts = [node(folder / f"node-{number}", url or server.url, policies, **more) for number in range(nodes)]
        made = Fleet(server, [stack.enter_context(context) for context in contexts])
        if waits:
            made.wait_for_counts(*policies)
        yield made


@dataclass
class Admissions:
    """What calls of several threads have got."""

    window_s: float
    units: list[tuple[float, float, int]] = field(default_factory=list)
    """For each call that was allowed, the time before and after it, and the number of its node."""
    refused: list[Decision] = field(default_factory=list)
    slowest_s: float = 0.0

    def of(self, number: int) -> int:
        """The calls that a node has admitted."""
        return sum(at == number for _, _, at in self.units)

    def most(self) -> int:
        """The most calls that were admitted in a window for sure: all of them began and ended within it."""
        ordered = sorted(self.units)
        most = 0
        for first, (begun, _, _) in enumerate(ordered):
            end = bisect_left(ordered, (begun + self.window_s,), first)
            held = sum(after < begun + self.window_s for _, after, _ in ordered[first:end])
            most = max(most, held)
        return most


def hammer(
    nodes: Sequence[Node],
    tool: str,
    server: str = "s",
    *,
    window_s: float,
    seconds: float | None = None,
    threads: int = 2,
    meanwhile: Callable[[], object] = lambda: None,
    pause_s: float = 0.002,
) -> Admissions:
    """Asks at all nodes at once for so long, or while something happens; a node that has ended is not asked again."""
    found = Admissions(window_s)
    end = [float("inf") if seconds is None else time.monotonic() + seconds]

    def ask(number: int) -> None:
        while (before := time.monotonic()) < end[0]:
            decision = nodes[number].check(tool, server)
            after = time.monotonic()
            if decision.rule == "(decision point unavailable)":
                if nodes[number].running.process.poll() is not None:
                    return
                continue
            found.slowest_s = max(found.slowest_s, after - before)
            if decision.outcome == "allow":
                found.units.append((before, after, number))
            else:
                found.refused.append(decision)
            time.sleep(pause_s)

    with ThreadPoolExecutor(threads * len(nodes)) as pool:
        running = [pool.submit(ask, number) for number in range(len(nodes)) for _ in range(threads)]
        try:
            meanwhile()
        finally:
            if seconds is None:
                end[0] = 0.0
        for one in running:
            one.result()
    return found
