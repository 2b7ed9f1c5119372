"""Classification of tools: category, risk, attributes, and findings about poisoned or dangerous definitions."""

from callgate.workbench.classify.classification import Classification, classified, classified_tool, classify
from callgate.workbench.classify.findings import KINDS, Finding, catalogue_findings, poison_findings, tool_findings
from callgate.workbench.classify.grants import every_tool, grant_of_policy, grants_of_config
from callgate.workbench.classify.leaks import Grant, Leak, leak_findings, leaks

__all__ = [
    "KINDS",
    "Classification",
    "Finding",
    "Grant",
    "Leak",
    "catalogue_findings",
    "classified",
    "classified_tool",
    "classify",
    "every_tool",
    "grant_of_policy",
    "grants_of_config",
    "leak_findings",
    "leaks",
    "poison_findings",
    "tool_findings",
]
