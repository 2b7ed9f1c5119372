"""Policies that are recommended for the tools of a catalogue, each rule with its reason."""

from callgate.workbench.recommend.arguments import ArgumentChecks, Places, argument_checks
from callgate.workbench.recommend.log_usage import read_usage
from callgate.workbench.recommend.output import (
    CONFIGURATION,
    Target,
    check_policy,
    configuration_of,
    files_of,
    format_of,
    is_started,
    refuse_existing,
    target_of,
    upstream_of,
    write_files,
)
from callgate.workbench.recommend.recommend import Wishes, chosen_servers, recommend
from callgate.workbench.recommend.recommendation import HiddenTool, LeftOutTool, Recommendation, ToolRule
from callgate.workbench.recommend.render import Format, text_of
from callgate.workbench.recommend.sentences import STORE, counted, header_of
from callgate.workbench.recommend.usage import DEFAULT_SERVER, ToolUse, Usage

__all__ = [
    "CONFIGURATION",
    "DEFAULT_SERVER",
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
    "chosen_servers",
    "configuration_of",
    "counted",
    "files_of",
    "format_of",
    "header_of",
    "is_started",
    "read_usage",
    "recommend",
    "refuse_existing",
    "target_of",
    "text_of",
    "upstream_of",
    "write_files",
]
