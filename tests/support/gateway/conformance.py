"""The public conformance suite (`@modelcontextprotocol/conformance`), and the servers that it is run against."""

from __future__ import annotations

import json
import re
import subprocess
import tempfile
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from support.gateway.environments import NODE, PACKAGES, bare_environment, needed, node, own_environment
from support.gateway.environments import SDK as PYTHON
from support.gateway.servers import listening, program
from support.ports import free_port
from support.proxies.envoy import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

SUITE = "node_modules/@modelcontextprotocol/conformance/dist/index.js"
OFFERS = ROOT / "tests" / "cases" / "conformance" / "offers.json"
"""The offers that the suite requires of a server, for all servers."""
TIMEOUT_S = 300.0


@dataclass(frozen=True)
class Check:
    """The result of one check of a scenario. A scenario may have several checks of one id, in order."""

    id: str
    name: str
    status: str
    """`SUCCESS`, `FAILURE`, `WARNING` or `SKIPPED`."""
    error: str


Checks = dict[str, list[Check]]
"""The checks of each scenario."""


def python_server() -> AbstractContextManager[str]:
    """On the Python SDK, at both revisions."""
    return program(PYTHON, "conformance_server.py", str(OFFERS), environment=own_environment())


@contextmanager
def _on_node(script: str) -> Iterator[str]:
    needed(NODE)
    port = free_port()
    environment = bare_environment(PORT=str(port), OFFERS=str(OFFERS))
    with listening([str(word) for word in node(script)], port, environment):
        yield f"http://127.0.0.1:{port}/mcp"


def typescript_server() -> AbstractContextManager[str]:
    """On the second generation of the TypeScript SDK."""
    return _on_node("conformance2.mjs")


def typescript_1_server() -> AbstractContextManager[str]:
    """On the first generation of the TypeScript SDK."""
    return _on_node("conformance1.mjs")


SERVERS: dict[str, Callable[[], AbstractContextManager[str]]] = {
    "python": python_server,
    "typescript": typescript_server,
    "typescript-1": typescript_1_server,
}


@contextmanager
def every_server() -> Iterator[dict[str, str]]:
    """The servers, by their URLs."""
    with ExitStack() as stack:
        yield {name: stack.enter_context(start()) for name, start in SERVERS.items()}


def run_suite(url: str, revision: str, scenario: str | None = None) -> Checks:
    """The results of the scenarios for servers of a revision of the specification, or of one scenario."""
    needed(NODE)
    if not (PACKAGES / SUITE).exists():
        pytest.skip("the conformance suite is not installed (make target/npm/.stamp)")
    chosen: tuple[str, ...] = ("--requirements", revision)
    if scenario is not None:
        chosen = ("--scenario", scenario, "--spec-version", revision, "--force")
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [*node(SUITE), "server", "--url", url, *chosen, "--output-dir", folder],
            env=bare_environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )
        checks = {_scenario(path.parent): _checks(path, url) for path in Path(folder).glob("*/checks.json")}
    # Its exit code shows if all checks passed, which is not needed here.
    assert checks, (done.stdout[-2000:], done.stderr[-2000:])
    return checks


def _scenario(folder: Path) -> str:
    """The name in `server-NAME-TIME`."""
    return re.sub(r"^server-(.+)-\d{4}-\d\d-\d\dT[-\dZ]+$", r"\1", folder.name)


def _checks(path: Path, url: str) -> list[Check]:
    told = json.loads(path.read_text(encoding="utf-8"))
    # `INFO` is a scenario's record of its traffic.
    return [
        Check(one["id"], one["name"], one["status"], one.get("errorMessage", "").replace(url, "URL"))
        for one in told
        if one["status"] != "INFO"
    ]
