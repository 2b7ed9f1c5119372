"""Results as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from callgate.text import masked
from callgate.workbench.policy_tests.coverage import coverage_document

if TYPE_CHECKING:
    from callgate._callgate import Decision
    from callgate.workbench.policy_tests.running import CaseResult, Failure
    from callgate.workbench.policy_tests.suite_run import RunResult


_IDS: Final = frozenset({"approval", "fingerprint", "policy_version"})
"""Fields of decisions that look like secrets and are none."""


def run_document(result: RunResult, *, with_coverage: bool) -> dict[str, Any]:
    """A run without durations, so that equal runs give equal documents, and without what looks like a secret."""
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
    return {key: _without_secrets(value) for key, value in document.items()}


def _without_secrets(value: Any) -> Any:  # noqa: ANN401  JSON
    if isinstance(value, dict):
        return {key: inner if key in _IDS else _without_secrets(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_without_secrets(item) for item in value]
    return masked(value) if isinstance(value, str) else value


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
