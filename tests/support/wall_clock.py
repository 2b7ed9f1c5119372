"""The time of day that programs see, stepped by libfaketime."""

from __future__ import annotations

import time
from pathlib import Path


class WallClock:
    """The time of day of programs that have its environment; first it is that of this machine."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "offset"
        self.shift(0)

    def set(self, unix_s: int) -> None:
        """Sets it; it goes on from there."""
        self.shift(unix_s - round(time.time()))

    def shift(self, seconds: int) -> None:
        """Sets it so much later, or earlier, than that of this machine."""
        new = self._file.with_suffix(".new")
        new.write_text(f"{seconds:+d}\n")
        new.replace(self._file)

    def environment(self) -> dict[str, str]:
        """The variables of programs that shall see it."""
        libraries = [str(path) for path in Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1")]
        assert libraries, "libfaketime is not installed: make programs"
        return {
            # An allocator such as jemalloc asks for the time before it gives memory, and the library asks for memory
            # before it gives the time: the C library's own allocator comes before it.
            "LD_PRELOAD": f"{libraries[0]}:libc.so.6",
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_NO_CACHE": "1",
            # The kernel keeps these from steps, too.
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }
