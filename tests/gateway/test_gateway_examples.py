"""The examples for users of the two SDKs, run as the page says, through the gateway."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from support.gateway.environments import SDK, bare_environment, needed, node
from support.gateway.running import TOKENS, gateway
from support.gateway.servers import sdk_server
from support.proxies.envoy import PATIENCE_S, ROOT

EXAMPLES = ROOT / "examples" / "clients"
COMMANDS: dict[str, tuple[Path | str, ...]] = {
    "python": (SDK, EXAMPLES / "python_sdk.py"),
    "typescript": node("typescript_sdk.mjs"),
}
POLICY = {"version": "1", "name": "example", "default": "deny", "tools": {"add": {}}}


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_an_example_lists_tools_and_calls_one(tmp_path: Path, command: tuple[Path | str, ...]) -> None:
    for part in command:
        needed(Path(part))
    with sdk_server() as url, gateway(tmp_path, {"s": url}, POLICY, grants={"alice": "s"}) as running:

        def run(tool: str, **environment: str) -> subprocess.CompletedProcess[str]:
            words = [*map(str, command), running.url("s"), tool, json.dumps({"a": 1, "b": 2})]
            return subprocess.run(
                words,
                capture_output=True,
                text=True,
                timeout=PATIENCE_S,
                check=False,
                env=bare_environment(**environment),
            )

        done = run("add", CALLGATE_TOKEN=TOKENS["alice"])
        denied = run("fail", CALLGATE_TOKEN=TOKENS["alice"])
        stranger = run("add")
    tools, result = done.stdout.splitlines()
    assert "add" in tools.split()
    assert result == "done: 3"
    assert denied.stdout.splitlines()[1].startswith("denied or failed: ")
    assert stranger.returncode != 0
