"""A policy as classes: entries, checks, conditions and limits, each with its rule pointer and place.

The engine alone decides (`callgate.Engine`), and its reader alone says if a policy is valid. The classes here are for
tools that look at the rules of a valid policy: which entry applies, which rules there are, what they compare.
"""

from callgate.workbench.rules.conditions import AllOf, AnyOf, Check, Comparison, Condition, Not, Path
from callgate.workbench.rules.limits import Limit, Window
from callgate.workbench.rules.patterns import Pattern
from callgate.workbench.rules.policy import Entry, Policy, pointer
from callgate.workbench.rules.read import parse_policy, read_policy

__all__ = [
    "AllOf",
    "AnyOf",
    "Check",
    "Comparison",
    "Condition",
    "Entry",
    "Limit",
    "Not",
    "Path",
    "Pattern",
    "Policy",
    "Window",
    "parse_policy",
    "pointer",
    "read_policy",
]
