"""The tables of the documents name everything that there is."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest
from prometheus_client import generate_latest
from typer.main import get_command

from callgate import Engine, Server
from callgate.cli import app
from callgate.config.load import load
from callgate.config.model import Config
from callgate.control.metrics import ServerCollector, registry
from callgate.control.store_numbers import StoreNumbers
from callgate.store.live import LiveCounts
from callgate.store.notices.model import ReceiverStatus

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


@pytest.fixture(scope="module")
def families() -> dict[str, set[str]]:
    """The labels of each metric."""
    with Server(Engine.from_dict({"version": "1", "name": "p", "default": "deny", "tools": {}})) as server:
        numbers = StoreNumbers()
        numbers.set_store("sqlite")
        numbers.set_live(LiveCounts({"pending": 1}, None, 0, None))
        collector = ServerCollector(server, numbers)
        collector.reloads.reloaded(ok=True, at_s=1)
        collector.notices.set_receivers(["chat"])
        collector.notices.set_statuses([ReceiverStatus("chat", 0, None, None, 1, 0, 1)])
        collector.telemetry.switch_on()
        samples = [sample for family in collector.collect() for sample in family.samples]
        text = generate_latest(registry(collector)).decode()
        # A metric that counted nothing yet has no samples.
        labels = {family.name: set(family.labels) for family in server.metric_families()}
    for sample in samples:
        labels.setdefault(sample.name.removesuffix("_total"), set()).update(sample.labels)
    names = re.findall(r"^# TYPE (callgate_\w+)", text, re.MULTILINE)
    return {name: labels.get(name.removesuffix("_total"), set()) for name in names}


def test_every_metric_is_on_the_page(families: dict[str, set[str]]) -> None:
    metrics = set(families)
    written = {name for cell in first_cells("operations.md") for name in re.findall(r"`(callgate_\w+)`", cell)}
    assert len(metrics) >= 20
    assert metrics <= written


@pytest.mark.parametrize("page", sorted((ROOT / "docs").glob("*.md")), ids=lambda page: page.name)
def test_every_metric_of_a_page_exists(page: Path, families: dict[str, set[str]]) -> None:
    # A fixture for pytest, and the name of an upstream in a proxy's configuration.
    others = {"callgate_policy", "callgate_http"}
    series = {name + suffix for name in families for suffix in ("", "_bucket", "_count", "_sum")}
    for name, selector in re.findall(r"\b(callgate_[a-z_]+)(?:\{([^}]*)\})?", page.read_text(encoding="utf-8")):
        if name in others:
            continue
        assert name in series, f"{page.name} names `{name}`, which is no metric"
        for label in re.findall(r"(\w+)(?:=~?|!=)", selector):
            assert label in families[name], f"{page.name} names the label `{label}` of `{name}`, which has none"


def test_every_keyword_of_server_has_its_key() -> None:
    rows = [line for line in (ROOT / "docs" / "operations.md").read_text(encoding="utf-8").splitlines() if line]
    begin = rows.index("| keyword | key | difference |")
    table = rows[begin + 2 : rows.index("The resources that one connection can use are bounded:")]
    keywords, keys = set[str](), set[str]()
    for row in table:
        first, second, _ = row.strip("| ").split(" | ")
        keywords |= set(re.findall(r"`(\w+)`", first))
        keys |= set(re.findall(r"`(\w+)`", first if second == "the same names" else second))
    assert keywords == set(inspect.signature(Server).parameters) - {"limits"}
    assert keys <= set(Config.model_fields)
    limits = set(load(None).config.limits.server_keywords())
    written = {name for cell in first_cells("operations.md") for name in re.findall(r"`(\w+)`", cell)}
    assert limits <= written
