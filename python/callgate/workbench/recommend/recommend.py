"""Recommends a policy for each server of a catalogue."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from callgate.errors import ConfigError
from callgate.text import did_you_mean, quoted
from callgate.workbench.catalogue import AMBIGUOUS
from callgate.workbench.recommend import sentences
from callgate.workbench.recommend.arguments import Places, argument_checks
from callgate.workbench.recommend.defaults import APPROVED, CALLS_PER_MINUTE, HIDDEN
from callgate.workbench.recommend.recommendation import HiddenTool, LeftOutTool, Recommendation, ToolRule
from callgate.workbench.recommend.usage import DEFAULT_SERVER

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from callgate.workbench.catalogue import Catalogue, Tool
    from callgate.workbench.recommend.usage import ToolUse, Usage

_TENS: Final = 20
"""Calls per minute from which on limits are tens, and below which they are fives."""

_HUNDRED: Final = 100
"""Calls per minute from which on limits have two digits that are not zero."""


_MOST_LINES: Final = 5
"""Damaged lines that an error names."""


@dataclass(frozen=True, slots=True)
class Wishes:
    """The choices of a person."""

    keep: tuple[str, ...] = ()
    """Names of tools of the hidden category that stay visible, with approvals."""
    arguments: Places | None = None
    """Places for checks of arguments; None for no checks at all."""
    usage: Usage | None = None
    """The use of the tools: what was never used is left out. None if no log was read."""


def recommend(
    catalogue: Catalogue, servers: Sequence[str] | None = None, wishes: Wishes | None = None
) -> list[Recommendation]:
    """A recommended policy for each of these servers, or for all, in the order of the catalogue.

    A tool without a category is left out: under default deny, its calls are denied.

    Raises:
        ConfigError: A server or a tool that is named is not in the catalogue, or cannot be kept.
    """
    wishes = wishes or Wishes()
    chosen = chosen_servers(catalogue, servers, wishes.keep)
    if wishes.usage is not None:
        _check_log(chosen, wishes.usage)
    tools = _tools_of(catalogue, chosen)
    return [_Server(catalogue, name, wishes).recommendation(tools[name]) for name in chosen]


def chosen_servers(catalogue: Catalogue, servers: Sequence[str] | None = None, keep: Sequence[str] = ()) -> list[str]:
    """The servers that `recommend` recommends policies for.

    Raises:
        ConfigError: A server or a tool that is named is not in the catalogue, or cannot be kept.
    """
    chosen = list(catalogue.servers) if servers is None else _known_servers(catalogue, servers)
    _check_keep(_tools_of(catalogue, chosen), keep)
    return chosen


def rounded_up(peak: int) -> int:
    """The limit for the greatest number of calls in a minute, rounded up."""
    step = 5 if peak <= _TENS else 10
    while peak > _HUNDRED and step * _HUNDRED < peak:
        step *= 10
    return max(-(-peak // step), 1) * step


class _Server:
    """The recommendation for one server."""

    def __init__(self, catalogue: Catalogue, name: str, wishes: Wishes) -> None:
        self._name = name
        self._wishes = wishes
        self._corrections = catalogue.overrides.get(name, {})

    def recommendation(self, tools: Collection[Tool]) -> Recommendation:
        rules, hidden, left_out = list[ToolRule](), list[HiddenTool](), list[LeftOutTool]()
        for tool in tools:
            found = self._judge(tool)
            if isinstance(found, ToolRule):
                rules.append(found)
            elif isinstance(found, HiddenTool):
                hidden.append(found)
            else:
                left_out.append(found)
        return Recommendation(self._name, tuple(rules), tuple(hidden), tuple(left_out), tuple(self._notes()))

    def _judge(self, tool: Tool) -> ToolRule | HiddenTool | LeftOutTool:
        usage = self._wishes.usage
        use = usage.use_of(self._name, tool.name) if usage is not None else None
        refused = sentences.refused(usage.refusals_of(self._name, tool.name)) if usage is not None else ""
        was_used = f", although it was {sentences.used(use)}" if use is not None else ""
        correction = self._corrections.get(tool.name)
        is_corrected = correction is not None and correction.category is not None
        if tool.extra.get(AMBIGUOUS) and tool.category != HIDDEN and not is_corrected:
            # A category is that of the first definition, and a call may do what another one says.
            return LeftOutTool(tool.name, "ambiguous", f"{sentences.AMBIGUOUS}, so it is denied{was_used}{refused}")
        if tool.category is None:
            return LeftOutTool(tool.name, "no category", f"no category is known, so it is denied{was_used}{refused}")
        facts = sentences.facts_of(tool, correction)
        is_kept = tool.category == HIDDEN and tool.name in self._wishes.keep
        if tool.category == HIDDEN and use is None and not is_kept:
            return HiddenTool(tool.name, sentences.hidden(facts, is_unused=usage is not None) + refused)
        if usage is not None and use is None and not is_kept:
            return LeftOutTool(tool.name, "never used", f"{facts}: never used, so it is denied{refused}")
        most, reason = self._limit(tool, facts, use, is_kept=is_kept)
        places = self._wishes.arguments
        checks = argument_checks(tool.input_schema, places) if places is not None else None
        is_raised = most is not None and most > CALLS_PER_MINUTE[tool.category]
        asks_less = most is not None and use is not None and use.approved > 0
        return ToolRule(tool.name, most, reason + refused, checks, is_raised, asks_less)

    def _limit(self, tool: Tool, facts: str, use: ToolUse | None, *, is_kept: bool) -> tuple[int | None, str]:
        """The calls per minute, None for an approval of each call; and the sentence about it."""
        # Otherwise the policy would allow without a person what was never allowed without one.
        was_approved = use is not None and use.approved == use.allowed
        if tool.category is None or tool.category in (HIDDEN, APPROVED) or was_approved:
            is_hidden = tool.category == HIDDEN
            return None, sentences.approved(facts, is_kept=is_kept, is_hidden=is_hidden, use=use)
        most = CALLS_PER_MINUTE[tool.category]
        if use is not None:
            most = rounded_up(use.peak) if use.peak > most else min(most, rounded_up(use.peak))
        return most, sentences.limited(tool, facts, most, use)

    def _notes(self) -> list[str]:
        usage = self._wishes.usage
        if usage is None or (unknown := usage.unknown_tools.get(self._name)) is None:
            return []
        missing = "but the catalogue does not have it, so it is denied"
        notes = [
            f"{quoted(tool)} was used {sentences.counted(number, 'time')}, {missing}"
            for tool, number in sorted(unknown.names.items())
        ]
        if unknown.others:
            notes.append(
                f"{sentences.counted(unknown.others, 'call')} of further tools that the catalogue does not have"
            )
        return notes


def _known_servers(catalogue: Catalogue, servers: Sequence[str]) -> list[str]:
    for name in servers:
        if name not in catalogue.servers:
            message = f"the catalogue has no server {quoted(name)}{did_you_mean(name, list(catalogue.servers))}"
            raise ConfigError(message)
    return [name for name in catalogue.servers if name in servers]


def _tools_of(catalogue: Catalogue, servers: Collection[str]) -> dict[str, list[Tool]]:
    tools: dict[str, list[Tool]] = {name: [] for name in servers}
    for server, tool in catalogue.tools():
        if server in tools:
            tools[server].append(tool)
    return tools


def _check_keep(tools: dict[str, list[Tool]], keep: Collection[str]) -> None:
    """Refuses names that keep nothing, or that mean tools of several servers."""
    having: dict[str, list[tuple[str, Tool]]] = {}
    for server, of_server in tools.items():
        for tool in of_server:
            having.setdefault(tool.name, []).append((server, tool))
    for name in keep:
        if name not in having:
            message = f"cannot keep {quoted(name)}: there is no such tool{did_you_mean(name, list(having))}"
            raise ConfigError(message)
        if all(tool.category is None for _, tool in having[name]):
            message = (
                f"cannot keep {quoted(name)}: it has no category, so nothing is recommended for it; give it one in "
                "`overrides` of the catalogue"
            )
            raise ConfigError(message)
        hidden = [server for server, tool in having[name] if tool.category == HIDDEN]
        if not hidden:
            categories = " and ".join(dict.fromkeys(str(tool.category) for _, tool in having[name]))
            message = f"cannot keep {quoted(name)}: it is not hidden, since its category is {categories}; leave it out"
            raise ConfigError(message)
        if len(hidden) > 1:
            message = f"cannot keep {quoted(name)}: {_listed(hidden)} have such a tool; name one of them with --server"
            raise ConfigError(message)


def _check_log(servers: Collection[str], usage: Usage) -> None:
    """Refuses logs that say nothing about these servers: nothing would be admitted, as if nothing had been used."""
    if not usage.decisions:
        message = "the decision log has no decisions about calls, so it does not show what is used"
        lines = [message, *map(str, usage.damaged[:_MOST_LINES])]
        if usage.damaged_lines > _MOST_LINES:
            lines.append(f"and {usage.damaged_lines - _MOST_LINES:,} more such lines")
        raise ConfigError("\n".join(lines))
    met = {server for server, _ in usage.tools} | {server for server, _ in usage.refused} | set(usage.unknown_tools)
    if met & set(servers):
        return
    others = Counter(usage.unknown_servers.names)
    found = _listed([name for name, _ in others.most_common(5)]) or "no server"
    message = (
        f"the decision log has no calls at {_listed(list(servers)[:5])}: its calls are at {found}; a server needs the "
        "same name in the catalogue and in the log"
    )
    if DEFAULT_SERVER in others:
        message += f", and a call that names none is logged as one of {quoted(DEFAULT_SERVER)}"
    raise ConfigError(message)


def _listed(names: Sequence[str]) -> str:
    return ", ".join(map(quoted, names))
