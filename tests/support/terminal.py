"""The program on a real terminal: a pseudo-terminal whose other end the test reads and types on."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import subprocess
import termios
from collections.abc import Callable, Iterator
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

    def __init__(self, words: tuple[str | Path, ...], rows: int, columns: int) -> None:
        self._outer, self._inner = pty.openpty()
        self.resize(rows, columns)
        self.before = termios.tcgetattr(self._inner)
        self.process: subprocess.Popen[bytes] = subprocess.Popen(
            # Makes it the controlling terminal, from which Ctrl-C comes.
            ["setsid", "--ctty", PROGRAM, *words],
            stdin=self._inner,
            stdout=self._inner,
            stderr=self._inner,
            env={**_ENVIRONMENT, "TERM": "xterm-256color"},
        )
        self._output = ""
        self._changed = Condition()
        self._reader = Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        # The terminal is gone at its end.
        with suppress(OSError):
            while content := os.read(self._outer, 65_536):
                with self._changed:
                    self._output += content.decode(errors="replace")
                    self._changed.notify_all()

    @property
    def output(self) -> str:
        """Everything that was written, with its control sequences."""
        with self._changed:
            return self._output

    @property
    def text(self) -> str:
        """The text that was written, without control sequences."""
        return _SEQUENCE.sub("", self.output).replace("\r\n", "\n")

    @property
    def screen(self) -> str:
        """What was drawn last on a screen that is drawn anew from its upper left corner."""
        return _SEQUENCE.sub("", self.output.rpartition(_HOME)[2]).replace("\r\n", "\n")

    def type(self, keys: str) -> None:
        """Types keys."""
        os.write(self._outer, keys.encode())

    def resize(self, rows: int, columns: int) -> None:
        """Changes the size."""
        fcntl.ioctl(self._outer, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def wait_for(self, text: str | Callable[[str], bool], *, on: str = "screen") -> str:
        """Waits until the screen, or all text, contains a text, and returns it."""
        holds = (lambda shown: text in shown) if isinstance(text, str) else text
        deadline = monotonic() + TIMEOUT_S
        while not holds(shown := str(getattr(self, on))):
            left = deadline - monotonic()
            assert left > 0, f"not shown: {text!r}, but\n{shown}"
            with self._changed:
                self._changed.wait(min(left, 0.5))
        return shown

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
        os.close(self._inner)
        self._reader.join(TIMEOUT_S)
        os.close(self._outer)


@contextmanager
def terminal(*words: str | Path, rows: int = 24, columns: int = 100) -> Iterator[Terminal]:
    """Runs the program on a terminal."""
    opened = Terminal(words, rows, columns)
    try:
        yield opened
    finally:
        opened.close()
