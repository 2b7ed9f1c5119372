"""Side effects that a description mentions: `also empties the trash`, `if purge is true, it removes them`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from callgate.workbench.classify.acts import NOUNS_TOO, Act, act_of, acts_from, phrase_after
from callgate.workbench.classify.vocabulary import CLEAR, FORMS, MEANINGS, PLAIN
from callgate.workbench.classify.words import sentence_words

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_WORD: Final = re.compile("[a-z]+")
_TELLING: Final = frozenset(
    {"method", "methods"}
    | {
        form
        for form, verb in FORMS.items()
        if MEANINGS[verb.base].category != "Read" and MEANINGS[verb.base].strength >= PLAIN
    }
)
"""Words of which a sentence with a side effect has one."""
_FIRST: Final = 2
"""Sentences at the beginning, which are about the tool itself."""
_BESIDES: Final = re.compile(
    r"^\W*(?:(?:it|(?:this|the)\s+(?:tool|call|function))\s+(will\s+|can\s+|may\s+)?)?"
    r"(?:also|additionally|optionally|then|afterwards|finally|automatically)\W+(?:it\s+)?(?=[a-z])",
    re.IGNORECASE,
)
"""The beginning of a sentence about one more effect of the tool."""
_CHOICE: Final = re.compile(
    r"\b(?:if|when|with|set|setting|pass|passing)\b[^.;\n]{0,40}?(?:`\w+`|\w+\s?=\s?\w+|\bis\s+(?:true|set|given)\b)[^.;\n]*",
    re.IGNORECASE,
)
"""An effect that an argument chooses, up to the end of its clause."""
_EACH: Final = re.compile(r"\b(?:on|with|by|at|after)\s+(?:each|every)\s+(?:call|use|run)\b", re.IGNORECASE)
_CLAUSE_END: Final = re.compile(r"[.;\n]")
_PASSIVE: Final = re.compile(
    r"\b(?<!that\s)(?<!which\s)(?:are|is|gets?|will\s+be)\s+(?:(?:also|then|\w+ly)\s+)?([a-z]+(?:ed|nt|pt))\b(?!\s+by\b)",
    re.IGNORECASE,
)
_ACTIVE: Final = re.compile(r"\bit\s+(?:(?:also|then|\w+ly)\s+)?([a-z]+s)\b", re.IGNORECASE)
_PURPOSE: Final = re.compile(r"\bto\s+([a-z]+)\s+(?:it|them|the|all|any|every)\b", re.IGNORECASE)
_BY_THE_WAY: Final = re.compile(
    r",\s+(?:and\s+|also\s+|thereby\s+)?([a-z]+ing)\s+(?:it|them)\b(?!\s+(?:is|are|would|will|may|can|requires?|needs?)\b)",
    re.IGNORECASE,
)
_MEANS: Final = re.compile(
    r"\bby\s+((?:delet|remov|purg|truncat|dropp|deploy|install|terminat|paying|buy)\w*)\b", re.IGNORECASE
)
_ANY_METHOD: Final = re.compile(r"\bany\s+(?:HTTP\s+)?method\b|\bmethods?\b[^.\n]{0,40}\bDELETE\b")


def side_effects(sentences: Sequence[str]) -> Iterator[Act]:
    """The effects that sentences mention besides the one that a tool is for; none that only reads.

    Args:
        sentences: A description without what the tool does not do.
    """
    for place, sentence in enumerate(sentences):
        words = _WORD.findall(sentence.lower())
        if _TELLING.isdisjoint(words):
            continue
        besides = _BESIDES.match(sentence)
        if besides is not None and place:
            # Without `can` a bare verb tells the reader what to do: `Then add the path`.
            form = "third" if besides[1] is None else "base"
            yield from _joined(sentence_words(sentence[besides.end() :][:200]), form)
        always = [clause for clause in _CLAUSE_END.split(sentence) if _EACH.search(clause)]
        for clause in (*_CHOICE.findall(sentence), *always):
            for pattern in (_PASSIVE, _ACTIVE, _PURPOSE):
                yield from _clear(pattern, clause)
        if place < _FIRST:
            for pattern in (_BY_THE_WAY, _MEANS):
                yield from _clear(pattern, sentence)
        if _ANY_METHOD.search(sentence):
            yield Act("Execute", CLEAR, "request", "any method")


def _joined(words: Sequence[str], form: str) -> Iterator[Act]:
    verb = FORMS.get(words[0]) if words else None
    if verb is None or verb.form != form:
        return
    for act in acts_from(words, 0, form):
        if act.category != "Read" and act.strength >= PLAIN and (act.strength == CLEAR or act.verb not in NOUNS_TOO):
            yield act


def _clear(pattern: re.Pattern[str], text: str) -> Iterator[Act]:
    for found in pattern.finditer(text):
        verb = FORMS.get(found[1].lower())
        if verb is None:
            continue
        act = act_of(verb.base, phrase_after(sentence_words(text[found.start(1) :][:200]), 0))
        if act.category != "Read" and act.strength == CLEAR and act.verb not in NOUNS_TOO:
            yield act
