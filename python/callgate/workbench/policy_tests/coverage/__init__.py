"""Rule coverage: the rules of policies, and the side of each that no test reached."""

from callgate.workbench.policy_tests.coverage.record import Coverage, CoveredItem, CoveredPolicy
from callgate.workbench.policy_tests.coverage.report import coverage_document, coverage_lines

__all__ = ["Coverage", "CoveredItem", "CoveredPolicy", "coverage_document", "coverage_lines"]
