"""Templates of the pages, and the values that they show."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined

from callgate._callgate import version
from callgate.workbench.site.arguments import MOST_ARGUMENTS, example_checks
from callgate.workbench.site.effects import ATTRIBUTES, EFFECTS, HINTS, RISK_MEANINGS, RISK_NAMES
from callgate.workbench.site.policies import asking_rule, denying_rule, hiding_rule, limiting_rule, recommended_rule
from callgate.workbench.site.policy_text import policy_json, policy_yaml
from callgate.workbench.site.prose.limits import ask_example, block_example, limit_example, rule_means, what_to_limit
from callgate.workbench.site.prose.questions import questions_about
from callgate.workbench.site.prose.what import classified_by, lead, what_it_does
from callgate.workbench.site.prose.why import dangers, needs_policy
from callgate.workbench.site.shown import counted, cut, line_of, lines_of, listed, name_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from callgate.workbench.site.facts import ToolFacts

LONGEST_DESCRIPTION: Final = 4000
"""Characters of a description that a page shows."""
_LONGEST_TITLE: Final = 70
"""Characters of the title of a page, as browsers and searches show it."""
_LONGEST_DIGEST: Final = 64

_MOST_NAMED: Final = 10
"""Findings of one tool, and poisoned tools of one list, that a page names."""

ASSETS: Final = ("style.css", "page.js", "search.js")


@dataclass(frozen=True, slots=True)
class Rules:
    """The policies of one tool's page, as text."""

    yaml: str
    json: str
    limit: str
    deny: str
    hide: str
    ask: str


def render(template: str, path: str, head: str, title: str, **values: Any) -> str:  # noqa: ANN401  whatever it shows
    """A page from a template.

    Args:
        template: The name of the template.
        path: The page's file, relative to the site.
        head: The page's own part of its title; empty for the site's alone.
        title: The title of the site.
        **values: What the template shows.
    """
    head_title = cut(title, _LONGEST_TITLE)
    if head:
        # The page's own name matters more than that of the site, which every page has.
        own = cut(head, _LONGEST_TITLE - 5)
        room = _LONGEST_TITLE - len(own) - 3
        head_title = f"{own} · {cut(title, room)}" if room > len(own) // 4 and room > 1 else own
    root = "../" * path.count("/")
    page = _environment().get_template(template)
    return page.render(root=root, head_title=head_title, title=title, version=version(), **values)


def asset(name: str) -> bytes:
    """A file of the site that is the same for all catalogues."""
    return (files("callgate.workbench.site") / "assets" / name).read_bytes()


def tool_values(facts: ToolFacts) -> Mapping[str, Any]:
    """The values of a tool's page that follow from the tool alone."""
    tool = facts.tool
    digest = tool.digest or ""
    return {
        "facts": facts,
        "lead": lead(facts),
        "what": what_it_does(facts),
        "grounds": classified_by(facts),
        "why": needs_policy(facts),
        "dangers": dangers(facts),
        "arguments": facts.arguments[:MOST_ARGUMENTS],
        "description": lines_of(tool.description, LONGEST_DESCRIPTION).strip("\n"),
        "left_out": max(len(tool.description) - LONGEST_DESCRIPTION, 0),
        "attributes": list(_attributes(facts)),
        "hints": listed(list(_hints(facts)) or [""]),
        "digest": name_of(digest, _LONGEST_DIGEST),
        "rule_means": rule_means(facts),
        "rules": _rules(facts) if facts.has_policy else None,
        "limits": what_to_limit(facts),
        "limit_example": limit_example(facts),
        "block_example": block_example(facts),
        "ask_example": ask_example(facts),
        "questions": questions_about(facts),
    }


def _rules(facts: ToolFacts) -> Rules:
    tool = facts.tool
    recommended = recommended_rule(tool)
    return Rules(
        yaml=policy_yaml(recommended),
        json=policy_json(recommended),
        limit=policy_yaml(limiting_rule(tool, example_checks(facts.arguments))),
        deny=policy_yaml(denying_rule(tool)),
        hide=policy_yaml(hiding_rule(tool)),
        ask=policy_yaml(asking_rule(tool)),
    )


def _attributes(facts: ToolFacts) -> Iterator[tuple[str, str]]:
    known = facts.tool.attributes.known()
    for name, (title, _) in ATTRIBUTES.items():
        if name in known:
            yield title, "yes" if known[name] else "no"


def _hints(facts: ToolFacts) -> Iterator[str]:
    for name, (positive, negative) in HINTS.items():
        value = facts.tool.annotations.get(name)
        if isinstance(value, bool):
            yield positive if value else negative


@cache
def _environment() -> Environment:
    # Everything is escaped, whatever a template's name ends with.
    environment = Environment(
        loader=PackageLoader("callgate.workbench.site"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals.update(
        counted=counted,
        most_named=_MOST_NAMED,
        risk_names=RISK_NAMES,
        risk_meanings=RISK_MEANINGS,
        effects=EFFECTS,
        attributes=list(ATTRIBUTES.values()),
    )
    return environment


def site_title(title: str) -> str:
    """The title of the site as pages show it."""
    return line_of(title, _LONGEST_TITLE)
