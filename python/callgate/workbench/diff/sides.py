"""One of the two policies, and the rules that apply to a tool there."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from callgate.exact_json import write_json
from callgate.workbench.diff.canonical_rules import cost_form, entry_form
from callgate.workbench.rules.numbers import exact_data

if TYPE_CHECKING:
    from collections.abc import Collection, Hashable, Iterator

    from callgate.config.document import KeyPath
    from callgate.workbench.rules import Entry, Limit, Policy


@dataclass(frozen=True)
class Stack:
    """The rules that apply to one tool of one category."""

    is_hidden: bool
    is_denied_by_default: bool
    entries: tuple[Entry, ...]
    """In the order of evaluation, also shadowed ones."""

    @property
    def enforced(self) -> tuple[Entry, ...]:
        """The entries whose rules stop calls."""
        return tuple(entry for entry in self.entries if entry.mode == "enforce")

    @cached_property
    def form(self) -> Hashable:
        """Equal for stacks that decide alike, but for what is counted together with other tools."""
        if self.is_hidden or self.is_denied_by_default:
            return "denied"
        return tuple(form for entry in self.entries if (form := entry_form(entry)) != _EMPTY)

    @property
    def limits(self) -> tuple[Limit, ...]:
        """The enforced limits, in the order of evaluation."""
        return tuple(limit for entry in self.enforced for limit in entry.limits)


_EMPTY: Hashable = (False, "enforce", "allow", frozenset(), None, ("null",), frozenset(), ())
"""The form of an entry without a rule."""


@dataclass(frozen=True)
class ShadowCost:
    """The cost at a shadowed limit, which takes it only where enforcement of all rules would have allowed the call."""

    cost: Hashable
    policy: Hashable
    """The form of the whole policy: any rule may decide that."""


@dataclass(frozen=True)
class Side:
    """A policy of a comparison."""

    policy: Policy

    def stack(self, tool: str, category: str | None) -> Stack:
        """The rules that apply to a tool of a category."""
        policy = self.policy
        entries = policy.applying(tool, category)
        is_enforced = policy.mode == "enforce"
        return Stack(
            is_hidden=is_enforced and policy.is_hidden(tool, category),
            is_denied_by_default=is_enforced and not entries,
            # A default in shadow stops nothing, and the rules of `all_tools` are asked next.
            entries=entries or (policy.all_tools,),
        )

    @cached_property
    def users(self) -> dict[Hashable, dict[str, frozenset[Hashable]]]:
        """The entries that use each count, by their pointers, with the costs in each."""
        found: dict[Hashable, dict[str, frozenset[Hashable]]] = {}
        for entry in self.policy.entries():
            for limit in entry.limits:
                cost: Hashable = cost_form(limit.cost)
                if entry.mode == "shadow":
                    cost = ShadowCost(cost, self.form)
                of_entries = found.setdefault(limit.count, {})
                of_entries[entry.pointer] = of_entries.get(entry.pointer, frozenset()) | {cost}
        return found

    @cached_property
    def form(self) -> Hashable:
        """Equal for policies that decide every call alike."""
        return self.form_without_names, frozenset((name, entry_form(entry)) for name, entry in self.exact.items())

    @cached_property
    def form_without_names(self) -> Hashable:
        """The form of everything but the entries of `tools` for one exact name."""
        policy = self.policy
        return (
            policy.default,
            policy.mode,
            frozenset(pattern.symbols for pattern in policy.hide),
            entry_form(policy.all_tools),
            frozenset((name, entry_form(entry)) for name, entry in policy.categories.items()),
            tuple((entry.pattern and entry.pattern.symbols, entry_form(entry)) for entry in self.globs),
        )

    @cached_property
    def exact(self) -> dict[str, Entry]:
        """The entries of `tools` for one exact name, by that name."""
        return {
            name: entry
            for entry in self.policy.tools
            if entry.pattern is not None and (name := entry.pattern.name) is not None
        }

    @property
    def wide(self) -> Iterator[Entry]:
        """The entries for more than one name."""
        yield from self.globs
        yield from self.policy.categories.values()
        yield self.policy.all_tools

    @cached_property
    def globs(self) -> tuple[Entry, ...]:
        """The other entries of `tools`, in document order."""
        return tuple(one for one in self.policy.tools if one.pattern is not None and one.pattern.name is None)

    def content_for(self, tools: Collection[str]) -> bytes:
        """The policy as JSON, without the entries of `tools` whose one name is not among these.

        Such an entry applies to no call of these tools.
        """
        data = dict(self._data)
        if "tools" in data:
            exact, others = self._keys
            kept = sorted((*others, *(exact[name] for name in tools if name in exact)))
            data["tools"] = {key: data["tools"][key] for _, key in kept}
        data.setdefault("name", self.policy.name)
        return write_json(data).encode()

    @cached_property
    def _keys(self) -> tuple[dict[str, tuple[int, str]], list[tuple[int, str]]]:
        """The keys of `tools` with their positions: those of one name, by it, and the others."""
        exact, others = dict[str, tuple[int, str]](), list[tuple[int, str]]()
        for number, entry in enumerate(self.policy.tools):
            name = None if entry.pattern is None else entry.pattern.name
            if name is None:
                others.append((number, entry.key))
            else:
                exact[name] = (number, entry.key)
        return exact, others

    @cached_property
    def _data(self) -> dict[str, Any]:
        return exact_data(self.policy.document)

    def place(self, path: KeyPath, *, of_key: bool = False) -> str:
        """The place of something in the policy, as ``file:line:column``."""
        line, column = self.policy.document.place(path, of_key=of_key)
        return f"{self.policy.document.file}:{line}:{column}"

    def place_of_rule(self, rule: str, tool: str, category: str | None) -> str:
        """The place of the rule of a decision; for a plain allow, that of the entry that applies to the tool."""
        policy = self.policy
        if rule == "(hidden)":
            return self.place(("hide",) if policy.is_hidden(tool) else ("categories", str(category)), of_key=True)
        entries = policy.applying(tool, category)
        for entry in entries:
            for pointer, path in _rules_of(entry):
                if pointer == rule:
                    return self.place(path, of_key=isinstance(path[-1], str))
        first = next((entry.at for entry in entries if entry.data is not None), ("default",))
        return self.place(("default",) if rule == "(default deny)" else first, of_key=True)


def _rules_of(entry: Entry) -> Iterator[tuple[str, KeyPath]]:
    """The pointer of each rule with its place."""
    yield f"{entry.pointer}/action", (*entry.at, "action")
    yield f"{entry.pointer}/schema", (*entry.at, "schema")
    yield f"{entry.pointer}/approval", (*entry.at, "action")
    for check in (*entry.require, *entry.deny_if):
        yield check.pointer, check.at
    for limit in entry.limits:
        yield limit.pointer, limit.at
        yield f"{limit.pointer}/cost", (*limit.at, "cost")
