"""A wait that signal handlers and other threads can end."""

import os
import select


class Wake:
    """A pipe to this process itself: unlike a `threading.Event`, a signal handler can write to it at any moment."""

    def __init__(self) -> None:
        """Opens the pipe."""
        self._reader, self._writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)

    def up(self) -> None:
        """Ends the wait of now, or the next one."""
        try:
            os.write(self._writer, b"\0")
        except BlockingIOError:
            # Full of others that say the same.
            return

    def wait(self, timeout_s: float) -> None:
        """Returns when `up` was called, at the latest after `timeout_s`."""
        ready, _, _ = select.select([self._reader], [], [], timeout_s)
        if ready:
            os.read(self._reader, 1 << 16)
