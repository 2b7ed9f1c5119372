"""Servers that do not behave, as targets of scans."""

from __future__ import annotations

import sys
from pathlib import Path

from callgate.workbench.scan.target import StdioTarget

PROGRAM = Path(__file__).parent / "programs" / "hostile.py"


def hostile(mode: str, *further: str | Path, **environment: str) -> StdioTarget:
    """A server that does what a word of the program says."""
    return StdioTarget("hostile", (sys.executable, str(PROGRAM), mode, *map(str, further)), environment)
