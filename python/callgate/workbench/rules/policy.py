"""Entries of a policy, and the entry that applies to a call."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from callgate.config.document import Document, KeyPath
    from callgate.workbench.rules.conditions import Check
    from callgate.workbench.rules.limits import Limit
    from callgate.workbench.rules.patterns import Pattern


def pointer(*steps: str) -> str:
    """A pointer to these steps, each escaped as in RFC 6901."""
    return "".join("/" + step.replace("~", "~0").replace("/", "~1") for step in steps)


@dataclass(frozen=True)
class Entry:
    """The rules of one entry: of a key of `tools`, of a category, or `all_tools`."""

    pointer: str
    """The beginning of its rule pointers, such as `/tools/create-ami`."""
    key: str
    """The key as written; `all_tools` has its own name."""
    at: KeyPath
    pattern: Pattern | None = None
    """The names of an entry of `tools`; None for the others."""
    is_hidden: bool = False
    """True for a category with `hide`."""
    action: Literal["allow", "deny", "require_approval"] = "allow"
    reason: str | None = None
    require: tuple[Check, ...] = ()
    deny_if: tuple[Check, ...] = ()
    schema: Any = None
    """A JSON Schema or `input`; None if there is none."""
    limits: tuple[Limit, ...] = ()
    when: tuple[Check, ...] = ()
    """Checks of `approval`; an approval is always needed if there is none."""
    approval: Mapping[str, Any] | None = None
    """The block as written; None if there is none."""
    mode: Literal["enforce", "shadow"] = "enforce"
    """Its own mode, or else the policy's."""
    data: Any = field(default=None, repr=False)
    """The entry as the document has it."""

    @property
    def asks(self) -> bool:
        """True if it may ask for an approval."""
        return self.action == "require_approval" or any(limit.asks_at_max for limit in self.limits)

    def checks(self) -> Iterator[Check]:
        """Every check: of `require`, `deny_if` and `when`."""
        yield from self.require
        yield from self.deny_if
        yield from self.when


@dataclass(frozen=True)
class Policy:
    """A valid policy document."""

    document: Document
    name: str
    """The document's `name`, else the file's stem."""
    default: Literal["allow", "deny"]
    mode: Literal["enforce", "shadow"]
    hide: tuple[Pattern, ...]
    all_tools: Entry
    """Empty rules if the document has none."""
    categories: Mapping[str, Entry]
    """In document order."""
    tools: tuple[Entry, ...]
    """In document order."""

    def entries(self) -> Iterator[Entry]:
        """Every entry of the document: `tools`, then `categories`, then `all_tools` if it is given."""
        yield from self.tools
        yield from self.categories.values()
        if self.all_tools.data is not None:
            yield self.all_tools

    def entry_of(self, tool: str) -> Entry | None:
        """The entry of `tools` that applies to a name: the exact one, else the glob with most literal characters."""
        if (exact := self._exact.get(tool)) is not None:
            return exact
        return next((entry for entry in self._globs if entry.pattern and entry.pattern.matches(tool)), None)

    def is_hidden(self, tool: str, category: str | None = None) -> bool:
        """Returns True if a tool is hidden, by `hide` or by its category."""
        of_category = self.categories.get(category) if category is not None else None
        return (of_category is not None and of_category.is_hidden) or any(one.matches(tool) for one in self.hide)

    def applying(self, tool: str, category: str | None = None) -> tuple[Entry, ...]:
        """The entries whose rules apply to a call, in the order of evaluation; none under `(default deny)`."""
        found = (self.entry_of(tool), self.categories.get(category) if category is not None else None)
        given = tuple(entry for entry in found if entry is not None)
        return (*given, self.all_tools) if given or self.default == "allow" else ()

    @cached_property
    def _exact(self) -> dict[str, Entry]:
        return {
            name: entry
            for entry in self.tools
            if entry.pattern is not None and (name := entry.pattern.name) is not None
        }

    @cached_property
    def _globs(self) -> tuple[Entry, ...]:
        """Entries with wildcards, the ones that win first; of equal ones the earlier."""
        globs = [entry for entry in self.tools if entry.pattern is not None and entry.pattern.name is None]
        return tuple(sorted(globs, key=lambda entry: -entry.pattern.literal_length if entry.pattern else 0))
