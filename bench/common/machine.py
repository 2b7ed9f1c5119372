"""Facts about the machine of a measurement."""

from __future__ import annotations

import os
import platform
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# The profile that the wheel was made by (`make` keeps it).
TRAINED = ROOT / "target/pgo/callgate.profdata"


def cargo_environment(*, quick: bool) -> dict[str, str]:
    """The environment in which cargo builds a bench of this tree: by the profile of the wheel, unless it is quick."""
    if quick or not TRAINED.exists():
        return dict(os.environ)
    return {**os.environ, "RUSTFLAGS": f"-Cprofile-use={TRAINED}"}


def facts() -> dict[str, str | int]:
    """The machine, the toolchain and the commit."""
    commit = _said("git", "rev-parse", "HEAD")
    if _said("git", "status", "--porcelain"):
        commit += " with changes"
    return {
        "cpu": _cpu_model(),
        "cores": len(os.sched_getaffinity(0)),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "rustc": _said("rustc", "--version"),
        "commit": commit,
    }


def line() -> str:
    """The same as one line to print above a table."""
    return ", ".join(f"{name} {value}" for name, value in facts().items())


def _cpu_model() -> str:
    for row in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        name, _, value = row.partition(":")
        if name.strip() == "model name":
            return value.strip()
    return platform.machine()


def _said(*command: str) -> str:
    """The output of a command; empty if it fails or does not exist."""
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
