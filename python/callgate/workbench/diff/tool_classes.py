"""Names of tools to which the same rules apply, so that one of them stands for all."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from callgate.workbench.diff.canonical_rules import condition_form, entry_form
from callgate.workbench.diff.sides import ShadowCost
from callgate.workbench.witness.words import Automaton, OneOf, of_pattern, reader_of, walk

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator, Mapping, Sequence

    from callgate.workbench.diff.sides import Side
    from callgate.workbench.rules import Comparison, Pattern
    from callgate.workbench.witness.words import Reader

_MOST_STEPS: Final = 600_000
"""Characters of names that are tried, times the patterns."""

_SPECIAL: Final = frozenset({"path_within", "host_in", "cidr_in"})

_NAMES: Final = 3
"""Names that are kept for one class: some sequences need more than one."""


@dataclass
class ToolClass:
    """Tools to which the same entries apply in both policies."""

    names: list[str]
    """Examples; the first one is used."""
    pattern: str = ""
    """The patterns of the policies that match them, in words; empty if the class is one name."""


@dataclass
class ToolClasses:
    """The classes of all tools that the policies may treat differently."""

    classes: list[ToolClass] = field(default_factory=list)
    unknown: str = ""
    """The reason why there may be others."""


def tool_classes(old: Side, new: Side, known: Sequence[str]) -> ToolClasses:
    """The classes of names that two policies tell apart.

    Args:
        old: One policy.
        new: The other.
        known: The names of a catalogue.
    """
    exact = list(dict.fromkeys((*_names(old), *_names(new), *known)))
    if (changed := _changed_names(old, new)) is not None:
        return ToolClasses([ToolClass([name]) for name in changed])
    found = ToolClasses([ToolClass([name]) for name in exact])
    patterns, readers, is_exact = _readers(old, new)
    names = dict.fromkeys(exact)
    walked = walk(readers, most=_MOST_STEPS)
    is_complete = walked.is_complete
    samples = walked.words
    if any(word in names for word in samples.values()):
        again = walk([*readers, OneOf(exact)], most=_MOST_STEPS)
        samples = {accepted[:-1]: word for accepted, word in again.words.items() if not accepted[-1]}
        is_complete = is_complete and again.is_complete
    by_rules: dict[Hashable, ToolClass] = {}
    for accepted, word in samples.items():
        name = _readable(word, readers, accepted, names)
        if name is None:
            continue
        matched = [pattern for pattern, is_in in zip(patterns, accepted, strict=False) if is_in]
        shown = " and ".join(pattern.text for pattern in matched) or "(any other name)"
        rules = (id(old.policy.entry_of(name)), id(new.policy.entry_of(name)), accepted[len(patterns) :])
        hidden = (old.policy.is_hidden(name), new.policy.is_hidden(name))
        one = by_rules.setdefault((rules, hidden), ToolClass([], shown))
        if len(one.names) < _NAMES:
            one.names.append(name)
    for one in by_rules.values():
        one.names += list(_more(one.names[0], readers, names))[: _NAMES - len(one.names)]
    found.classes += by_rules.values()
    if not is_complete or not is_exact:
        found.unknown = "not all names that the patterns tell apart were tried"
    return found


def _changed_names(old: Side, new: Side) -> list[str] | None:
    """The exact names whose entries differ, if nothing else differs but them; otherwise None."""
    if old.form_without_names != new.form_without_names:
        return None
    ours, theirs = old.exact, new.exact
    # Shadowed limits take from them what depends on other rules.
    moved = {
        count
        for side in (old, new)
        for count, users in side.users.items()
        if len(users) > 1 and _has_shadow(users) and old.users.get(count) != new.users.get(count)
    }
    if any(limit.count in moved for side in (old, new) for entry in side.wide for limit in entry.limits):
        return None
    return [
        name
        for name in dict.fromkeys((*ours, *theirs))
        if name not in ours
        or name not in theirs
        or entry_form(ours[name]) != entry_form(theirs[name])
        or any(limit.count in moved for limit in ours[name].limits)
    ]


def _has_shadow(users: Mapping[str, frozenset[Hashable]]) -> bool:
    """True if a shadowed limit takes from a count."""
    return any(isinstance(cost, ShadowCost) for costs in users.values() for cost in costs)


def _names(side: Side) -> Iterator[str]:
    yield from side.exact
    yield from (pattern.name for pattern in side.policy.hide if pattern.name is not None)


def _readers(old: Side, new: Side) -> tuple[list[Pattern], list[Reader], bool]:
    """The patterns, an automaton for each, then those for conditions on `tool`; and if these say all."""
    patterns: dict[Hashable, Pattern] = {}
    conditions: dict[Hashable, Comparison] = {}
    for side in (old, new):
        for pattern in (*side.policy.hide, *(entry.pattern for entry in side.globs if entry.pattern)):
            if pattern.name is None:
                patterns.setdefault(pattern.symbols, pattern)
        for entry in side.policy.entries():
            if entry.pattern is not None and entry.pattern.name is not None:
                continue
            for check in entry.checks():
                conditions.update((condition_form(one), one) for one in check.comparisons() if one.path.text == "tool")
    readers: list[Reader] = [Automaton(of_pattern(pattern)) for pattern in patterns.values()]
    is_exact = True
    for one in conditions.values():
        found, is_all = reader_of(one.op, one.value)
        readers += found
        # Names that look like paths, URLs or addresses are not made.
        is_exact = is_exact and is_all and one.op not in _SPECIAL
    return list(patterns.values()), readers, is_exact


def _readable(word: str, readers: Sequence[Reader], accepted: tuple[bool, ...], taken: dict[str, None]) -> str | None:
    """The word, or one that says a little more and is accepted alike; None if it is no name."""
    longer = f"{word}x"
    if _accepted(longer, readers) == accepted and longer not in taken:
        return longer
    return word or None


def _more(name: str, readers: Sequence[Reader], taken: dict[str, None]) -> Iterator[str]:
    """Further names that are accepted alike."""
    accepted = _accepted(name, readers)
    for other in (f"{name}2", f"{name}x2", f"x{name}", f"{name[:-1]}z", f"{name[:-1]}y"):
        if other not in taken and other and _accepted(other, readers) == accepted:
            yield other


def _accepted(word: str, readers: Sequence[Reader]) -> tuple[bool, ...]:
    found = []
    for reader in readers:
        state = reader.start()
        for character in word:
            state = reader.step(state, character)
        found.append(reader.accepts(state))
    return tuple(found)
