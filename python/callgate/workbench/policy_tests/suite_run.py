"""One run of files of tests, with its results."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from callgate.errors import ConfigError
from callgate.text import quoted
from callgate.workbench.policy_tests.coverage import Coverage
from callgate.workbench.policy_tests.running import run_case
from callgate.workbench.policy_tests.world import StoreTemplate

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from callgate.workbench.policy_tests.running import CaseResult
    from callgate.workbench.policy_tests.suites import LoadedSuite


@dataclass(frozen=True)
class Selection:
    """The tests of a run."""

    words: tuple[str, ...] = ()
    """Words of which a test's file or name contains each, whatever their case."""
    stops_early: bool = False
    """True if the first failure ends the run."""

    def has(self, file: str, name: str) -> bool:
        """True if the test is among them."""
        text = f"{file}::{name}".lower()
        return all(word.lower() in text for word in self.words)


@dataclass(frozen=True)
class RunResult:
    """The results of a run."""

    cases: tuple[CaseResult, ...]
    deselected: int
    """Tests that were not selected."""
    not_run: int
    """Selected tests after a failure that ended the run."""
    coverage: Coverage

    @property
    def passed(self) -> int:
        """Tests that passed."""
        return sum(case.has_passed for case in self.cases)

    @property
    def failed(self) -> int:
        """Tests that failed."""
        return len(self.cases) - self.passed


def selection_of(text: str, *, stops_early: bool) -> Selection:
    """The tests that contain each word of a text."""
    return Selection(tuple(re.findall(r"\S+", text)), stops_early)


def run_suites(
    suites: Sequence[LoadedSuite], selection: Selection, told: Callable[[CaseResult], None] = lambda _: None
) -> RunResult:
    """Runs the selected tests; `told` is called with the result of each.

    Raises:
        ConfigError: No test is selected, which would look like success.
    """
    selected = [(suite, case) for suite in suites for case in suite.cases if selection.has(suite.file, case.name)]
    total = sum(len(suite.cases) for suite in suites)
    if not selected:
        message = f"none of {total} tests contains {' and '.join(map(quoted, selection.words))}"
        raise ConfigError(message)
    results: list[CaseResult] = []
    coverage, stores = Coverage(), StoreTemplate()
    for suite in suites:
        coverage.add(suite.all_policies())
    try:
        for suite, case in selected:
            results.append(run_case(suite, case, stores, coverage.observe))
            told(results[-1])
            if selection.stops_early and not results[-1].has_passed:
                break
    finally:
        stores.close()
    return RunResult(tuple(results), total - len(selected), len(selected) - len(results), coverage)
