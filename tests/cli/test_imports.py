"""Libraries that a program waits for although it does not need them yet."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from support.setup import TIMEOUT_S, policy

LATER = (
    "alembic",
    "argon2",
    "asyncio",
    "callgate.cli.control_plane",
    "callgate.config.intercept.convert",
    "callgate.store.store",
    "google",
    "grpc",
    "jinja2",
    "jwt",
    "prometheus_client",
    "rich",
    "sqlalchemy",
    "ssl",
    "starlette",
    "uvicorn",
    "watchfiles",
)
"""Modules that decisions of `callgate serve` do not need."""

EMBEDDED = (*LATER, "callgate.cli", "callgate.config", "inspect", "json", "logging", "pydantic", "typer")
"""Modules that an embedded engine does not need."""

SERVE = """
import json, sys
from callgate.cli import main
from callgate.cli.serving import ServingProcess

def serve(self, started):
    started.server.start()
    known = sorted(sys.modules)
    import http.client

    connection = http.client.HTTPConnection(started.server.address)
    connection.request("POST", "/v1/check", json.dumps({"grant": "g", "tool": "t", "server": "s"}))
    answer = json.loads(connection.getresponse().read())
    started.server.stop()
    print(json.dumps({"answer": answer, "modules": known}))

# In place of what begins with decisions and goes on with everything else.
ServingProcess.serve = serve
sys.argv = ["callgate", "serve", *sys.argv[1:]]
main()
"""


def ran(code: str, *words: str | Path) -> Any:
    """The document that a fresh interpreter prints. Keys in the environment are read by a library of their own."""
    keys = {name: value for name, value in os.environ.items() if not name.startswith("CALLGATE_")}
    found = subprocess.run([sys.executable, "-c", code, *words], check=False, capture_output=True, text=True, env=keys)
    assert found.returncode == 0, found.stderr
    return json.loads(found.stdout)


def among(modules: list[str], names: tuple[str, ...]) -> list[str]:
    """The names that are imported."""
    return [name for name in names if name in modules]


def test_an_embedded_engine() -> None:
    modules = ran("import sys, callgate; known = sorted(sys.modules); import json; print(json.dumps(known))")
    assert "callgate._callgate" in modules
    assert among(modules, EMBEDDED) == []


@pytest.mark.parametrize("kind", ["policy", "config"])
def test_the_first_decision_of_a_sidecar(kind: str, tmp_path: Path) -> None:
    document = tmp_path / f"{kind}.json"
    document.write_text(json.dumps(policy()))
    words: list[str | Path] = ["--policy", document]
    if kind == "config":
        document.write_text(json.dumps({"servers": {"s": {"policy": "p"}}, "policies": {"p": "p.json"}}))
        (tmp_path / "p.json").write_text(json.dumps(policy()))
        words = ["--config", document]
    words += ["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--state", tmp_path / "state"]
    printed = ran(SERVE, *words)
    assert "callgate.control.reload" in printed["modules"]
    assert among(printed["modules"], LATER) == []
    assert printed["answer"]["outcome"] == "allow"


def test_what_comes_later_can_be_found() -> None:
    """A name that is spelt wrongly would never be imported."""
    assert [name for name in EMBEDDED if find_spec(name) is None] == []


def test_a_library_of_the_control_plane_that_is_missing(tmp_path: Path) -> None:
    document = tmp_path / "policy.json"
    document.write_text(json.dumps(policy()))
    code = "import sys; sys.modules['prometheus_client'] = None; from callgate.cli import main; main()"
    words = ("serve", "--policy", document, "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--state", tmp_path)
    ended = subprocess.run(
        [sys.executable, "-c", code, *words], check=False, capture_output=True, text=True, timeout=TIMEOUT_S
    )
    assert ended.returncode == 1
    assert "server_started" in ended.stderr
    assert "server_stopped" in ended.stderr
    assert "prometheus_client" in ended.stderr
