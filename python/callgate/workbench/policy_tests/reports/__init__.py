"""Reports of a run: for people, as JUnit XML and as JSON."""

from callgate.workbench.policy_tests.reports.document import run_document
from callgate.workbench.policy_tests.reports.junit import failed_junit_xml, junit_xml
from callgate.workbench.policy_tests.reports.lines import failure_lines, result_line, summary_line

__all__ = ["failed_junit_xml", "failure_lines", "junit_xml", "result_line", "run_document", "summary_line"]
