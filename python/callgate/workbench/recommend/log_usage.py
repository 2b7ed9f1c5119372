"""The use of a catalogue's tools in decision logs (docs/decision-log.md), read line by line."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any, Final

from callgate.workbench.log_files import lines_of, logs_of
from callgate.workbench.recommend.rates import Rates
from callgate.workbench.recommend.usage import MOST_DAMAGED, NamedCounts, ToolUse, Usage

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from pathlib import Path

    from callgate.config.faults import Fault
    from callgate.workbench.log_files import Line

_OUTCOMES: Final = frozenset({"allow", "deny", "rate_limited", "approval_required"})
_KINDS: Final = frozenset({"file", "checkpoint", "gap", "resume", "key", "admin"})
"""Kinds of lines of a signed log that are no decisions."""

_TEXTS: Final = ("protocol", "server", "grant", "tool", "outcome")
_CUT: Final = 128
"""Characters of a name that a line keeps."""

_LATEST_US: Final = 253_402_300_799_000_000
"""The end of the year 9999."""


def read_usage(paths: Sequence[Path], tools: Mapping[str, Collection[str]]) -> Usage:
    """The use of tools in decision logs.

    Args:
        paths: Each the file of one sidecar's log; its older files are read as well.
        tools: The tools of the catalogue, by server.

    Raises:
        ConfigError: A log cannot be read.
    """
    reader = _UsageReader(tools)
    for files in logs_of(paths):
        for line in lines_of(files):
            reader.read(line)
        reader.end_of_log()
    return reader.usage


class _UsageReader:
    """Reads lines into a `Usage`."""

    def __init__(self, tools: Mapping[str, Collection[str]]) -> None:
        self.usage = Usage()
        self._tools = {server: frozenset(names) for server, names in tools.items()}
        # Names that logs have cut, with the whole name if there is only one.
        self._cut = {server: _cut_names(names) for server, names in self._tools.items()}
        self._rates = Rates(self._counted)

    def read(self, line: Line) -> None:
        """Takes one line; an empty one says nothing."""
        if line.fault:
            self._damaged(line.damaged(line.fault))
            return
        if not line.content.strip():
            return
        record = _record(line.content)
        if isinstance(record, str):
            end = "" if line.is_finished else "; the file ends within the line"
            self._damaged(line.damaged(f"not a line of a decision log: {record}{end}"))
        elif "kind" not in record and record["protocol"] != "rate_limit":
            # Other kinds of lines are a signed log's own. The rate limit service decides about descriptors, not tools.
            self._decision(record)

    def end_of_log(self) -> None:
        """Ends the log of one sidecar."""
        self._rates.finish()
        self.usage.peaks_are_exact &= self._rates.is_exact

    def _decision(self, record: Mapping[str, Any]) -> None:
        usage, server, at_us = self.usage, record["server"], record["decided_at_us"]
        usage.decisions += 1
        usage.first_us = at_us if usage.first_us is None else min(usage.first_us, at_us)
        usage.last_us = at_us if usage.last_us is None else max(usage.last_us, at_us)
        known = self._tools.get(server)
        if known is None:
            usage.unknown_servers.add(server[:_CUT])
            return
        tool = record["tool"]
        if tool not in known:
            tool = self._cut[server].get(tool, tool)
        if record["outcome"] != "allow":
            if tool in known:
                usage.refused.setdefault((server, tool), Counter())[record["outcome"]] += 1
            return
        if tool not in known:
            usage.unknown_tools.setdefault(server, NamedCounts()).add(tool[:_CUT])
            return
        use = usage.tools.setdefault((server, tool), ToolUse(first_us=at_us, last_us=at_us))
        use.allowed += 1
        # Of an allowed call, it is the approval or the permit that was used.
        use.approved += bool(record.get("approval"))
        use.shadowed += isinstance(record.get("shadow"), dict)
        use.first_us, use.last_us = min(use.first_us, at_us), max(use.last_us, at_us)
        self._rates.add(at_us, (server, tool), record["grant"])

    def _counted(self, tool: tuple[str, str], calls: int) -> None:
        use = self.usage.tools[tool]
        use.peak = max(use.peak, calls)

    def _damaged(self, fault: Fault) -> None:
        self.usage.damaged_lines += 1
        if len(self.usage.damaged) < MOST_DAMAGED:
            self.usage.damaged.append(fault)


def _record(content: bytes) -> Mapping[str, Any] | str:
    """The fields of a line, or the reason for which it is none of a decision log."""
    try:
        record = json.loads(content.decode())
    except UnicodeDecodeError:
        return "it is not UTF-8"
    except (ValueError, RecursionError):
        return "it is no JSON"
    if not isinstance(record, dict):
        return "it is no JSON object"
    return record if record.get("kind") in _KINDS else _fault_of(record) or record


def _fault_of(record: Mapping[str, Any]) -> str | None:
    for name in _TEXTS:
        if not isinstance(record.get(name), str):
            return f"its `{name}` is {'no text' if name in record else 'missing'}"
    if len(record["grant"]) > _CUT:
        # callgate writes no such line, and many of them would fill the memory.
        return "its `grant` is too long"
    at_us = record.get("decided_at_us")
    if not isinstance(at_us, int) or isinstance(at_us, bool) or not 0 <= at_us <= _LATEST_US:
        return "its `decided_at_us` is no time in microseconds"
    return None if record["outcome"] in _OUTCOMES else "its `outcome` is none that is known"


def _cut_names(names: Collection[str]) -> dict[str, str]:
    """The long names, by what a line keeps of them, where that is no other name as well."""
    beginnings = Counter(name[:_CUT] for name in names)
    return {name[:_CUT]: name for name in names if len(name) > _CUT and beginnings[name[:_CUT]] == 1}
