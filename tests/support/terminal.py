"""The program on a real terminal: a pseudo-terminal whose other end the test reads and types on."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import termios
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Condition, Thread
from time import monotonic
from typing import Any

from support.program import ENVIRONMENT, PROGRAM, TIMEOUT_S

_SEQUENCE = re.compile(r"\x1b(?:\[[0-9;?]*[ -/]*[@-~]|[()][A-Z0-9]|[=>])")
# They would override the size of the terminal.
_ENVIRONMENT = {name: value for name, value in ENVIRONMENT.items() if name not in {"COLUMNS", "LINES", "NO_COLOR"}}
_HOME = "\x1b[H"


class Terminal:
    """A program on a terminal of its own."""

    def __init__(self, words: tuple[str | Path, ...], rows: int, columns: int, variables: Mapping[str, str]) -> None:
        self._outer, self._inner = pty.openpty()
        self.resize(rows, columns)
        self.before = termios.tcgetattr(self._inner)
        self.process: subprocess.Popen[bytes] = subprocess.Popen(
            # Makes it the controlling terminal, from which Ctrl-C comes.
            ["setsid", "--ctty", PROGRAM, *words],
            stdin=self._inner,
            stdout=self._inner,
            stderr=self._inner,
            env={**_ENVIRONMENT, "TERM": "xterm-256color", **variables},
        )
        self._output = ""
        self._closing = False
        self._changed = Condition()
        self._reader = Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        # The terminal is gone at its end.
        with suppress(OSError):
            while not self._closing:
                if not select.select([self._outer], [], [], 0.1)[0]:
                    continue
                content = os.read(self._outer, 65_536)
                with self._changed:
                    self._output += content.decode(errors="replace")
                    self._changed.notify_all()

    @property
    def output(self) -> str:
        """The whole output, with its control sequences."""
        with self._changed:
            return self._output

    @property
    def text(self) -> str:
        """The text that was written, without control sequences."""
        return _SEQUENCE.sub("", self.output).replace("\r\n", "\n")

    @property
    def screen(self) -> str:
        """The last picture of a screen that is drawn anew from its upper left corner."""
        return _SEQUENCE.sub("", self.output.rpartition(_HOME)[2]).replace("\r\n", "\n")

    def type(self, keys: str) -> None:
        """Types keys."""
        os.write(self._outer, keys.encode())

    def resize(self, rows: int, columns: int) -> None:
        """Changes the size."""
        fcntl.ioctl(self._outer, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def wait_for(self, *texts: str, gone: str | None = None, on: str = "screen") -> str:
        """Waits until the screen, or all text, contains all these texts and not the one that is gone; returns it."""
        deadline = monotonic() + TIMEOUT_S
        while not all(text in (shown := str(getattr(self, on))) for text in texts) or (gone and gone in shown):
            left = deadline - monotonic()
            assert left > 0, f"not shown: {texts}, but\n{shown}"
            with self._changed:
                self._changed.wait(min(left, 0.5))
        return shown

    def hang_up(self) -> None:
        """Takes the terminal away, as the end of a connection does."""
        self._closing = True
        self._reader.join(TIMEOUT_S)
        for end in (self._inner, self._outer):
            os.close(end)
        self._inner = self._outer = -1

    def end(self) -> int:
        """Waits for the end of the program; its exit code."""
        return self.process.wait(TIMEOUT_S)

    @property
    def is_restored(self) -> bool:
        """True if the terminal has the mode that it began with."""
        now: list[Any] = termios.tcgetattr(self._inner)
        return now == self.before

    def close(self) -> None:
        """Ends the program, if it still runs, and the terminal."""
        self.process.kill()
        self.process.wait()
        if self._outer >= 0:
            self.hang_up()


@contextmanager
def terminal(
    *words: str | Path, rows: int = 24, columns: int = 100, variables: Mapping[str, str] | None = None
) -> Iterator[Terminal]:
    """Runs the program on a terminal."""
    opened = Terminal(words, rows, columns, variables or {})
    try:
        yield opened
    finally:
        opened.close()
