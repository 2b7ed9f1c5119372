"""Tests of policies: files of calls in sequence, with simulated time and people, and what is expected of each.

A test runs through the engine that a sidecar has, with counters and a store of approvals of its own.
"""

from callgate.workbench.policy_tests.changes import is_changed
from callgate.workbench.policy_tests.suite_run import RunResult, Selection, run_suites, selection_of
from callgate.workbench.policy_tests.suites import LoadedSuite, Override, find_files, load_suites

__all__ = [
    "LoadedSuite",
    "Override",
    "RunResult",
    "Selection",
    "find_files",
    "is_changed",
    "load_suites",
    "run_suites",
    "selection_of",
]
