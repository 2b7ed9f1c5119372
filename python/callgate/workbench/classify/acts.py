"""Acts: the effects that names and sentences speak of, by their verbs and objects."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from callgate.workbench.classify.objects import turned, turning_object
from callgate.workbench.classify.vocabulary import FORMS, MEANINGS, PLAIN, VAGUE
from callgate.workbench.classify.words import Verb, word_set

if TYPE_CHECKING:
    from collections.abc import Sequence

    from callgate.workbench.catalogue import Category

RANK: Final[dict[Category, int]] = {"Read": 0, "Write": 1, "Execute": 2, "Destructive": 3, "Financial": 4}
"""Order of danger: a tool with several effects has the category of the highest."""

MARKS: Final = frozenset(",;:()/&")
_ENDS: Final = frozenset({";", ":", "(", ")"})
_JOINS: Final = frozenset({"and", "or", ",", "/", "&", "then"})
_BETWEEN: Final = word_set(
    """
        also then optionally either both permanently automatically immediately safely or and , / & it them
    """
)
_BREAKS: Final = word_set(
    """
        that which who by using via through before after when where if with without from for
    """
)
NOUNS_AFTER: Final = word_set(
    """
        time times date dates operation operations event events request requests job jobs policy policies rate
        rates status history log logs error errors permission permissions condition conditions message messages
        type types option options state states count counts of queue queues rule rules protection
    """
)
ARTICLES: Final = word_set(
    """
        a an the all any its their existing new another one each every this that to it them
    """
)
NOUNS_TOO: Final = word_set(
    """
        email sms name index label tag comment message log image post record store note text call title alert
        report star like link view list test query search profile map format sort order group cache table
        permission block release branch commit export import schedule prompt command script shell code process
        request charge trade tip fund wire issue stage plan bill set share change display document trigger
        handle control use work access claim sound mark grant lock hash stream load measure return filter sample
        help guide visit focus play hold press trace update upgrade scale copy change schema package design
        build type position
    """
)
"""Verbs that are at least as often nouns."""
_PHRASE_WORDS: Final = 8


MANAGING: Final = word_set("manage handle control administer maintain operate work interact")
"""Verbs that stand for several operations."""


class Act(NamedTuple):
    """One effect, and the words that say it."""

    category: Category
    strength: int
    verb: str
    phrase: str
    """The verb with the object that decides, as it is shown."""

    @property
    def is_vague(self) -> bool:
        """True if other words should decide first."""
        return self.strength == VAGUE


def act_of(verb: str, after: Sequence[str]) -> Act:
    """The effect of a verb with the words of its phrase."""
    turn = turned(verb, after)
    if turn is not None:
        return Act(turn.category, turn.strength, verb, f"{verb} {turning_object(turn, after)}")
    meaning = MEANINGS[verb]
    return Act(meaning.category, meaning.strength, verb, verb)


def strongest(acts: Sequence[Act]) -> Act | None:
    """The most dangerous act that is not vague, else the most dangerous vague one."""
    clear = [act for act in acts if not act.is_vague] or list(acts)
    if all(act.category == "Read" for act in clear):
        # `View and manage` does more than it reads, and so does `explains and executes`.
        joined = [act._replace(strength=PLAIN) for act in acts[1:] if act.verb == "execute"]
        clear = joined or [act for act in acts if act.verb in MANAGING] or clear
    return max(clear, key=lambda act: (RANK[act.category], act.strength), default=None)


def phrase_after(words: Sequence[str], index: int) -> list[str]:
    """The words of the phrase that a verb begins, without marks."""
    found: list[str] = []
    for word in words[index + 1 :]:
        if word in _ENDS or len(found) == _PHRASE_WORDS or (found and word in _BREAKS):
            break
        if word not in MARKS:
            found.append(word)
    return found


def acts_from(words: Sequence[str], index: int, form: str) -> list[Act]:
    """The acts of a sentence from its verb on: that verb, and those in the same form that are joined to it."""
    first = FORMS[words[index]]
    acts = [act_of(first.base, phrase_after(words, index))]
    is_joined = False
    is_chain = True
    for place in range(index + 1, len(words)):
        word = words[place]
        if word in _JOINS:
            is_joined = True
            continue
        verb = FORMS.get(word)
        if is_joined and verb is not None and verb.form == form and (is_chain or not _is_noun(words, place, verb)):
            acts.append(act_of(verb.base, phrase_after(words, place)))
            is_joined = False
            continue
        if word in _BETWEEN or word.endswith("ly"):
            continue
        is_joined = is_chain = False
    return acts


def _is_noun(words: Sequence[str], place: int, verb: Verb) -> bool:
    """True if a word that is joined to a verb is a noun after all: `by name or email`, `start and stop times`."""
    after = words[place + 1] if place + 1 < len(words) else ""
    if not after:
        # `... and pay` is no noun; `... by email` could be one.
        return MEANINGS[verb.base].category not in ("Destructive", "Financial") or verb.base in NOUNS_TOO
    if verb.base in NOUNS_TOO:
        return after not in ARTICLES
    return after in NOUNS_AFTER
