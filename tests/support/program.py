"""The program as a user runs it: a subprocess."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from queue import Queue
from tempfile import TemporaryDirectory
from threading import Thread
from time import monotonic, sleep
from typing import Any

PROGRAM = Path(sys.executable).with_name("callgate")
TIMEOUT_S = 60.0
ENVIRONMENT = {name: value for name, value in os.environ.items() if name not in {"FORCE_COLOR", "TTY_COMPATIBLE"}}

_STATE = TemporaryDirectory(prefix="callgate-state-")
"""State folder of programs without an own one, so that this user's counters are not touched."""
ENVIRONMENT["XDG_STATE_HOME"] = _STATE.name


@dataclass(frozen=True)
class Done:
    """The result of a run."""

    code: int
    out: str
    err: str


def run(*words: str | Path, cwd: Path | None = None, variables: Mapping[str, str | Path] | None = None) -> Done:
    """Runs the program to its end; `variables` override its environment."""
    done = subprocess.run(
        [PROGRAM, *words],
        cwd=cwd,
        env={**ENVIRONMENT, **(variables or {})},
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    return Done(done.returncode, done.stdout, done.stderr)


def refused(*words: str | Path, cwd: Path | None = None) -> str:
    """Runs the program, which must refuse with exit code 2 and one line; gives the line."""
    done = run(*words, cwd=cwd)
    assert (done.code, done.out) == (2, ""), done
    lines = done.err.splitlines()
    assert len(lines) == 1, done.err
    return lines[0]


class Sidecar:
    """A running `callgate serve`."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self._lines: Queue[str] = Queue()
        # Read on a thread, so that a wait for a line can give up.
        self._reader = Thread(target=self._read, daemon=True)
        self._reader.start()
        self.greeting = [self._lines.get(timeout=TIMEOUT_S)]
        while not self.greeting[-1].startswith("ask it:"):
            self.greeting.append(self._lines.get(timeout=TIMEOUT_S))

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            for text in _greeting(line.rstrip("\n")):
                self._lines.put(text)

    def said(self, pattern: str) -> str:
        """The first group of the first line of the greeting that matches."""
        found = re.search(pattern, "\n".join(self.greeting), re.M)
        assert found is not None, self.greeting
        return found[1]

    @property
    def address(self) -> str:
        """The address of the decision API."""
        return self.said(r"^decisions: (127\S+)")

    @property
    def admin(self) -> str:
        """The address of metrics."""
        return self.said(r"^admin: +http://(\S+)")

    def stop(self, number: signal.Signals = signal.SIGTERM) -> tuple[int, str]:
        """Exit code and stderr."""
        self.process.send_signal(number)
        code = self.process.wait(TIMEOUT_S)
        self._reader.join(TIMEOUT_S)
        return code, "" if self.process.stderr is None else self.process.stderr.read()


def stand_still(process: subprocess.Popen[Any]) -> None:
    """Stops a process until it gets SIGCONT. A thread that runs when the signal comes can go on for a moment: it
    returns when all of them stand."""
    process.send_signal(signal.SIGSTOP)
    tasks = Path(f"/proc/{process.pid}/task")
    deadline = monotonic() + TIMEOUT_S
    while any(_state(task) != "T" for task in tasks.iterdir()):
        assert monotonic() < deadline, f"process {process.pid} does not stop"
        sleep(0.001)


def _state(task: Path) -> str:
    try:
        line = (task / "stat").read_text()
    except OSError:
        # The thread has ended meanwhile.
        return "T"
    # The name of a thread stands in parentheses and may hold spaces.
    return line.rpartition(")")[2].split()[0]


def _greeting(line: str) -> list[str]:
    """A line of the greeting as text, also if it is JSON; any other line as it is."""
    fields = json.loads(line) if line.startswith('{"time": ') else {}
    if fields.get("event") == "configuration_warning":
        return [f"warning:   {fields['warning']}"]
    if fields.get("event") != "serving":
        return [line]
    return [
        *(f"decisions: {place}" for place in fields["decisions"]),
        *(f"gateway:   {url}" for url in fields["gateway"]),
        f"admin:     {fields['admin']} (JSON)",
        f"ask it:    {fields['ask']}",
    ]


@contextmanager
def sidecar(
    *words: str | Path, cwd: Path | None = None, stderr: int = subprocess.PIPE, through: Sequence[str] = ()
) -> Iterator[Sidecar]:
    """`callgate serve` on free ports, killed at the end if it still runs; counters in memory unless `words` set them.

    `through` is a command that executes the command after it.
    """
    if not {"--counters", "--state"} & {str(word) for word in words}:
        words = (*words, "--counters", "memory")
    process = subprocess.Popen(
        [*through, PROGRAM, "serve", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", *words],
        cwd=cwd,
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=stderr,
        stdin=subprocess.DEVNULL,
        text=True,
    )
    with process:
        try:
            yield Sidecar(process)
        finally:
            process.kill()
