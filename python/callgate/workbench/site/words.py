"""The words of a tool's name: its action, and the thing that the action is about."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from callgate.workbench.catalogue import Category

_WORD: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
_READABLE: Final = re.compile(r"[A-Za-z][A-Za-z0-9_./: -]*")
_LONGEST_NAME: Final = 80
_MOST_WORDS: Final = 8
_LONGEST_WORD: Final = 24

_VERBS: Final[Mapping[Category, str]] = {
    "Read": (
        "analyze answer ask browse calculate check compare convert count crawl decode describe detect diff download "
        "encode estimate export extract fetch find get inspect list lookup monitor parse ping preview query read "
        "resolve retrieve scan search show summarize tail test translate validate verify view watch"
    ),
    "Write": (
        "add append approve archive assign attach cancel clone close comment complete commit configure connect copy "
        "create define disable edit enable import insert invite label link lock log mark merge modify move notify "
        "open patch pin post publish push put register reject rename reply replace report resize restore save "
        "schedule send set share store submit subscribe sync tag unlock update upload upsert write"
    ),
    "Execute": (
        "apply boot build call click compile control deploy drive eval evaluate exec execute install invoke kill "
        "launch navigate press provision reboot restart resume run scale spawn start stop suspend trigger type"
    ),
    "Destructive": (
        "clear delete destroy detach drop erase expire flush format purge remove reset revoke terminate truncate "
        "uninstall unregister wipe"
    ),
    "Financial": "bill buy charge deposit invoice order pay payout purchase refund sell transfer withdraw",
}
"""Verbs as they are in names, under the category that a verb suggests by itself."""

_SUGGESTED: Final[Mapping[str, Category]] = {verb: of for of, verbs in _VERBS.items() for verb in verbs.split()}


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_ALSO_NOUNS: Final = _words(
    "archive bill build call charge check comment control copy count deposit download export format import install "
    "invite invoice label link lock log mark order patch plan post preview process purchase query refund report reset "
    "restart scale scan schedule share start stop store submit tag test transfer trigger type upload view watch"
)
"""Verbs that are nouns where another verb ends the name, as in `order_list`."""

_PROGRAMS: Final = _words(
    "aws azure browser confluence docker figma gcp gh git github gitlab gmail google helm jira k8s kubectl linear mcp "
    "mongo mongodb mysql notion npm page playwright postgres postgresql puppeteer redis shell shopify slack snowflake "
    "stripe supabase terminal terraform tmux vercel"
)
"""Words before a verb that name the program which the tool belongs to, not the thing that it is about."""

_OF_SEVERAL: Final = _words("browse count list search")
"""Verbs whose thing is several, whatever the name says."""

_THIRD_PERSON: Final = {
    "get": "reads", "fetch": "reads", "lookup": "looks up", "exec": "executes", "eval": "evaluates", "put": "writes",
    "post": "posts", "diff": "compares", "upsert": "adds or changes", "sync": "synchronises", "payout": "pays out",
}  # fmt: skip

_ACRONYMS: Final = _words(
    "ai ami api arn aws cdn cli cpu crm css csv db dns ec2 ecs eks gcp gpu html http iam id ip json jwt kms llm mcp "
    "ml pdf pr rds s3 sdk smtp sms sns sql sqs ssh ssl sso tls ttl ui uri url vm vpc vpn xml yaml"
)
_UNCOUNTABLE: Final = _words(
    "access activity advice analytics audio billing capacity code config configuration content context cost data "
    "documentation email enabled feedback health help history info information infrastructure input inventory java "
    "knowledge mail media memory metadata money music news output permission policy pricing progress research schema "
    "security software status storage support syntax text time traffic usage version video weather work"
)
_SMALL_WORDS: Final = _words("a an and all as at by for from in into of on or the to with via")
# Letters whose names begin with a vowel, for the article of an acronym.
_VOWEL_LETTERS: Final = frozenset("aefhilmnorsx")
_A_BEFORE_VOWEL: Final = ("uni", "use", "usa", "eu", "one")


@dataclass(frozen=True, slots=True)
class NameWords:
    """The words of a name that can be read."""

    words: tuple[str, ...]
    """All words in lower case; empty if the name cannot be read."""
    verb: str = ""
    """The verb of the action, as it is in the name; empty if no word is a known verb."""
    things: tuple[str, ...] = ()
    """The words of the thing that the verb is about."""
    group: tuple[str, ...] = ()
    """Words before a verb in the middle: the part of the server that the tool belongs to."""

    @property
    def suggests(self) -> Category | None:
        """The category that the verb suggests by itself."""
        return _SUGGESTED.get(self.verb)

    @property
    def action(self) -> str:
        """The action in the third person, such as `creates an AMI`; empty without a verb."""
        if not self.verb:
            return ""
        third = _THIRD_PERSON.get(self.verb) or _third_person(self.verb)
        thing = (self.verb in _OF_SEVERAL and self.plural) or self.thing
        return f"{third} {thing}" if self.things else third

    @property
    def thing(self) -> str:
        """The thing with its article, such as `an AMI`; `something` if the name has none."""
        if not self.things:
            return "something"
        phrase = " ".join(map(_written, self.things))
        if self.things[0] in _SMALL_WORDS or _is_plural(self.things[-1]) or self.things[-1] in _UNCOUNTABLE:
            return phrase
        if any(word in _SMALL_WORDS for word in self.things):
            return phrase
        return f"{_article(self.things[0])} {phrase}"

    @property
    def plural(self) -> str:
        """The things of many calls, such as `AMIs`; empty if the name has no other form for them."""
        if not self.things or any(word in _SMALL_WORDS for word in self.things):
            return ""
        last = self.things[-1]
        if _is_plural(last) or last in _UNCOUNTABLE:
            return ""
        written = _written(last)
        ending = f"{written[:-1]}ies" if written.endswith("y") and written[-2:-1] not in "aeiou" else f"{written}s"
        if written.endswith(("s", "x", "ch", "sh")):
            ending = f"{written}es"
        return " ".join([*map(_written, self.things[:-1]), ending])


@lru_cache(maxsize=4096)
def words_of(name: str) -> NameWords:
    """The words of a name; none if it is too long, or has characters that names seldom have."""
    if len(name) > _LONGEST_NAME or not _READABLE.fullmatch(name):
        return NameWords(())
    words = tuple(word.lower() for word in _joined(_WORD.findall(name)))
    if not words or len(words) > _MOST_WORDS or any(len(word) > _LONGEST_WORD for word in words):
        return NameWords(())
    number = _verb_at(words)
    if number is None:
        return NameWords(words, things=words)
    before, after = words[:number], words[number + 1 :]
    is_group = bool(after) or _PROGRAMS.issuperset(before)
    return NameWords(words, words[number], things=after if is_group else before, group=before if is_group else ())


def singular(word: str) -> str:
    """The word without the ending of a plural."""
    if word.endswith("ies"):
        return f"{word[:-3]}y"
    return word[:-1] if _is_plural(word) else word


def sentence(text: str) -> str:
    """The text with a capital at its beginning."""
    return text[:1].upper() + text[1:]


def _verb_at(words: tuple[str, ...]) -> int | None:
    """The place of the verb; None without one."""
    # In `list_of_files`, the list is a thing.
    places = [number for number, word in enumerate(words) if word in _SUGGESTED and words[number + 1 :][:1] != ("of",)]
    if not places:
        return None
    last = len(words) - 1
    ends_with_verb = places[-1] == last and words[last] not in _ALSO_NOUNS
    return last if words[places[0]] in _ALSO_NOUNS and ends_with_verb else places[0]


def _joined(words: list[str]) -> list[str]:
    """The words with numbers that belong to the word before them, as in `s3` and `ec2`."""
    joined: list[str] = []
    for word in words:
        if joined and word.isdigit() and f"{joined[-1]}{word}".lower() in _ACRONYMS:
            joined[-1] += word
        else:
            joined.append(word)
    return joined


def _written(word: str) -> str:
    if word in _ACRONYMS:
        return word.upper()
    if word.endswith("s") and word[:-1] in _ACRONYMS:
        return f"{word[:-1].upper()}s"
    return word


def _is_plural(word: str) -> bool:
    return word.endswith("s") and not word.endswith(("ss", "us", "is"))


def _article(word: str) -> str:
    if word in _ACRONYMS:
        return "an" if word[0] in _VOWEL_LETTERS else "a"
    return "an" if word[0] in "aeiou" and not word.startswith(_A_BEFORE_VOWEL) else "a"


def _third_person(verb: str) -> str:
    if verb.endswith("y") and verb[-2:-1] not in "aeiou":
        return f"{verb[:-1]}ies"
    return f"{verb}es" if verb.endswith(("s", "x", "ch", "sh", "z")) else f"{verb}s"
