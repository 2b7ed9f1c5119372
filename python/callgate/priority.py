"""The priority of threads that work beside decisions."""

from __future__ import annotations

import os
import threading
from contextlib import suppress
from typing import Final

_NICE: Final = 10


def step_back() -> None:
    """Lets decisions go first: lowers the priority of this thread, for good, where the system can do that.

    For threads whose work somebody can multiply, such as imports and logins: they would take the processors of the data
    plane otherwise.
    """
    with suppress(OSError):
        present = os.getpriority(os.PRIO_PROCESS, 0)
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), max(present, _NICE))
