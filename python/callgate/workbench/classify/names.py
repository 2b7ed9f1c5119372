"""The act that the name of a tool speaks of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from callgate.workbench.classify.acts import RANK, Act, act_of
from callgate.workbench.classify.objects import INFORMATION, READING_TAILS
from callgate.workbench.classify.vocabulary import CLEAR, FORMS, PLAIN, VAGUE
from callgate.workbench.classify.words import name_words, singular, word_set

if TYPE_CHECKING:
    from collections.abc import Sequence

_MODIFIERS: Final = word_set(
    """
        batch bulk mass multi force soft hard auto async quick smart safe admin user my
    """
)
_NO_VERBS: Final = word_set(
    """
        issue test build order request release comment store report export plan state stage bill run log record
        view table tag label link like star trade exchange charge document schedule share forward process use
        work control clear open close complete subscribe note post draft message email sms text call dial alert
        query index search cache cluster map format profile trace scan review audit sample filter match rank
        score install set monitor watch track claim grant sign book lock pin invoice press fire shell bash
        script command capture top fund bridge tip wire hold pull push crop trim sort like permit exploit model
        prompt mint stake bid head tail stream evaluate install backfill trigger name change mount type switch
        share clone fork help guide has can is load hash do make give survey fit perform go turn play skip focus
        visit dim hide mark sound sum round display chat package access deposit swap visualise measure return
        collect conduct fix copy move tap trash
    """
)
_AMBIGUOUS_LAST: Final = word_set("read get search update create delete put add remove")
_LAST_TOO: Final = word_set(
    """
        query search run send start stop export import scan copy move open close sync publish
    """
)
_FIRST: Final = word_set(
    """
        run set search install evaluate trigger make scan load fix copy move process build query export import mark
    """
)
"""Words that are verbs where they stand first, whatever follows."""
_SAID: Final = ("base", "gerund")
_NOT_PREFIX: Final = word_set("git github slack")


class NameAct(NamedTuple):
    """The act that a name says, and the words for it."""

    act: Act
    is_topic: bool
    """The verb is what the tool is about and perhaps not what it does: `delete_preview`, `deploy_help`."""


def name_act(name: str, server: str) -> NameAct | None:
    """The act of a tool's name; None if it has no verb and no noun that says something."""
    words = [word for word in name_words(name) if not word.isdigit()]
    own = set(name_words(server))
    while len(words) > 1 and (words[0] in own or words[0] in _NOT_PREFIX) and not _starts(words):
        words = words[1:]
    while len(words) > 1 and words[0] in _MODIFIERS and any(word in FORMS for word in words[1:]):
        words = words[1:]
    if len(words) > 1 and words[-1] in {"tool", "function", "command", "action"}:
        words = words[:-1]
    index = _verb_index(words)
    if index is None:
        return _noun(words)
    after = words[index + 1 :] + words[:index]
    act = act_of(FORMS[words[index]].base, after)
    if {"readonly"} & set(words) or ("read" in words and "only" in words):
        return NameAct(Act("Read", CLEAR, "read-only", "read-only"), False)
    also = _joined(words, index)
    if also is not None and RANK[also.category] > RANK[act.category]:
        act = also
    return NameAct(act, act.category != "Read" and index < len(words) - 1 and _names_a_subject(words))


def _names_a_subject(words: Sequence[str]) -> bool:
    """True if the last word is what the tool gives: `delete_preview`, `charge_history`, `purchase_analyzer`."""
    last = words[-1]
    return (
        last in READING_TAILS
        or singular(last) in READING_TAILS
        or (words[0] in _NO_VERBS and last in INFORMATION)
        or last.endswith(("yzer", "orer"))
    )


def _starts(words: Sequence[str]) -> bool:
    """True if the first word is a verb that the rest is the object of."""
    verb = FORMS.get(words[0])
    return verb is not None and words[0] not in _NO_VERBS


def _verb_index(words: Sequence[str]) -> int | None:
    """The place of the verb: the first word, else the last, else the first verb between them."""
    if not words:
        return None
    first = FORMS.get(words[0])
    if (
        first is not None
        and first.form in ("base", "third")
        and (words[0] in _FIRST or not (first.base in _NO_VERBS and _later_verb(words)))
    ):
        return 0
    last = FORMS.get(words[-1])
    if last is not None and last.form == "base" and (words[-1] not in _NO_VERBS or words[-1] in _LAST_TOO):
        between = _between(words)
        if between is None or words[-1] in _AMBIGUOUS_LAST or words[between] in _LAST_TOO:
            return len(words) - 1
        return between
    between = _between(words)
    if between is not None:
        return between
    return next(
        (place for place, word in enumerate(words) if place and word in FORMS and FORMS[word].form in _SAID), None
    )


def _between(words: Sequence[str]) -> int | None:
    for place, word in enumerate(words[:-1]):
        verb = FORMS.get(word)
        if place and verb is not None and verb.form in ("base", "gerund") and word not in _NO_VERBS:
            return place
    return None


def _later_verb(words: Sequence[str]) -> bool:
    """True if a later word is surely the verb: `issue_read`, `stream_group_create`."""
    return any(
        word in FORMS
        and FORMS[word].form == "base"
        and (word not in _NO_VERBS or (word in _LAST_TOO and place == len(words) - 2))
        for place, word in enumerate(words[1:])
    )


def _joined(words: Sequence[str], index: int) -> Act | None:
    """A second verb after `and` or `or`."""
    for place in range(index + 1, len(words) - 1):
        following = FORMS.get(words[place + 1])
        if words[place] in ("and", "or", "then") and following is not None and following.form == "base":
            return act_of(following.base, words[place + 2 :])
    return None


def _noun(words: Sequence[str]) -> NameAct | None:
    if words and (words[-1] in INFORMATION or singular(words[-1]) in INFORMATION or words[0] in {"whoami", "status"}):
        return NameAct(Act("Read", PLAIN, words[-1], words[-1]), False)
    agent = next(
        (word for word in words if word.endswith(("yzer", "lorer", "ulator", "checker", "finder", "viewer"))), None
    )
    return NameAct(Act("Read", VAGUE, agent, agent), False) if agent else None
