"""The category of a tool, decided by its name, its description, its arguments and its server's hints."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

from callgate.text import quoted
from callgate.workbench.catalogue import RISK_OF
from callgate.workbench.classify.acts import MANAGING, NOUNS_TOO, RANK, Act, strongest
from callgate.workbench.classify.arguments import operation_acts, runs_commands
from callgate.workbench.classify.names import name_act
from callgate.workbench.classify.prose import Prose, lead_acts, listed_operations, read_prose
from callgate.workbench.classify.side_effects import side_effects
from callgate.workbench.classify.vocabulary import CLEAR, PLAIN, VAGUE
from callgate.workbench.classify.words import name_words, word_set

if TYPE_CHECKING:
    from callgate.workbench.catalogue import Category, Risk, Tool

_TERMINALS: Final = word_set("tmux terminal shell bash zsh powershell ssh iterm iterm2 cmd")
_MANAGING: Final = MANAGING | {"access"}
_UNDESCRIBED: Final = "The name has no known verb and there is no description"
_OVERWRITING: Final = word_set("write overwrite replace reset restore move put clear edit")


class Decision(NamedTuple):
    """A category with its confidence and reason."""

    category: Category
    confidence: float
    reason: str
    """One sentence."""
    risk: Risk


class _Choice(NamedTuple):
    category: Category
    confidence: float
    reason: str
    is_firm: bool
    """The words say it clearly, so that weaker words do not change it."""


def decide(tool: Tool, server: str) -> Decision:
    """Decides the category of a tool."""
    prose = read_prose(tool.description)
    chosen = _from_words(tool, server, prose)
    chosen = _from_operations(tool, prose, chosen)
    chosen = _from_statements(prose, chosen)
    chosen = _from_side_effects(prose, chosen)
    chosen = _from_server(server, chosen)
    return _from_hints(tool, chosen)


def _from_words(tool: Tool, server: str, prose: Prose) -> _Choice:
    """The category by the name and the first sentence."""
    named = name_act(tool.name, server)
    lead = strongest(prose.lead) or _title_act(tool)
    if named is None:
        if lead is not None:
            return _Choice(lead.category, 0.5 if lead.is_vague else 0.85, _described(lead, prose), not lead.is_vague)
        known = "Neither the name nor the description has a known verb" if tool.description.strip() else _UNDESCRIBED
        return _Choice("Execute", 0.2, f"{known}, so nothing says that it only reads", False)
    act = named.act
    if lead is None:
        confidence = {CLEAR: 0.85, PLAIN: 0.7, VAGUE: 0.4}[act.strength]
        return _Choice(act.category, confidence, f"The name says {quoted(act.phrase)}", act.strength == CLEAR)
    if act.category == lead.category:
        is_vague = act.is_vague and lead.is_vague
        reason = f"The name says {quoted(act.phrase)}, and {_described(lead, prose, begin=False)}"
        return _Choice(act.category, 0.5 if is_vague else 0.95, reason, not is_vague)
    return _of_two(act, lead, prose, is_topic=named.is_topic)


def _of_two(act: Act, lead: Act, prose: Prose, *, is_topic: bool) -> _Choice:
    """The category where name and first sentence differ."""
    described = _described(lead, prose)
    if act.verb == lead.verb and (" " in lead.phrase) != (" " in act.phrase):
        # One of them names the object that decides.
        fuller = lead if " " in lead.phrase else act
        return _Choice(fuller.category, 0.85, f"Name and description say {quoted(fuller.phrase)}", not fuller.is_vague)
    if is_topic and lead.category == "Read":
        return _Choice("Read", 0.75, f"{described}, and {quoted(act.phrase)} in the name is what it is about", True)
    if act.is_vague or lead.is_vague:
        return _of_one(act, lead, described)
    return _more_dangerous(act, lead, prose)


def _of_one(act: Act, lead: Act, described: str) -> _Choice:
    """The category by the one of the two that is not vague; by the description if both are."""
    if act.is_vague:
        return _Choice(lead.category, 0.5 if lead.is_vague else 0.85, described, not lead.is_vague)
    return _Choice(act.category, 0.8, f"The name says {quoted(act.phrase)}", act.strength == CLEAR)


def _more_dangerous(act: Act, lead: Act, prose: Prose) -> _Choice:
    """The more dangerous category of two, but for words that are often something else than they seem."""
    described = _described(lead, prose)
    if RANK[lead.category] > RANK[act.category]:
        if act.category == "Read" and act.strength == CLEAR and lead.strength == PLAIN and lead.verb in NOUNS_TOO:
            return _Choice("Read", 0.6, f"The name says {quoted(act.phrase)}", False)
        return _Choice(lead.category, 0.7, f"{described}, although the name says {quoted(act.phrase)}", True)
    if act.strength == PLAIN and lead.strength == CLEAR and act.category in ("Write", "Execute"):
        reason = f"{described}, which is clearer than {quoted(act.phrase)} in the name"
        return _Choice(lead.category, 0.7, reason, True)
    reason = f"The name says {quoted(act.phrase)}, although {_described(lead, prose, begin=False)}"
    return _Choice(act.category, 0.6, reason, True)


def _described(lead: Act, prose: Prose, *, begin: bool = True) -> str:
    where = "The description says" if prose.lead else "The title says"
    return f"{where if begin else where[0].lower() + where[1:]} {quoted(lead.phrase)}"


def _title_act(tool: Tool) -> Act | None:
    hint = tool.annotations.get("title")
    title = tool.title or (hint if isinstance(hint, str) else "")
    return strongest(lead_acts(title[:200])) if title else None


def _from_operations(tool: Tool, prose: Prose, chosen: _Choice) -> _Choice:
    """The most dangerous of the operations that an argument or a list in the description offers."""
    managing = _manages(tool, prose, chosen)
    offered = operation_acts(tool.input_schema)
    source = "an argument"
    if not offered and managing:
        offered, source = listed_operations(prose.body), "the description"
    worst = strongest(offered)
    if worst is None or worst.is_vague:
        return chosen
    if chosen.category == "Execute" and chosen.is_firm and worst.category != "Financial":
        return chosen
    if RANK[worst.category] > RANK[chosen.category] or (managing and not chosen.is_firm):
        return _Choice(
            worst.category,
            0.85,
            f"It offers several operations, {quoted(worst.verb)} among them, as {source} says",
            True,
        )
    return chosen


def _manages(tool: Tool, prose: Prose, chosen: _Choice) -> bool:
    verbs = {act.verb for act in prose.lead}
    is_silent = not verbs and not chosen.is_firm
    return is_silent or bool(verbs & _MANAGING) or bool(set(name_words(tool.name)[:2]) & {"manage", "admin", "crud"})


def _from_statements(prose: Prose, chosen: _Choice) -> _Choice:
    """Changes the category by what later sentences say of the tool: only `read-only` lowers it, and only a query."""
    later = strongest([act for act in prose.statements if act.strength == CLEAR or act.category == "Execute"])
    if prose.is_read_only and not (later and later.category in ("Destructive", "Financial")):
        return _read_only(prose, chosen)
    if _DESTRUCTIVE.search(prose.lead_text):
        return _Choice("Destructive", 0.7, "The description says `destructive`", True)
    if prose.destroys and chosen.category in ("Read", "Write"):
        return _Choice("Destructive", 0.75, f"The description says {quoted(prose.destroys)}", True)
    if prose.is_final and chosen.category == "Write":
        return _Choice("Destructive", 0.65, "The description says that its effect cannot be undone", True)
    is_more = later is not None and RANK[later.category] > RANK[chosen.category] and chosen.category != "Execute"
    if later is not None and is_more and (later.category in ("Destructive", "Financial") or not chosen.is_firm):
        reason = f"A later sentence of the description says {quoted(later.phrase)}"
        return _Choice(later.category, 0.65, reason, True)
    return chosen


def _from_side_effects(prose: Prose, chosen: _Choice) -> _Choice:
    """Raises what only reads, as it seems or as the server says, by a side effect that the description mentions."""
    if chosen.category != "Read":
        return chosen
    effect = strongest(list(side_effects(prose.sentences)))
    if effect is None:
        return chosen
    return _Choice(effect.category, 0.6, f"The description mentions a side effect, {quoted(effect.phrase)}", True)


def _read_only(prose: Prose, chosen: _Choice) -> _Choice:
    """The category of a tool that says that it changes nothing: a query of it reads."""
    is_query = chosen.category == "Execute" and any(word in chosen.reason for word in _LOOKING)
    if is_query or (not chosen.is_firm and "manage" not in name_words(prose.lead_text)):
        return _Choice("Read", 0.8, f"{chosen.reason}, and the description says that it only reads", True)
    return chosen


_DESTRUCTIVE: Final = re.compile(r"(?<!non-)(?<!non)\bdestructive\b", re.IGNORECASE)
_LOOKING: Final = ("query", "sql", "select", "statement", "execute", "run", "perform")


def _from_server(server: str, chosen: _Choice) -> _Choice:
    """Raises changes of servers that carry them out as commands in a terminal."""
    terminal = sorted(_TERMINALS & set(name_words(server)))
    if terminal and chosen.category == "Write":
        why = f"a server that drives a terminal ({quoted(terminal[0])} in its name) does so by running commands"
        reason = f"{chosen.reason}, and {why}"
        return _Choice("Execute", min(chosen.confidence, 0.7), reason, True)
    return chosen


def _from_hints(tool: Tool, chosen: _Choice) -> Decision:
    """Raises by the server's hints; nothing is lowered."""
    hints = tool.annotations
    category, confidence, reason = chosen.category, chosen.confidence, chosen.reason
    if category in ("Read", "Write") and runs_commands(tool.input_schema) and not chosen.is_firm:
        category, confidence, reason = "Execute", 0.6, f"{reason}, and an argument carries commands or code"
    if category == "Read" and hints.get("readOnlyHint") is False:
        category, confidence, reason = "Write", 0.6, f"{reason}, but the server says that it is not read-only"
    elif category == "Read" and hints.get("readOnlyHint") is True:
        confidence = min(0.98, confidence + 0.03)
    elif hints.get("readOnlyHint") is True:
        confidence = max(0.3, confidence - 0.2)
        reason = f"{reason}; the server's `readOnlyHint` does not lower it"
    risk = RISK_OF[category]
    if hints.get("destructiveHint") is True and hints.get("readOnlyHint") is not True:
        if category in ("Read", "Write") and (not chosen.is_firm or _overwrites(reason)):
            category, confidence, reason = "Destructive", 0.6, f"{reason}, and the server says that it is destructive"
            risk = RISK_OF[category]
        elif category in ("Read", "Write"):
            reason, risk = f"{reason}, and the server says that it is destructive", "high"
        elif category == "Destructive":
            confidence = min(0.98, confidence + 0.03)
    return Decision(category, round(confidence, 2), f"{reason}.", risk)


def _overwrites(reason: str) -> bool:
    return any(f"`{verb}" in reason for verb in _OVERWRITING)
