"""Single keys from a terminal."""

from __future__ import annotations

import codecs
import os
import re
import sys
import termios
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

_PASTE_BEGIN: Final = "\x1b[200~"
_PASTE_END: Final = "\x1b[201~"
_PASTE_ON: Final = "\x1b[?2004h"
_PASTE_OFF: Final = "\x1b[?2004l"
_LONGEST_PASTE: Final = 65_536

_SEQUENCE: Final = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|O[ -~]|[^\[O])", re.DOTALL)
_BEGUN: Final = re.compile(r"\x1b(?:\[[0-?]*[ -/]*|O)?")
_NAMES: Final = {
    "\x1b[A": "up",
    "\x1bOA": "up",
    "\x10": "up",
    "\x1b[B": "down",
    "\x1bOB": "down",
    "\x0e": "down",
    "\x1b[5~": "page_up",
    "\x02": "page_up",
    "\x1b[6~": "page_down",
    "\x06": "page_down",
    "\x1b[H": "home",
    "\x1bOH": "home",
    "\x1b[1~": "home",
    "\x1b[F": "end",
    "\x1bOF": "end",
    "\x1b[4~": "end",
    "\r": "enter",
    "\n": "enter",
    "\x7f": "backspace",
    "\x08": "backspace",
    "\x15": "clear",
}


class Key(NamedTuple):
    """A key, or a text that was pasted."""

    name: str
    """`up`, `enter` and so on; the character itself; or `paste`."""
    text: str = ""
    """The character, or the pasted text; empty for other keys."""


class KeyReader:
    """Makes keys of the bytes of a terminal. Sequences that it does not know are no keys."""

    def __init__(self) -> None:
        """Begins with nothing."""
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._held = ""

    @property
    def is_within_sequence(self) -> bool:
        """True if the last bytes are the key Escape, or begin a sequence."""
        return bool(self._held)

    def feed(self, content: bytes) -> list[Key]:
        """The keys that are complete now."""
        self._held += self._decoder.decode(content)
        keys: list[Key] = []
        while self._held and (length := self._take(keys)):
            self._held = self._held[length:]
        return keys

    def flush(self) -> list[Key]:
        """The keys when nothing has followed for a moment: Escape has been pressed alone."""
        if self._held.startswith(_PASTE_BEGIN):
            return []
        is_escape, self._held = self._held == "\x1b", ""
        return [Key("escape")] if is_escape else []

    def _take(self, keys: list[Key]) -> int:
        """Adds the first key, if it is one; the number of its characters, 0 if more of them must come."""
        held = self._held
        if held.startswith(_PASTE_BEGIN):
            end = held.find(_PASTE_END)
            if end < 0 and len(held) < _LONGEST_PASTE:
                return 0
            keys.append(Key("paste", held[len(_PASTE_BEGIN) : end if end >= 0 else None]))
            return end + len(_PASTE_END) if end >= 0 else len(held)
        if _BEGUN.fullmatch(held):
            return 0
        found = _SEQUENCE.match(held)
        taken = held[0] if found is None else found[0]
        if taken in _NAMES:
            keys.append(Key(_NAMES[taken]))
        elif taken.isprintable():
            keys.append(Key(taken, taken))
        return len(taken)


@contextmanager
def key_mode(terminal: int) -> Iterator[None]:
    """Lets a terminal give each key at once and unseen; its former mode comes back at the end."""
    before = termios.tcgetattr(terminal)
    mode = termios.tcgetattr(terminal)
    # Ctrl-C stays a signal. Ctrl-Z would leave the terminal in this mode, and Ctrl-S would stop the screen.
    mode[0] &= ~termios.IXON
    mode[3] &= ~(termios.ICANON | termios.ECHO | termios.IEXTEN)
    mode[6][termios.VMIN], mode[6][termios.VTIME] = 1, 0
    mode[6][termios.VSUSP] = bytes([os.fpathconf(terminal, "PC_VDISABLE")])
    try:
        # Keys that were typed before the screen was shown are no answer to it.
        termios.tcsetattr(terminal, termios.TCSAFLUSH, mode)
        _write(_PASTE_ON)
        yield
    finally:
        # The terminal may be gone.
        with suppress(OSError, termios.error):
            _write(_PASTE_OFF)
        with suppress(OSError, termios.error):
            termios.tcsetattr(terminal, termios.TCSAFLUSH, before)


def _write(sequence: str) -> None:
    sys.stdout.write(sequence)
    sys.stdout.flush()
