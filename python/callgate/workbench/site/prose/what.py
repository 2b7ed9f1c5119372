"""The section about what a tool does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from callgate.workbench.site.shown import code, line_of, listed, name_of, quoted_prose, say

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from markupsafe import Markup

    from callgate.workbench.catalogue import Category
    from callgate.workbench.site.facts import ToolFacts

_LONGEST_EVIDENCE: Final = 300
_LONGEST_TITLE: Final = 100
_HARM: Final[Mapping[Category, int]] = {"Read": 0, "Write": 1, "Execute": 2, "Destructive": 3, "Financial": 3}


def what_it_does(facts: ToolFacts) -> Iterator[Markup]:
    """Paragraphs: the action, the effect, and the grounds for the classification."""
    yield _action(facts)
    yield _effect(facts)
    yield from _doubts(facts)


def classified_by(facts: ToolFacts) -> Iterator[Markup]:
    """Sentences about the grounds for category and risk."""
    tool, correction = facts.tool, facts.correction
    if correction is not None and (correction.category or correction.risk):
        reason = line_of(correction.reason, _LONGEST_EVIDENCE)
        said = (
            "A person has corrected the classification: “{reason}”."
            if reason
            else ("A person has corrected the classification, and gives no reason.")
        )
        yield say(said, reason=quoted_prose(reason.rstrip(".")))
        return
    if tool.category is None and tool.risk is None:
        return
    evidence = line_of(tool.evidence, _LONGEST_EVIDENCE).rstrip(".")
    if evidence:
        yield say("Reason for the classification: “{evidence}”.", evidence=quoted_prose(evidence))
    else:
        yield say("The catalogue gives no reason for the classification.")
    if tool.confidence is not None:
        yield say("Its confidence is {confidence} %.", confidence=f"{tool.confidence * 100:.0f}")


def _action(facts: ToolFacts) -> Markup:
    server, words = code(name_of(facts.server)), facts.words
    title = line_of(facts.tool.title, _LONGEST_TITLE)
    also = (
        say(" The server calls it “{title}”.", title=quoted_prose(title)) if title and title != facts.name else say("")
    )
    if facts.action:
        group = ""
        if words.group:
            group = say("; the name puts it under {group}", group=code("_".join(words.group)))
        said = say(
            "Going by its name, {tool} of the server {server} {action}{group}.",
            tool=facts.code,
            server=server,
            action=facts.action,
            group=group,
        )
    elif words.verb:
        said = say(
            "{tool} is a tool of the server {server}. What a call does follows from its category, not from the word "
            "{verb} in its name.",
            tool=facts.code,
            server=server,
            verb=code(words.verb),
        )
    elif len(words.words) == 1:
        said = say(
            "{tool} is a tool of the server {server}. Its name is no action that this catalogue knows.",
            tool=facts.code,
            server=server,
        )
    elif words.words:
        said = say(
            "{tool} is a tool of the server {server}. Its name mentions {words}, but no action that this catalogue "
            "knows.",
            tool=facts.code,
            server=server,
            words=listed([f"“{word}”" for word in dict.fromkeys(words.words) if not word.isdigit()]),
        )
    else:
        said = say(
            "{tool} is a tool of the server {server}. Its name is not made of plain words, so it does not say what a "
            "call does.",
            tool=facts.code,
            server=server,
        )
    return said + also


def _effect(facts: ToolFacts) -> Markup:
    category = facts.tool.category
    if category is None:
        return say(
            "It is not classified: nobody has said yet what effect a call has. Rules for categories do not apply to "
            "it, and a policy whose default is `deny` denies it."
        )
    effect = say("Its category is {category}. {meaning}", category=category, meaning=facts.effect.meaning)
    if facts.tool.attributes.reversible is False:
        effect += say(" No ordinary call takes the effect back.")
    elif facts.tool.attributes.reversible is True and category != "Read":
        effect += say(" An ordinary call can take the effect back.")
    return effect


def _doubts(facts: ToolFacts) -> Iterator[Markup]:
    """Sentences where the name, or the server's own hints, say something else than the classification."""
    tool, suggested = facts.tool, facts.words.suggests
    if tool.category is not None and suggested is not None and suggested != tool.category:
        values = {"verb": code(facts.words.verb), "suggested": suggested, "category": tool.category}
        if _HARM[suggested] > _HARM[tool.category] and not facts.is_as_classified:
            yield say(
                "Look at this classification again: the word {verb} in the name suggests {suggested}, which is "
                "stricter than {category}.",
                **values,
            )
        elif _HARM[suggested] < _HARM[tool.category]:
            yield say(
                "The word {verb} alone would suggest {suggested}. The catalogue puts the tool into the stricter "
                "category {category}, and this page goes by that.",
                **values,
            )
    if tool.annotations.get("readOnlyHint") is True and tool.category not in (None, "Read"):
        yield say(
            "The server itself hints that the tool changes nothing. Nobody has checked that, and the catalogue says "
            "{category}.",
            category=str(tool.category),
        )
    if tool.annotations.get("destructiveHint") is True and tool.category in ("Read", "Write"):
        yield say(
            "The server itself hints that the tool may destroy something, but its category is {category}. Look at "
            "this classification again.",
            category=tool.category,
        )


def lead(facts: ToolFacts) -> Markup:
    """The line below the heading."""
    recommended = facts.effect.recommended
    return say("{summary}. Recommended: {rule}", summary=facts.summary, rule=recommended[:1].lower() + recommended[1:])
