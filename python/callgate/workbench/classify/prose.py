"""Descriptions as sentences: what a tool says of itself, apart from examples, arguments and other tools."""

# ruff: noqa: E501  a pattern is one line, as long as it is
from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

from callgate.workbench.classify.acts import ARTICLES, NOUNS_AFTER, NOUNS_TOO, Act, act_of, acts_from, phrase_after
from callgate.workbench.classify.objects import INFORMATION
from callgate.workbench.classify.vocabulary import CLEAR, FORMS, PLAIN, VAGUE
from callgate.workbench.classify.words import name_words, sentence_words, singular, word_set

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

LONGEST: Final = 16_000
"""Characters of a description that are read for its meaning; what follows is searched for poison alone."""

_LEADS: Final = 3
"""Sentences at the beginning that may say what the tool does."""
_ADJECTIVES: Final = 2
"""Words before the verb of such a sentence: `batch delete`, `full text search`."""

_FENCED: Final = re.compile(r"```.*?(?:```|\Z)|~~~.*?(?:~~~|\Z)", re.DOTALL)
_SECTION: Final = re.compile(
    r"^[ \t]*(?:#{1,6}[ \t]*|\*\*|__)?"
    r"(?:args?|arguments?|parameters?|params?|inputs?|returns?|outputs?|raises?|throws|examples?|example usage|"
    r"sample[ \w]*|prerequisites?|requirements?|usage[ \w]*|see also|related[ \w]*|response[ \w]*|notes?|when to use[ \w]*|"
    r"workflow[ \w]*|next steps?|use cases?|tips?|best practices|error handling|permissions?|supported \w+ codes|"
    r"required parameters|optional parameters|output format|return value|attributes|limitations)"
    r"[ \t]*(?:\*\*|__)?[ \t]*:?[ \t]*(?:\*\*|__)?[ \t]*$",
    re.IGNORECASE | re.MULTILINE,
)
_INLINE_SECTION: Final = re.compile(r"\b(?:Args|Arguments|Parameters|Params|Returns|Raises|Examples?|Prerequisites):\s")
_SENTENCE_END: Final = re.compile(r"(?<=[.!?])\s+|\n\s*\n|\n\s*[-*\u2022]\s+|\n\s*\d+[.)]\s+|\n(?=\s*#)")
_LABEL: Final = re.compile(
    r"^[^A-Za-z\n]*(?:\[[^\]]{1,40}\]|\{\})?[^\w\"'`(]*(?:[A-Z][\w ,/-]{1,40}:\s+(?=\w)|[A-Z][A-Z #\d'-]{3,60} - )?"
)
_OPENINGS: Final = re.compile(
    r"^(?:please\s+)?(?:"
    r"(?:this|the)\s+(?:mcp\s+)?(?:tool|function|operation|action|command|method|endpoint|api|call|prompt|resource)\s+"
    r"(?:is\s+used\s+to|is\s+for|can\s+be\s+used\s+to|can\s+be\s+used\s+for|will|can|allows?\s+(?:you\s+|users?\s+|agents?\s+)?to|"
    r"lets?\s+you|enables?\s+(?:you\s+to|users?\s+to)?|helps?\s+(?:you\s+|users?\s+)?(?:to\s+)?|is\s+designed\s+to|attempts?\s+to)?\s*|"
    r"it\s+(?:will\s+|can\s+)?|"
    r"use\s+(?:this|it|the)(?:\s+(?:tool|function))?(?:\s+(?:when|if|whenever)\s+(?:you|the\s+user)\s+(?:need|want|wish|ask)s?)?\s+(?:to|for)\s+|"
    r"use\s+(?:when\s+you\s+need\s+)?to\s+|used\s+(?:to|for)\s+|useful\s+(?:for|to)\s+|"
    r"(?:allows?|lets?|enables?|helps?)\s+(?:(?:you|users?|agents?|an?\s+agent|the\s+user|clients?|one|claude|models?)\s+)?(?:to\s+)?|"
    r"(?:an?\s+|the\s+|simple\s+|mcp\s+|helper\s+|utility\s+)*(?:tool|function|utility|helper|endpoint|api|interface|wrapper|method|command|request|way)\s+"
    r"(?:used\s+)?(?:to|for|that|which)\s+(?:can\s+|allows?\s+(?:you\s+)?to\s+|lets?\s+you\s+|is\s+used\s+to\s+)?|"
    r"(?:request|ability|attempts?|tries|try|needed|designed)\s+(?:to\s+)|you\s+can\s+|(?:we|i)\s+(?:will\s+)?|"
    r"(?:provides?|offers?|exposes?)\s+(?:(?:the|an?|comprehensive|complete|full|various|multiple)\s+)*"
    r"(?:ability|capability|capabilities|operations?|functions?|functionality|tools?|interface|way|crud\s+operations|methods?|access|options?)\s+"
    r"(?:to|for|of)\s+"
    r")",
    re.IGNORECASE,
)  # fmt: skip
_RELATIVE: Final = re.compile(r"\b(?:that|which|to|for)\s+([a-z][a-z-]+)\b", re.IGNORECASE)
_NEGATED: Final = re.compile(
    r"\b(?:do(?:es)?|did|will|can|could|should|must|may|is|are)(?:\s+not|n['\u2019]t)\b[^.;\n]*|"
    r"\b(?:cannot|never|without|won['\u2019]t|can['\u2019]t|nor)\b[^.;,\n]*|"
    r"\b(?:instead\s+of|rather\s+than|unlike|as\s+opposed\s+to|no\s+longer|not)\b[^.;,\n]*|"
    r"\bno\s+\w+\s+(?:is|are|will\s+be|gets?)\s+\w+",
    re.IGNORECASE,
)
_GUIDANCE: Final = re.compile(
    r"^\W*(?:use|to|if|when|whenever|for|before|after|once|you|call|see|note|always|only|ensure|make\s+sure|first|then|"
    r"best|ideal|consider|prefer|example|e\.g|requires?|required|optional|default|unless|while|please|run|in\s+order|"
    r"for\s+example|instead|alternatively|as\s+an?|must|should|set|pass|provide|include|specify|returns?)\b",
    re.IGNORECASE,
)
_SUBJECT: Final = re.compile(
    r"^\W*(?:(?:warning|caution|danger|important|note|critical|attention)\W+)*"
    r"(?:(?:this|the)\s+(?:tool|function|operation|action|command|method|call)|this|it)\s+"
    r"(?:will\s+|can\s+|may\s+)?(?:also\s+|then\s+|permanently\s+|immediately\s+|irreversibly\s+|automatically\s+|silently\s+)*"
    r"(?=[a-z])",
    re.IGNORECASE,
)
_PASSIVE: Final = re.compile(
    r"\b(?:will\s+be|is|are|gets?)\s+(?:also\s+|then\s+)?(?:permanently|irreversibly|irrevocably)\s+"
    r"(?:deleted|removed|destroyed|erased|lost|purged|wiped|overwritten)|"
    r"\bpermanently\s+(?:deletes?|removes?|destroys?|erases?|wipes?|purges?)\b|"
    r"\b(?:data|all\s+\w+)\s+will\s+be\s+(?:lost|deleted|wiped|erased|destroyed)\b|"
    r"\b(?:completely\s+)?overwrit(?:e|es|ing|ten)\s+(?:(?:the|any|an|existing|entire)\s+)*(?:existing\s+)?files?\b|"
    r"\b(?:completely|entirely)\s+overwrit\w+",
    re.IGNORECASE,
)
_FINAL: Final = re.compile(
    r"\b(?:(?:cannot|can\s?not|can['\u2019]t)\s+be\s+(?:undone|reversed|recovered)|irreversibl[ey]|irrevocabl[ey])\b",
    re.IGNORECASE,
)
_READ_ONLY: Final = re.compile(
    r"\bread[- ]?only\b|\bonly\s+(?:reads?|SELECT)\b|\bdoes(?:\s+not|n['\u2019]t)\s+(?:modify|change|alter|write|make\s+any\s+changes|make\s+changes)\b|"
    r"\bnever\s+(?:modifies|writes|changes)\b|\bwithout\s+(?:modifying|changing|making\s+changes|executing)\b|"
    r"\bno\s+(?:changes|modifications)\s+(?:are|will\s+be)\s+made\b|\bno\s+side[- ]effects\b|\bnon-?destructive\b",
    re.IGNORECASE,
)
_OWN_READ_ONLY: Final = re.compile(
    r"\W*(?:this\s+is\s+(?:a\s+)?|strictly\s+|always\s+|safe\W+)?(?:read[- ]?only|non-?destructive|no\s+side|nothing\s+is|no\s+changes|does\s+not\s+modify|never\s+modif)",
    re.IGNORECASE,
)
_WRITES: Final = re.compile(
    r"\bWRITE\b|\ballow[-_]write\b|\b(?:write|mutating|mutation|destructive)\s+(?:operations?|permission|access|mode)\b|\bread\s+and\s+write\b"
)
_CONDITIONAL: Final = re.compile(
    r"\bread[- ]?only\s+(?:mode|replica|flag|unless|by\s+default|access\s+is|parameter|attribute|file|field|if|endpoint|user|role)|"
    r"\b(?:if|unless|when|default|non)\b[^.\n]{0,40}\bread[- ]?only|\bread[- ]?only\b[^.\n]{0,40}\b(?:unless|by\s+default|or\s+(?:read[- ]?)?write|if)\b|"
    r"(?:for|use|see)\s+read[- ]?only",
    re.IGNORECASE,
)
_UNITS: Final = word_set(
    """
        operations operation actions action commands command modes mode functions methods
    """
)
_BULLET: Final = re.compile(
    r"^[ \t]*[-*\u2022][ \t]*[*_`'\"]{0,3}([A-Za-z][\w-]{1,60})[*_`'\"]{0,3}[ \t]*(?::|-|\u2013|\u2014|\()",
    re.MULTILINE,
)
_OFFER: Final = re.compile(
    r"\b(?:this\s+tool|it)\s+(?:also\s+)?(?:provides?|allows?|supports?|lets?|enables?|handles?|can|offers?)\b[^.\n]*(?:\n(?!\s*\n)[^.\n]+)*",
    re.IGNORECASE,
)
_OPERATION_ARGUMENT: Final = re.compile(
    r"^[^\n]{0,40}\b(?:operations?|actions?|command|subcommand|method|mode)\b[^\n]{0,60}?(?:\([^)\n]*\))?\s*[:=][^\n]*$|"
    r"\b(?:operations?|actions?|modes?)\s*[:=]\s*[^\n]+(?:\n\s*[-*\u2022][^\n]+)*|"
    r"\b(?:with|supports?|supported|available|following|valid)\s+(?:the\s+)?(?:following\s+)?(?:operations?|actions?|crud)[^\n]*(?:\n\s*[-*\u2022][^\n]+)*|"
    r"\b(?:operations?|actions?)\s+(?:for|such\s+as|like|including|to)\s[^\n.]+",
    re.IGNORECASE | re.MULTILINE,
)


class Prose(NamedTuple):
    """A description, read once."""

    lead: tuple[Act, ...]
    """Acts of the first sentence that has one."""
    lead_text: str
    statements: tuple[Act, ...]
    """Acts of later sentences whose subject is the tool."""
    sentences: tuple[str, ...]
    """The sentences without what the tool does not do."""
    is_final: bool
    """It says that its effect cannot be undone."""
    destroys: str
    """Words that say that data is destroyed or overwritten; empty if there are none."""
    is_read_only: bool
    """It says that it changes nothing, and not under a condition."""
    body: str
    """The description without code blocks."""


def read_prose(description: str) -> Prose:
    """Reads a description for what the tool does."""
    body = _FENCED.sub("\n", description[:LONGEST])
    own = _own_part(body)
    affirmed = _NEGATED.sub(" ", own)
    sentences = [one.strip() for one in _SENTENCE_END.split(affirmed) if one and any(map(str.isalpha, one))]
    lead: list[Act] = []
    lead_text = ""
    rest: list[str] = []
    for place, sentence in enumerate(sentences):
        if lead:
            rest.append(sentence)
        elif place < _LEADS:
            lead = lead_acts(sentence)
            lead_text = sentence if lead else lead_text
    found = _PASSIVE.search(affirmed)
    is_read_only = _says_read_only(own)
    return Prose(
        tuple(lead), lead_text, tuple(_statements(rest)), tuple(sentences), _FINAL.search(own) is not None,
        " ".join(found[0].split()) if found else "", is_read_only, body,
    )  # fmt: skip


def _says_read_only(own: str) -> bool:
    """True if the first sentence, or a later one about the tool, says that it only reads, and none that it may write."""
    if not _READ_ONLY.search(own) or _CONDITIONAL.search(own) or _WRITES.search(own):
        return False
    sentences = [one for one in _SENTENCE_END.split(own) if one and any(map(str.isalpha, one))]
    return any(
        _READ_ONLY.search(one) and (not place or _SUBJECT.match(one) or _OWN_READ_ONLY.match(one))
        for place, one in enumerate(sentences)
    )


def _own_part(body: str) -> str:
    """The text before the first section about arguments or examples; all of it if nothing stands before."""
    ends = [found.start() for pattern in (_SECTION, _INLINE_SECTION) if (found := pattern.search(body))]
    own = body[: min(ends)] if ends else body
    return own if any(map(str.isalpha, own)) else body


def lead_acts(sentence: str) -> list[Act]:
    """The acts of a sentence that says what a tool does."""
    labelled = _LABEL.match(sentence)
    text = sentence[labelled.end() :] if labelled else sentence
    first = FORMS.get(next(iter(sentence_words(sentence[:40])), ""))
    order = (sentence, text) if first is not None and first.form in ("base", "third") else (text, sentence)
    for candidate in dict.fromkeys(order):
        acts = _head_acts(candidate)
        if acts:
            return acts
    return []


def _head_acts(text: str) -> list[Act]:
    for _ in range(3):
        shorter = _OPENINGS.sub("", text, count=1)
        if shorter == text:
            break
        text = shorter
    words = sentence_words(text)
    index = _head_index(words)
    if index is not None:
        acts = acts_from(words, index, FORMS[words[index]].form)
        if acts[0].verb in NOUNS_TOO and not set(words[index + 1 : index + 2]) & ARTICLES:
            # `Build logs` may be a noun, `Build the image` is not.
            acts[0] = acts[0]._replace(strength=min(acts[0].strength, PLAIN))
        if acts[0].verb in {"provide", "give"} and acts[0].category == "Read":
            return _relative(text) if not words[index + 1 :] else acts
        return acts
    return _relative(text) or _noun_phrase(words)


def _head_index(words: Sequence[str]) -> int | None:
    """The place of a sentence's verb: its first word, after adverbs and the adjectives of a search."""
    for place, word in enumerate(words[:5]):
        verb = FORMS.get(word)
        if verb is not None and verb.form in ("base", "third", "gerund"):
            following = words[place + 1] if place + 1 < len(words) else ""
            if _is_plural(words, place):
                return None
            if place == 0 and verb.form == "gerund" and following in ("tool", "is", "service"):
                return None
            return place
        if place >= _ADJECTIVES or not (word.endswith("ly") or word in _ADVERBS):
            return None
    return None


def _is_plural(words: Sequence[str], place: int) -> bool:
    """True for nouns that look like verbs: `Commits of a branch`, `Runs with their times`."""
    following = words[place + 1 : place + 2]
    verb = FORMS[words[place]]
    return list(following) == ["of"] or (
        verb.form == "third" and verb.base in NOUNS_TOO and list(following) == ["with"]
    )


_ADVERBS: Final = word_set(
    """
        batch bulk mass force soft hard semantic reverse full-text web quick deep async asynchronous also read
        write and to full text hybrid vector advanced fuzzy safe smart auto
    """
)


def _relative(text: str) -> list[Act]:
    """The acts of `... that deletes`, `... for invoking`, `... to query`."""
    for found in _RELATIVE.finditer(text[:400]):
        verb = FORMS.get(found[1].lower())
        joint = found[0].split()[0].lower()
        wanted = {"that": "third", "which": "third", "to": "base", "for": "gerund"}[joint]
        if verb is not None and verb.form == wanted:
            acts = acts_from(sentence_words(text[found.start(1) :]), 0, verb.form)
            if acts:
                return acts
    return []


def _noun_phrase(words: Sequence[str]) -> list[Act]:
    """A reading act where a sentence begins with information: `Current weather of a city`."""
    if words and words[0] in FORMS and _is_plural(words, 0):
        return [Act("Read", PLAIN, words[0], words[0])]
    for word in words[:5]:
        if word in {"of", "for", "from", "in", ",", ":", "(", "with", "about"}:
            return []
        if word in INFORMATION or singular(word) in INFORMATION:
            return [Act("Read", PLAIN, word, word)]
    return []


def _statements(sentences: Sequence[str]) -> Iterator[Act]:
    for sentence in sentences:
        subject = _SUBJECT.match(sentence)
        if subject is None:
            words = sentence_words(sentence[:200])
            if not words or _GUIDANCE.match(sentence) or (words[0] not in FORMS or FORMS[words[0]].form != "third"):
                continue
            yield from acts_from(words, 0, "third")
            continue
        words = sentence_words(sentence[subject.end() :][:200])
        if words and words[0] in FORMS and FORMS[words[0]].form in ("base", "third"):
            yield from acts_from(words, 0, FORMS[words[0]].form)


def listed_operations(body: str) -> list[Act]:
    """The acts that the text of a managing tool lists as its operations; at least two, or none."""
    found: dict[str, Act] = {}
    affirmed = _NEGATED.sub(" ", body)
    for block in _OPERATION_ARGUMENT.finditer(affirmed):
        words = sentence_words(block[0].replace("_", " ").replace("-", " "))
        for place, word in enumerate(words):
            verb = FORMS.get(word)
            if verb is None or verb.form == "past" or word in _UNITS or verb.base in _NOT_OPERATIONS:
                continue
            after = phrase_after(words, place)[:2]
            act = act_of(verb.base, after)
            if act.strength == CLEAR and verb.base not in NOUNS_TOO and not set(after[:1]) & NOUNS_AFTER:
                found.setdefault(verb.base, act)
    for bullet in _BULLET.finditer(body):
        _add(found, name_words(bullet[1]))
    for offer in _OFFER.finditer(affirmed):
        _add(found, sentence_words(offer[0]), every=True)
    return list(found.values()) if len(found) > 1 else []


def _add(found: dict[str, Act], words: Sequence[str], *, every: bool = False) -> None:
    for place, word in enumerate(words):
        verb = FORMS.get(word)
        if (
            verb is None
            or verb.form not in ("base", "gerund")
            or verb.base in _NOT_OPERATIONS
            or (every and word in NOUNS_TOO)
            or word in _UNITS
        ):
            continue
        act = act_of(verb.base, phrase_after(words, place)[:2])
        if act.strength != VAGUE:
            found.setdefault(verb.base, act)
        if not every:
            return


_NOT_OPERATIONS: Final = word_set(
    """
        like use set support access perform require has can is do help need see mode name go make give provide choose
        note work
    """
)
