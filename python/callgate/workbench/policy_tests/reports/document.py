"""Results as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from callgate.workbench.policy_tests.coverage import coverage_document

if TYPE_CHECKING:
    from callgate._callgate import Decision
    from callgate.workbench.policy_tests.running import CaseResult, Failure
    from callgate.workbench.policy_tests.suite_run import RunResult


def run_document(result: RunResult, *, with_coverage: bool) -> dict[str, Any]:
    """A run without durations, so that equal runs give equal documents."""
    document: dict[str, Any] = {
        "version": "1",
        "passed": result.passed,
        "failed": result.failed,
        "not_run": result.not_run,
        "deselected": result.deselected,
        "tests": [_case(case) for case in result.cases],
    }
    if with_coverage:
        document["coverage"] = coverage_document(result.coverage)
    return document


def _case(case: CaseResult) -> dict[str, Any]:
    return {
        "file": case.file,
        "name": case.name,
        "line": case.place.line,
        "outcome": "passed" if case.has_passed else "failed",
        "calls": case.calls,
        **({} if case.failure is None else {"failure": _failure(case.failure)}),
    }


def _failure(failure: Failure) -> dict[str, Any]:
    decided = failure.decided
    return {
        "step": failure.step,
        "line": failure.place.line,
        "column": failure.place.column,
        "what": failure.what,
        "time": failure.instant,
        "reason": failure.reason,
        "differences": [{"field": one.field, "expected": one.expected, "got": one.got} for one in failure.differences],
        "decision": None if decided is None else _decision(decided.decision),
    }


def _decision(decision: Decision) -> dict[str, Any]:
    # The id of a reservation is random, and says nothing about the test.
    return {name: value for name, value in decision.to_dict().items() if name != "reservation"}
