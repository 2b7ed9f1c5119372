"""`docs/api.md` is what the docstrings say."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import callgate
from callgate import testing

ROOT = Path(__file__).resolve().parents[2]


def test_the_page_is_up_to_date() -> None:
    command = [sys.executable, str(ROOT / "scripts/api.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_public_name_has_an_entry() -> None:
    headings = {
        line.removeprefix("### ")
        for line in (ROOT / "docs/api.md").read_text(encoding="utf-8").splitlines()
        if line.startswith("### ")
    }
    public = {*callgate.__all__, *(f"testing.{name}" for name in testing.__all__)} - {"__version__"}
    assert headings == public
