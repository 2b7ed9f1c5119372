"""Words of names and sentences, and the forms of verbs."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

Form = Literal["base", "third", "gerund", "past"]


def word_set(words: str) -> frozenset[str]:
    """The words of a text, which stand for themselves in tables."""
    return frozenset(words.split())


_SHORTEST: Final = 4
_PARTS: Final = re.compile(r"[^\W_]+")
# `getHTTPResponse` is three words, `list2Items` too; `S3Bucket` and `EC2` keep their digits.
_HUMPS: Final = re.compile(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z]{2,})|(?<=\d)(?=[A-Z][a-z]{2,})")
_TOKENS: Final = re.compile(r"[^\W\d_][\w'-]*|[,;:()/&]")

_DOUBLED: Final = word_set(
    """
        ban chat commit cut drag drop get hit knit label let log map mop nap pad pin plan plot pop put quit rip
        run scan scrap set ship shop shut skim skip snap split spin star step stop strip submit swap tag tap tip
        top transfer trap trim unpin untag unwrap wrap zip cancel permit refer begin forget reset rerun drop
        unset
    """
)
_IRREGULAR_PAST: Final = {
    "sent": "send", "paid": "pay", "sold": "sell", "bought": "buy", "run": "run", "set": "set", "put": "put",
    "built": "build", "made": "make", "written": "write", "wrote": "write", "read": "read", "taken": "take",
    "given": "give", "found": "find", "held": "hold", "shut": "shut", "reset": "reset", "overwritten": "overwrite",
    "withdrawn": "withdraw",
}  # fmt: skip


class Verb(NamedTuple):
    """A form of a known verb."""

    base: str
    form: Form


def name_words(name: str) -> list[str]:
    """The words of a name in lower case: camelCase, kebab-case, snake_case, dots and slashes separate them."""
    plain = unicodedata.normalize("NFKC", name)
    return [word.lower() for part in _PARTS.findall(plain) for word in _HUMPS.split(part)]


def sentence_words(sentence: str) -> list[str]:
    """The words of a sentence in lower case, with the marks that separate its parts."""
    return [found.lower().strip("'-") for found in _TOKENS.findall(sentence)]


def verb_forms(bases: Iterable[str]) -> Mapping[str, Verb]:
    """Every form of the verbs; of two verbs with one form the first one is kept."""
    forms: dict[str, Verb] = {}
    every = list(bases)
    for base in every:
        forms.setdefault(base, Verb(base, "base"))
    for base in every:
        for form, kind in _inflected(base):
            forms.setdefault(form, Verb(base, kind))
    known = frozenset(every)
    for past, base in _IRREGULAR_PAST.items():
        if base in known:
            forms.setdefault(past, Verb(base, "past"))
    return forms


def _inflected(base: str) -> Iterable[tuple[str, Form]]:
    if base.endswith("y") and base[-2:-1] not in "aeiou":
        yield base[:-1] + "ies", "third"
        yield base[:-1] + "ied", "past"
        yield base + "ing", "gerund"
        return
    yield base + ("es" if base.endswith(("s", "x", "z", "ch", "sh", "o")) else "s"), "third"
    if base.endswith("e") and not base.endswith(("ee", "ye")):
        yield base[:-1] + "ing", "gerund"
        yield base + "d", "past"
        return
    stem = base + base[-1] if base in _DOUBLED else base
    yield stem + "ing", "gerund"
    yield stem + "ed", "past"
    if base == "cancel":
        yield "canceling", "gerund"
        yield "canceled", "past"


@lru_cache(maxsize=4096)
def singular(word: str) -> str:
    """A noun without the ending of its plural, well enough to compare it with a list."""
    if word.endswith("ies") and len(word) > _SHORTEST:
        return word[:-3] + "y"
    if word.endswith(("sses", "xes", "ches", "shes")):
        return word[:-2]
    if word.endswith("s") and not word.endswith(("ss", "us", "is")) and len(word) >= _SHORTEST:
        return word[:-1]
    return word
