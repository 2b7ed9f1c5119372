"""Policies that are recommended for the tools of a catalogue, each rule with its reason."""

from callgate.workbench.recommend.arguments import ArgumentChecks, Places, argument_checks
from callgate.workbench.recommend.log_usage import read_usage
from callgate.workbench.recommend.output import (
    CONFIGURATION,
    POLICIES,
    Target,
    check_policy,
    folder_files,
    format_of,
    target_of,
    write_files,
)
from callgate.workbench.recommend.recommend import Wishes, recommend
from callgate.workbench.recommend.recommendation import HiddenTool, LeftOutTool, Recommendation, ToolRule
from callgate.workbench.recommend.render import Format, text_of
from callgate.workbench.recommend.sentences import STORE, counted, header_of
from callgate.workbench.recommend.usage import ToolUse, Usage

__all__ = [
    "CONFIGURATION",
    "POLICIES",
    "STORE",
    "ArgumentChecks",
    "Format",
    "HiddenTool",
    "LeftOutTool",
    "Places",
    "Recommendation",
    "Target",
    "ToolRule",
    "ToolUse",
    "Usage",
    "Wishes",
    "argument_checks",
    "check_policy",
    "counted",
    "folder_files",
    "format_of",
    "header_of",
    "read_usage",
    "recommend",
    "target_of",
    "text_of",
    "write_files",
]
