"""A wait that signal handlers and other threads can end."""

import os
import select


class Wake:
    """A pipe to this process: unlike with a `threading.Event`, a signal handler can write to it at any moment."""

    def __init__(self) -> None:
        """Opens the pipe."""
        self._reader, self._writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)

    def up(self) -> None:
        """Ends the current wait, or the next one."""
        try:
            os.write(self._writer, b"\0")
        except BlockingIOError:
            # It is full of earlier wake-ups, which are enough.
            return

    def wait(self, timeout_s: float) -> None:
        """Returns after a call of `up`, or at the latest after `timeout_s`."""
        ready, _, _ = select.select([self._reader], [], [], timeout_s)
        if ready:
            os.read(self._reader, 1 << 16)
