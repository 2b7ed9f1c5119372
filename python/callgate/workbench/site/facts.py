"""Everything that the pages say about one tool, before it is put into words."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Final

from callgate.workbench.classify import classify, poison_findings
from callgate.workbench.site.arguments import arguments_of
from callgate.workbench.site.effects import EFFECTS
from callgate.workbench.site.policies import key_of
from callgate.workbench.site.policy_text import yaml_scalar
from callgate.workbench.site.shown import code, cut, name_of, quoted_prose, seen
from callgate.workbench.site.topics import topic_of
from callgate.workbench.site.words import sentence, words_of

if TYPE_CHECKING:
    from markupsafe import Markup

    from callgate.workbench.catalogue import Correction, Tool
    from callgate.workbench.site.arguments import Argument
    from callgate.workbench.site.effects import Effect
    from callgate.workbench.site.topics import Topic
    from callgate.workbench.site.words import NameWords

_LONGEST_IN_POLICY: Final = 1000
"""Characters of a name as YAML has it, with its escapes; keys of YAML may have 1,024."""
_LONGEST_ATTACK: Final = 400


@dataclass(frozen=True)
class ToolFacts:
    """A tool with its page."""

    server: str
    """The server's name, as it is in the catalogue."""
    tool: Tool
    """With the correction of a person, if there is one."""
    correction: Correction | None
    path: str
    """The page's file, relative to the site."""

    @cached_property
    def name(self) -> str:
        """The name on one line."""
        return name_of(self.tool.name)

    @cached_property
    def has_policy(self) -> bool:
        """True if its page shows policies; its name could be too long for them."""
        return len(yaml_scalar(key_of(self.tool.name))) <= _LONGEST_IN_POLICY

    @cached_property
    def words(self) -> NameWords:
        """The words of the name."""
        return words_of(self.tool.name)

    @cached_property
    def topic(self) -> Topic | None:
        """The kind of thing that the name is about."""
        return topic_of(self.words)

    @cached_property
    def arguments(self) -> list[Argument]:
        """The arguments that the schema names."""
        return arguments_of(self.tool)

    @cached_property
    def attacks(self) -> list[tuple[str, Markup]]:
        """The code and the message of each finding that its definition attacks the model that reads it."""
        return [
            (found.code, quoted_prose(cut(seen(found.message), _LONGEST_ATTACK)))
            for found in poison_findings(self.tool, self.server)
        ]

    @property
    def effect(self) -> Effect:
        """The sentences about its category."""
        return EFFECTS[self.tool.category]

    @cached_property
    def server_name(self) -> str:
        """The server's name on one line."""
        return name_of(self.server)

    @cached_property
    def summary(self) -> str:
        """Its purpose, in a line of our own."""
        return sentence(self.action) or self.effect.short

    @cached_property
    def action(self) -> str:
        """The action that the name says; empty if it says none, or if only one of name and category says a change."""
        suggested, category = self.words.suggests, self.tool.category
        is_other = category is not None and suggested is not None and (suggested == "Read") != (category == "Read")
        return "" if is_other else self.words.action

    @cached_property
    def is_as_classified(self) -> bool:
        """True if the whole definition leads to the category that it has: the name was looked at as well."""
        return classify(self.tool, self.server).category == self.tool.category

    @cached_property
    def code(self) -> Markup:
        """The name as code."""
        return code(self.name)
