"""Runs of policy tests in this process."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from callgate.config.faults import InvalidConfigError
from callgate.config.files import Files
from callgate.workbench.policy_tests import Override, RunResult, load_suites, run_suites, selection_of

if TYPE_CHECKING:
    from pathlib import Path


def run_file(path: Path) -> RunResult:
    """The results of one file of tests."""
    return run_suites(load_suites([path], Override(), Files()), selection_of("", stops_early=False))


def run_text(folder: Path, text: str) -> RunResult:
    """The results of a file of tests with this content, which stands in a folder."""
    path = folder / "text_test.yaml"
    path.write_text(text, encoding="utf-8")
    return run_file(path)


def faults_of(folder: Path, text: str) -> list[str]:
    """The faults of a file of tests, each as `line:column: message`."""
    with pytest.raises(InvalidConfigError) as caught:
        run_text(folder, text)
    return [str(fault).removeprefix(f"{folder / 'text_test.yaml'}:") for fault in caught.value.faults]


def failures(result: RunResult) -> dict[str, tuple[int, str, list[tuple[str, str, str]]]]:
    """The failures by test: the step, the reason, and each field that differs with what was expected and what came."""
    return {
        case.name: (
            case.failure.step,
            case.failure.reason,
            [(one.field, one.expected, one.got) for one in case.failure.differences],
        )
        for case in result.cases
        if case.failure is not None
    }


def missed(result: RunResult) -> dict[str, tuple[str, ...]]:
    """The parts of the policies with a side that no test reached, by their words, each with these sides."""
    covered = [item for policy in result.coverage.policies() for item in policy.items]
    found = {f"{one.item.rule} {one.item.text}": one.missed for one in covered if one.missed}
    assert len(found) == sum(bool(one.missed) for one in covered), "two parts have the same words"
    return found
