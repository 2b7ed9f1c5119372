"""A pytest plugin: under `CALLGATE_STRICT=1` a skipped test or module counts as failed.

A skip on a developer's machine names a missing program; in CI no program may be missing.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, TypeVar

import pytest

if TYPE_CHECKING:
    from collections.abc import Generator

Report = TypeVar("Report", pytest.TestReport, pytest.CollectReport)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Judges the report of a test."""
    return _judged((yield))


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Judges the report of a module, which may have skipped itself."""
    return _judged((yield))


def _judged(report: Report) -> Report:
    """The report, with a failure in place of a skip."""
    if os.environ.get("CALLGATE_STRICT") == "1" and report.skipped and not hasattr(report, "wasxfail"):
        why = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"{report.nodeid}: CALLGATE_STRICT=1 takes no skips: {why}"
    return report
