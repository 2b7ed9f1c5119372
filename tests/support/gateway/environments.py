"""Installed programs of others, which `make test` installs, and their environment variables for this machine."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.proxies.envoy import ROOT

PROGRAMS = Path(__file__).parent / "programs"
SDK = ROOT / "target" / "mcp" / "bin" / "python"
"""The Python SDK's second generation, and fastmcp."""
SDK1 = ROOT / "target" / "mcp1" / "bin" / "python"
"""The Python SDK's first generation, and the server for Valkey, which is made with it."""
AWSLABS = ROOT / "target" / "awslabs" / "bin" / "python"
"""Servers for AWS."""
PACKAGES = ROOT / "target" / "npm"
"""The packages that npm installed, with links to this project's scripts and to their interpreter."""
NODE = PACKAGES / "node"


def node(script: str, *flags: str) -> tuple[Path | str, ...]:
    """The command of one of this project's scripts in `node`, which finds the packages beside its link."""
    return (NODE, "--preserve-symlinks", "--preserve-symlinks-main", *flags, PACKAGES / script)


def needed(program: Path) -> None:
    """Skips the test if the program is missing."""
    for kind in ("mcp", "mcp1", "awslabs", "npm"):
        folder = ROOT / "target" / kind
        if program.is_relative_to(folder) and not (folder / ".stamp").exists():
            pytest.skip(f"what the tests need is not installed (make target/{kind}/.stamp)")


def bare_environment(**further: str) -> dict[str, str]:
    """An environment without the credentials and proxies of the user who runs the tests."""
    home = ROOT / "target" / "tests-home"
    home.mkdir(parents=True, exist_ok=True)
    return {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": str(home), "LANG": "C.UTF-8", **further}


def own_environment() -> dict[str, str]:
    """A bare environment in which this project's programs find `support`."""
    return bare_environment(PYTHONPATH=str(ROOT / "tests"))
