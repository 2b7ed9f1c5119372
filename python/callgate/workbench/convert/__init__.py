"""Rate limits and policies of other services, read as those services read them and converted to callgate's."""

from callgate.workbench.convert.align import Align
from callgate.workbench.convert.conversion import Conversion, Said
from callgate.workbench.convert.intercept import convert_intercept, header_of, policy_targets
from callgate.workbench.convert.limitador import convert_limitador
from callgate.workbench.convert.output import targets, text_of, write
from callgate.workbench.convert.ratelimit import convert_ratelimit
from callgate.workbench.convert.render_policy import render_policy_json, render_policy_yaml

__all__ = [
    "Align",
    "Conversion",
    "Said",
    "convert_intercept",
    "convert_limitador",
    "convert_ratelimit",
    "header_of",
    "policy_targets",
    "render_policy_json",
    "render_policy_yaml",
    "targets",
    "text_of",
    "write",
]
