"""The public conformance suite finds the same through the gateway as directly, check by check."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from difflib import ndiff
from typing import TYPE_CHECKING

import pytest

from support.gateway.conformance import Checks, every_server, python_server, run_suite
from support.gateway.running import gateway

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

OLD, NEW = "2025-11-25", "2026-07-28"
PASSING = {("python", OLD): 84, ("python", NEW): 190, ("typescript-1", OLD): 84, ("typescript", NEW): 160}
"""The smallest number of passing checks of each official SDK, so that a run without checks fails."""
RUNS = list(PASSING)
WITHOUT_TASKS = {"typescript"}
"""SDKs that do not know the extension for tasks: its scenarios fail there, directly and through the gateway alike."""
ATTEMPTS = 3
EVERY_TOOL = {"version": "1", "name": "example", "default": "allow"}


def differences(direct: Checks, through: Checks) -> dict[str, list[str]]:
    """Results of checks that differ directly (`-`) and through the gateway (`+`), by scenario."""

    found = {
        scenario: ndiff([str(check) for check in checks], [str(check) for check in through[scenario]])
        for scenario, checks in direct.items()
        if checks != through[scenario]
    }
    return {scenario: [line for line in lines if line[0] in "-+"] for scenario, lines in found.items()}


class Ways:
    """The addresses of each server, directly and through a gateway, and what the suite found there."""

    def __init__(self, direct: dict[str, str], through: dict[str, str]) -> None:
        self.direct, self.through = direct, through
        # A run mostly waits, so they are all made at once.
        with ThreadPoolExecutor(2 * len(RUNS)) as pool:
            runs = [(way, *run) for run in RUNS for way in ("direct", "through")]
            done = pool.map(lambda run: run_suite(self.url(*run[:2]), run[2]), runs)
            self.found: dict[tuple[str, str, str], Checks] = dict(zip(runs, done, strict=True))

    def url(self, way: str, server: str) -> str:
        return (self.direct if way == "direct" else self.through)[server]


@pytest.fixture(scope="module")
def ways(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ways]:
    # A server of its own for each way: what a call changes in one is not seen in the other.
    with (
        every_server() as direct,
        every_server() as behind,
        gateway(tmp_path_factory.mktemp("gateway"), behind, EVERY_TOOL) as gated,
    ):
        yield Ways(direct, {name: gated.url(name) for name in behind})


@pytest.mark.parametrize(("server", "revision"), RUNS)
def test_the_suite_finds_the_same_as_directly(ways: Ways, server: str, revision: str) -> None:
    direct, through = (ways.found[way, server, revision] for way in ("direct", "through"))
    assert direct.keys() == through.keys()
    different = differences(direct, through)
    # Some scenarios give an answer half a second: what differs is run again, when the machine has less to do.
    for _ in range(ATTEMPTS):
        for scenario in different:
            direct |= run_suite(ways.url("direct", server), revision, scenario)
            through |= run_suite(ways.url("through", server), revision, scenario)
        different = differences(direct, through)
    assert not different


@pytest.mark.parametrize(("server", "revision"), RUNS)
def test_the_servers_pass_the_suite(ways: Ways, server: str, revision: str) -> None:
    found = ways.found["direct", server, revision]
    statuses = Counter(check.status for checks in found.values() for check in checks)
    assert statuses["SUCCESS"] >= PASSING[server, revision]
    failed = {scenario for scenario, checks in found.items() if any(check.status == "FAILURE" for check in checks)}
    without_tasks = {scenario for scenario in found if scenario.startswith("tasks-") and server in WITHOUT_TASKS}
    assert failed <= without_tasks


def test_what_differs_is_told(tmp_path: Path) -> None:
    methods = {"methods": {"deny": ["prompts/list"]}}
    with python_server() as url, gateway(tmp_path, {"s": url}, EVERY_TOOL, gateway=methods) as gated:
        direct, through = (run_suite(address, OLD, "prompts-list") for address in (url, gated.url("s")))
    assert list(differences(direct, through)) == ["prompts-list"]
