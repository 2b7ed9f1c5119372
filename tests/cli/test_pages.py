"""The tables of the documents name everything that there is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from prometheus_client import generate_latest
from typer.main import get_command

from callgate import Engine, Server
from callgate.cli import app
from callgate.control.metrics import ServerCollector, registry

ROOT = Path(__file__).resolve().parent.parent.parent
OPTION = re.compile(r"--[a-z][a-z-]*")


def first_cells(page: str) -> list[str]:
    """The first cell of every row of a page's tables."""
    lines = (ROOT / "docs" / page).read_text(encoding="utf-8").splitlines()
    return [line.split(" | ")[0] for line in lines if line.startswith("| `")]


def test_every_command_is_on_the_page() -> None:
    commands = getattr(get_command(app), "commands", {})
    written = {name for cell in first_cells("interfaces.md") for name in re.findall(r"`callgate ([a-z]+)`", cell)}
    assert written == set(commands)


@pytest.mark.parametrize("command", ["wrap", "connect"])
def test_every_option_is_on_the_page(command: str) -> None:
    known = getattr(get_command(app), "commands", {})[command].params
    options = {name for option in known for name in option.opts if name.startswith("--")} - {"--help"}
    written = {name for cell in first_cells("stdio.md") for name in OPTION.findall(cell)}
    assert options
    assert options <= written


def test_every_kind_of_failure_is_on_the_page() -> None:
    source = (ROOT / "rust" / "gateway" / "src" / "upstream" / "failure.rs").read_text(encoding="utf-8")
    kinds = set(re.findall(r'Self::[A-Za-z]+ => "([a-z_]+)"', source))
    written = {name for cell in first_cells("operations.md") for name in re.findall(r"`([a-z_]+)`", cell)}
    assert len(kinds) >= 10
    assert kinds <= written


def test_every_metric_is_on_the_page() -> None:
    with Server(Engine.from_dict({"version": "1", "name": "p", "default": "deny", "tools": {}})) as server:
        text = generate_latest(registry(ServerCollector(server))).decode()
    metrics = set(re.findall(r"^# TYPE (callgate_\w+)", text, re.MULTILINE))
    written = {name for cell in first_cells("operations.md") for name in re.findall(r"`(callgate_\w+)`", cell)}
    assert len(metrics) >= 20
    assert metrics <= written
