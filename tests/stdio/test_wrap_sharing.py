"""Several wraps of one server on one state folder: their limits hold for all of them together."""

from __future__ import annotations

import json
import signal
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from support.program import run, sidecar, stand_still
from support.stdio.wrapped import PROGRAMS, Talk, call, request, server, wrapping

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MOST = 30
LIMIT = {"counter": "calls", "window": "hour", "max": MOST}
POLICY: dict[str, Any] = {
    "version": "1",
    "name": "example",
    "default": "deny",
    "tools": {"capped": {"limits": [LIMIT]}, "open": {}},
}
UNAVAILABLE = "(counter store unavailable)"
STATE = "state"
FILE = "state/wrap/srv/counters"


class Client(Talk):
    """A client of a wrapped server."""

    asked = 0

    def begin(self) -> None:
        """Waits until the server answers."""
        info = {"name": "test", "version": "1"}
        self.send(request(0, "initialize", protocolVersion="2025-06-18", capabilities={}, clientInfo=info))
        assert self.reply()["id"] == 0
        self.send({"jsonrpc": "2.0", "method": "notifications/initialized"})

    def rule(self, tool: str = "capped") -> str | None:
        """The rule that denies one call; None if it reached the server."""
        self.asked += 1
        self.send(call(self.asked, tool))
        reply = self.reply()
        assert reply["id"] == self.asked
        result = reply["result"]
        if not result.get("isError"):
            return None
        rule: str = result["_meta"]["callgate/decision"]["rule"]
        return rule

    def admitted(self, calls: int) -> int:
        """The number of these calls that reached the server. A busy machine may keep the others from an answer."""
        rules = [self.rule() for _ in range(calls)]
        assert set(rules) <= {None, "/tools/capped/limits/calls", UNAVAILABLE}, rules
        return rules.count(None)

    def end(self) -> None:
        """Ends as a client does."""
        self.close()
        assert self.code() == 0


def command(folder: Path, *further: str | Path, of: list[str] | None = None) -> list[str]:
    """The command of a wrap with the state folder."""
    recorder = [sys.executable, str(PROGRAMS / "recorder.py"), "/dev/null"]
    return wrapping(folder, of or recorder, "--state", folder / STATE, *further, policy=POLICY)


@contextmanager
def wraps(folder: Path, number: int, *further: str | Path, of: list[str] | None = None) -> Iterator[list[Client]]:
    """So many wraps of one server, begun one after the other; the first one keeps the counts."""
    with ExitStack() as stack:
        clients = []
        for _ in range(number):
            client = stack.enter_context(Client(command(folder, *further, of=of)))
            client.begin()
            clients.append(client)
        yield clients


def at_once(clients: list[Client], calls: int) -> int:
    """The number of calls that reach their servers, of those that all clients make at the same time."""
    with ThreadPoolExecutor(len(clients)) as pool:
        return sum(pool.map(lambda client: client.admitted(calls), clients))


@pytest.mark.parametrize("number", [2, 5])
def test_wraps_meet_one_limit(tmp_path: Path, number: int) -> None:
    with wraps(tmp_path, number) as clients:
        assert at_once(clients, MOST) == MOST
        assert [client.rule() for client in clients] == ["/tools/capped/limits/calls"] * number
        assert [client.rule("open") for client in clients] == [None] * number
        for client in clients:
            client.end()
            lines = client.errors().splitlines()
            assert all("warning: " not in line and "counters" not in line for line in lines), lines
    assert not (tmp_path / f"{FILE}.sock").exists()


def test_a_real_server_is_shared(tmp_path: Path) -> None:
    with wraps(tmp_path, 2, of=server()) as clients:
        assert at_once(clients, MOST) == MOST


def test_a_restart_keeps_the_counts(tmp_path: Path) -> None:
    with wraps(tmp_path, 2) as clients:
        assert at_once(clients, 7) == 14
        for client in clients:
            client.end()
    with wraps(tmp_path, 2) as clients:
        assert at_once(clients, MOST) == MOST - 14


def test_a_wrap_that_ends_leaves_the_counts_to_the_others(tmp_path: Path) -> None:
    with wraps(tmp_path, 4) as clients:
        admitted = 0
        while len(clients) > 1:
            admitted += at_once(clients, 2)
            clients.pop(0).end()
        [last] = clients
        assert admitted == 18
        assert last.admitted(MOST) == MOST - 18
        with wraps(tmp_path, 1) as [another]:
            assert another.admitted(3) == 0


def test_a_kill_of_the_first_one_loses_nothing(tmp_path: Path) -> None:
    with wraps(tmp_path, 3) as [first, *others]:
        assert at_once([first, *others], 4) == 12
        first.process.kill()
        first.process.wait()
        assert at_once(others, MOST) == MOST - 12
        assert at_once(others, 2) == 0


def test_a_kill_during_calls_admits_nothing_twice(tmp_path: Path) -> None:
    with wraps(tmp_path, 4) as [first, *others], ThreadPoolExecutor(1) as pool:
        rest = pool.submit(at_once, others, MOST)
        admitted = first.admitted(3)
        first.process.kill()
        first.process.wait()
        admitted += rest.result()
        # A call whose answer the killed one still owed may be charged twice: one call for each of the others.
        assert MOST - len(others) <= admitted <= MOST
        assert at_once(others, 2) == 0


def test_while_the_first_one_is_stopped_calls_are_refused(tmp_path: Path) -> None:
    with wraps(tmp_path, 3) as [first, *others]:
        assert at_once([first, *others], 1) == 3
        stand_still(first.process)
        try:
            assert [client.rule() for client in others] == [UNAVAILABLE] * 2
            # What meets no limit needs nobody.
            assert [client.rule("open") for client in others] == [None] * 2
            done = run(*command(tmp_path)[1:])
            assert (done.code, done.out) == (2, "")
            assert done.err == (
                f"the counters `{tmp_path / FILE}` are kept by process {first.process.pid}, which does not answer; "
                "let it go on or stop it, or choose another file with --counters\n"
            )
        finally:
            first.process.send_signal(signal.SIGCONT)
        assert at_once([first, *others], MOST) == MOST - 3
        for client in others:
            client.end()
            assert f"are kept by process {first.process.pid}, which does not answer" in client.errors()


def test_a_stopped_one_that_is_killed_is_succeeded(tmp_path: Path) -> None:
    with wraps(tmp_path, 2) as [first, second]:
        stand_still(first.process)
        assert second.rule() == UNAVAILABLE
        first.process.kill()
        first.process.wait()
        assert second.admitted(MOST + 1) == MOST


def test_each_wrap_has_its_own_caller_and_log(tmp_path: Path) -> None:
    logs = [tmp_path / "a.jsonl", tmp_path / "b.jsonl"]
    with wraps(tmp_path, 1, "--grant", "a", "--decision-log", logs[0]) as [first]:
        assert first.admitted(20) == 20
        with wraps(tmp_path, 1, "--grant", "b", "--decision-log", logs[1]) as [second]:
            # The limit is by grant.
            assert second.admitted(MOST + 1) == MOST
            second.end()
        assert first.admitted(MOST) == MOST - 20
        first.end()
    for log, grant, lines in zip(logs, "ab", (20 + MOST, MOST + 1), strict=True):
        decisions = [json.loads(line) for line in log.read_text().splitlines()]
        assert [decision["grant"] for decision in decisions] == [grant] * lines


def test_the_file_can_be_shown(tmp_path: Path) -> None:
    with wraps(tmp_path, 2) as [first, second]:
        assert second.rule() is None
        done = run("counters", "show", tmp_path / FILE)
        assert done.code == 0, done
        assert f"opened last by process {first.process.pid}" in done.out


def test_a_sidecar_does_not_share(tmp_path: Path) -> None:
    policy = tmp_path / "served.json"
    policy.write_text(json.dumps(POLICY))
    file = f"file:{tmp_path / 'counters'}"
    with sidecar("--policy", policy, "--counters", file, "--state", tmp_path / "serving") as running:
        done = run(*command(tmp_path, "--counters", file)[1:])
        assert done.code == 2
        assert f"are in use by process {running.process.pid}" in done.err
    with wraps(tmp_path, 1, "--counters", file) as [first]:
        done = run("serve", "--policy", policy, "--counters", file, "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0")
        assert done.code == 2
        assert f"are in use by process {first.process.pid}" in done.err
