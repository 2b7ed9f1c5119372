"""Results as lines for people, in the manner of pytest."""

from __future__ import annotations

from typing import TYPE_CHECKING

from callgate import printed
from callgate.text import visible

if TYPE_CHECKING:
    from collections.abc import Iterator

    from callgate.workbench.policy_tests.running import CaseResult, Failure
    from callgate.workbench.policy_tests.suite_run import RunResult


def result_line(case: CaseResult) -> str:
    """One test on one line."""
    return f"{name_of(case)} {'PASSED' if case.has_passed else 'FAILED'}"


def failure_lines(case: CaseResult, failure: Failure, *, explained: bool) -> Iterator[str]:
    """A failure with its place and the fields that differ; `explained` adds each step to the decision."""
    yield f"FAILED {name_of(case)}"
    yield from cause_lines(failure, explained=explained)


def cause_lines(failure: Failure, *, explained: bool) -> Iterator[str]:
    """The cause of a failure, without the name of its test."""
    yield visible(f"  {failure.place}: step {failure.step}, {failure.what}, at {failure.instant}")
    if failure.reason:
        yield from (f"    {visible(line)}" for line in failure.reason.splitlines())
    for one in failure.differences:
        yield visible(f"    {one.field}: expected {one.expected}, got {one.got}")
    if failure.decided is not None:
        decision = failure.decided.decision
        yield from (f"    | {line}" for line in printed.decision_lines(decision))
        if explained:
            yield "    steps, before units were taken:"
            yield from (f"    | {visible(line)}" for line in printed.step_lines(failure.decided.explanation))


def summary_line(result: RunResult) -> str:
    """The numbers of tests."""
    parts = []
    for count, word in (
        (result.failed, "failed"),
        (result.passed, "passed"),
        (result.not_run, "not run"),
        (result.deselected, "deselected"),
    ):
        if count:
            parts.append(f"{count} {word}")
    return ", ".join(parts)


def name_of(case: CaseResult) -> str:
    """The file and the name of a test."""
    return visible(f"{case.file}::{case.name}")
