"""`callgate approvals watch` on a real terminal with real keys, and in a pipe."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from queue import Queue
from threading import Thread
from typing import Any

import pytest

from callgate.clock import now_us
from callgate.os_user import os_user
from callgate.store.model import PermitBounds, Person, State, Verdict, Waiting
from callgate.store.store import Store
from support.approvals import CALLER, HOUR, answer, ask, need
from support.evidence import evidence
from support.program import ENVIRONMENT, PROGRAM, TIMEOUT_S
from support.terminal import Terminal, terminal

ME = Person("local", os_user())
KEYS = "q: quit"


def waiting(store: Store, tool: str, **more: Any) -> str:
    """The id of a pending approval."""
    needs = more.pop("needs", (need(),))
    fields = {"tool": tool, "evidence_arguments": '{"a": "x\\u202ey"}', "evidence": evidence(), **more}
    [outcome] = store.approvals.ask([ask(tool, *needs, **fields)], now_us())
    assert isinstance(outcome, Waiting)
    return outcome.approval_id


@contextmanager
def watching(state: Path, rows: int = 30) -> Iterator[Terminal]:
    with terminal("approvals", "watch", "--state", state, rows=rows) as shown:
        shown.wait_for(KEYS)
        yield shown


def ended(shown: Terminal, code: int = 0) -> None:
    """The program has ended, and the terminal is as it was."""
    assert shown.end() == code
    assert shown.is_restored
    shown.wait_for("\x1b[?1049l", "\x1b[?25h", "\x1b[?2004l", on="output")
    assert "Traceback" not in shown.text


def test_an_approval_from_the_terminal(store: Store, state: Path) -> None:
    first, second = waiting(store, "first"), waiting(store, "second")
    with watching(state) as shown:
        shown.wait_for("2 approvals wait for people", "> 59m   g      s/first")
        shown.type("\x1b[B")
        shown.wait_for("> 59m   g      s/second", KEYS)
        shown.type("\r")
        shown.wait_for("approval " + second, r'"a": "x\u202ey"', "esc: back")
        shown.type("a")
        shown.wait_for("approve this call, once?", "n: no")
        shown.type("y")
        shown.wait_for(f"approved: {second}", "1 approval waits for people", KEYS)
        assert store.approvals.get(second, now_us()).state is State.APPROVED
        assert store.approvals.get(first, now_us()).state is State.PENDING
        [given] = store.approvals.record(second).answers
        assert (given.person, given.verdict) == (ME, Verdict.APPROVE)
        assert store.audit.page(kind="approvals", object_id=second)[0].change.by.name == str(ME)
        shown.type("q")
        ended(shown)


def test_a_permit_from_the_terminal(store: Store, state: Path) -> None:
    arguments = {"arguments": {"a": "x\u202ey"}, "evidence_arguments": '{"a": "x\\u202ey"}'}
    approval_id = waiting(store, "first", needs=(need(permit=PermitBounds(10, HOUR)),), **arguments)
    with watching(state) as shown:
        shown.wait_for("s/first")
        shown.type("p")
        shown.wait_for("1/4  uses of the permit, 1 to 10: 10_")
        shown.type("\x153\r")
        shown.wait_for("2/4  its length, at most 1h: 1h_")
        # Keys that are typed ahead end the questions, and confirm nothing.
        shown.type("\r\r\ry")
        shown.wait_for("permit for 3 uses within 1h", r'a: exactly "x\u202ey"', "make this permit?")
        assert store.permits.page(now_us()).items == ()
        shown.type("y")
        shown.wait_for("permit: ", "3 uses within 1h")
        shown.type("q")
        ended(shown)
    [permit] = store.permits.page(now_us()).items
    assert (permit.approval_id, permit.max_uses, permit.made_by) == (approval_id, 3, (ME,))


def test_a_denial_with_its_reason(store: Store, state: Path) -> None:
    approval_id = waiting(store, "first")
    with watching(state) as shown:
        shown.wait_for("s/first")
        shown.type("d")
        shown.wait_for("reason of the denial, which the agent is told: _")
        shown.type("nö, not xx")
        shown.wait_for("nö, not xx_")
        shown.type("\x7f\x7f\x1b[D")
        shown.wait_for("nö, not _")
        shown.type("now\r")
        shown.wait_for(f"denied: {approval_id}", KEYS)
        assert store.approvals.get(approval_id, now_us()).cause == "nö, not now"
        shown.type("q")
        ended(shown)


def test_escape_cancels(store: Store, state: Path) -> None:
    approval_id = waiting(store, "first")
    with watching(state) as shown:
        shown.wait_for("s/first")
        for key in "ad":
            shown.type(key)
            shown.wait_for("approve this call" if key == "a" else "reason of the denial")
            shown.type("\x1b")
            shown.wait_for("nothing was answered", "esc: back")
        shown.type("\x1b")
        shown.wait_for("1 approval waits")
        shown.type("q")
        ended(shown)
    assert store.approvals.get(approval_id, now_us()).state is State.PENDING


def test_keys_typed_ahead_confirm_nothing(store: Store, state: Path) -> None:
    approval_id = waiting(store, "first")
    with watching(state) as shown:
        shown.wait_for("s/first")
        # One write, which is one read; then a paste.
        shown.type("ayyy")
        shown.wait_for("approve this call, once?")
        shown.type("\x1b[200~y\x1b[201~n")
        shown.wait_for("nothing was answered", "esc: back")
        shown.type("d\r")
        shown.wait_for("reason of the denial", "enter: deny")
        shown.type("\x1b")
        shown.wait_for("nothing was answered", "esc: back")
        shown.type("q")
        ended(shown)
    assert store.approvals.get(approval_id, now_us()).state is State.PENDING


def test_changes_by_others_are_seen(store: Store, state: Path) -> None:
    first = waiting(store, "first")
    with watching(state) as shown:
        shown.wait_for("> 59m", "s/first")
        second = waiting(store, "second")
        shown.wait_for("2 approvals wait for people", "s/second")
        shown.type("a")
        shown.wait_for("approve this call, once?")
        store.approvals.answer(first, answer("ann", Verdict.DENY, reason="stop"), now_us())
        shown.wait_for("nothing was answered, because it changed: denied until", "esc: back")
        shown.type("y\x1b")
        shown.wait_for("1 approval waits for people")
        store.approvals.withdraw(second, CALLER, "over", now_us())
        shown.wait_for("0 approvals wait for people")
        shown.type("q")
        ended(shown)


def test_an_answer_that_is_refused(store: Store, state: Path) -> None:
    approval_id = waiting(store, "first", needs=(need(approvers=("ops",)),))
    with watching(state) as shown:
        shown.wait_for("s/first", "(ops)")
        shown.type("a")
        shown.wait_for("approve this call, once?")
        shown.type("y")
        shown.wait_for("this approval asks people of the groups `ops`", "esc: back")
        shown.type("q")
        ended(shown)
    assert store.approvals.get(approval_id, now_us()).state is State.PENDING


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT])
@pytest.mark.parametrize("keys", ["", "a", "d"])
def test_signals_restore_the_terminal(store: Store, state: Path, number: signal.Signals, keys: str) -> None:
    waiting(store, "first")
    with watching(state) as shown:
        shown.wait_for("s/first")
        if keys:
            shown.type(keys)
            shown.wait_for("approve this call" if keys == "a" else "reason of the denial")
        assert not shown.is_restored
        shown.process.send_signal(number)
        ended(shown, -number)


def test_control_c_restores_the_terminal(store: Store, state: Path) -> None:
    waiting(store, "first")
    with watching(state) as shown:
        shown.wait_for("s/first")
        # Neither stops it: the terminal would stay in its mode.
        shown.type("\x1a\x13j")
        shown.type("p")
        shown.wait_for("lets nobody make a permit")
        shown.type("\x03")
        ended(shown)


def test_a_terminal_that_goes_away(store: Store, state: Path) -> None:
    waiting(store, "first")
    with watching(state) as shown:
        shown.wait_for("s/first")
        shown.hang_up()
        assert shown.end() != 0


def test_a_changed_size_is_drawn(store: Store, state: Path) -> None:
    waiting(store, "first")
    with watching(state, rows=12) as shown:
        shown.wait_for("s/first")
        shown.type("\r")
        shown.wait_for("lines 1 to 9 of", "esc: back")
        shown.resize(20, 90)
        shown.wait_for("lines 1 to 17 of", "esc: back")
        shown.type(" ")
        shown.wait_for("lines 18 to", "esc: back")
        shown.type("q")
        ended(shown)


def test_a_store_that_goes_away_is_told(store: Store, state: Path) -> None:
    waiting(store, "first")
    with watching(state) as shown:
        shown.wait_for("s/first")
        path = state / "callgate.db"
        path.rename(state / "away")
        shown.wait_for("NOT UP TO DATE", "changes cannot be seen: ", KEYS)
        # Without its evidence nothing can be answered.
        shown.type("a")
        shown.wait_for("NOT UP TO DATE   1 approval waits", "is gone: no such", KEYS, gone="changes cannot")
        shown.type("y")
        shown.wait_for("NOT UP TO DATE   1 approval waits", "changes cannot be seen: ", KEYS)
        (state / "away").rename(path)
        shown.wait_for("1 approval waits", KEYS, gone="NOT UP TO DATE")
        shown.type("q")
        ended(shown)


class Piped:
    """The lines that the program prints into a pipe."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self._lines: Queue[str] = Queue()
        Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._lines.put(line.rstrip("\n"))

    def line(self) -> str:
        return self._lines.get(timeout=TIMEOUT_S)


@contextmanager
def piped(state: Path, *words: str) -> Iterator[Piped]:
    command: list[str | Path] = [PROGRAM, "approvals", "watch", "--state", state, *words]
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "stdin": subprocess.DEVNULL}
    with subprocess.Popen(command, env=ENVIRONMENT, text=True, **pipes) as process:
        try:
            yield Piped(process)
        finally:
            process.kill()


def test_lines_in_a_pipe(store: Store, state: Path) -> None:
    first = waiting(store, "first\n", needs=(need("/a", approvers=("ops",)),))
    with piped(state) as program:
        line = program.line().split("  ")
        assert line[1:] == [first, "g", r"s/first\u{a}", "/a (ops)", "59m left"]
        second = waiting(store, "second", needs=(need(count=2),))
        assert second in program.line()
        # A change of one that was printed is no new line.
        store.approvals.answer(second, answer(), now_us())
        third = waiting(store, "third")
        assert third in program.line()
        program.process.send_signal(signal.SIGINT)
        assert program.process.wait(TIMEOUT_S) == 0
        assert program.process.stderr is not None
        assert program.process.stderr.read() == ""


def test_documents_in_a_pipe(store: Store, state: Path) -> None:
    first = waiting(store, "first")
    with piped(state, "--json") as program:
        document = json.loads(program.line())
        assert (document["id"], document["state"], document["tool"]) == (first, "pending", "first")


def test_a_dumb_terminal_gets_lines(store: Store, state: Path) -> None:
    first = waiting(store, "first")
    with terminal("approvals", "watch", "--state", state, variables={"TERM": "dumb"}) as shown:
        shown.wait_for(first, on="text")
        assert shown.is_restored
        assert "\x1b" not in shown.output
        os.kill(shown.process.pid, signal.SIGINT)
        assert shown.end() == 0
