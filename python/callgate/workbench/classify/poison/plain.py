"""Texts as a model reads them: without disguise by look-alike letters, invisible characters, spacing or encoding."""

# ruff: noqa: RUF001  the table is of letters that look alike
from __future__ import annotations

import base64
import binascii
import codecs
import html
import re
import unicodedata
import urllib.parse
from typing import TYPE_CHECKING, Final

from callgate.text import is_unseen

if TYPE_CHECKING:
    from collections.abc import Iterator

_LOOK_ALIKES: Final = str.maketrans(
    {
        # Cyrillic.
        "а": "a", "в": "b", "с": "c", "ԁ": "d", "е": "e", "һ": "h", "і": "i", "ј": "j", "к": "k", "ӏ": "l", "м": "m",
        "о": "o", "р": "p", "ԛ": "q", "ѕ": "s", "т": "t", "у": "y", "ѵ": "v", "ԝ": "w", "х": "x", "ь": "b", "п": "n",
        "А": "A", "В": "B", "С": "C", "Е": "E", "Н": "H", "І": "I", "Ј": "J", "К": "K", "М": "M", "О": "O", "Р": "P",
        "Ѕ": "S", "Т": "T", "У": "Y", "Х": "X", "Ԍ": "G", "Ӏ": "I",
        # Greek.
        "α": "a", "β": "b", "ε": "e", "η": "n", "ι": "i", "κ": "k", "ν": "v", "ο": "o", "ρ": "p", "τ": "t", "υ": "u",
        "χ": "x", "γ": "y", "Α": "A", "Β": "B", "Ε": "E", "Ζ": "Z", "Η": "H", "Ι": "I", "Κ": "K", "Μ": "M", "Ν": "N",
        "Ο": "O", "Ρ": "P", "Τ": "T", "Υ": "Y", "Χ": "X",
        # Armenian, Latin letters of other alphabets, and signs.
        "ո": "n", "ս": "u", "օ": "o", "հ": "h", "ց": "g", "ɡ": "g", "ı": "i", "ɩ": "i", "ʟ": "l", "ɴ": "n", "ʀ": "r",
        "ᴀ": "a", "ʙ": "b", "ᴄ": "c", "ᴅ": "d", "ᴇ": "e", "ɢ": "g", "ʜ": "h", "ɪ": "i", "ᴊ": "j", "ᴋ": "k", "ᴍ": "m",
        "ᴏ": "o", "ᴘ": "p", "ᴛ": "t", "ᴜ": "u", "ᴠ": "v", "ᴡ": "w", "ʏ": "y", "ᴢ": "z", "ꜱ": "s", "’": "'", "‘": "'",
        "“": '"', "”": '"', "–": "-", "—": "-",
    }
)  # fmt: skip
_LEET: Final = str.maketrans("013457@$!", "oieastasi")
# It begins where none of its characters is before: each run of them is looked at once.
_LEET_WORD: Final = re.compile(
    r"(?<![\w@$!])(?=[\w@$!]*[A-Za-z])(?=[\w@$!]*[013457@$!])[A-Za-z013457@$!]{4,}(?![\w@$])"
)
_SPACED: Final = re.compile(r"\b(?:[A-Za-z][ ._*~-]){4,}[A-Za-z]\b")
_BASE64: Final = re.compile(r"(?<![\w+/=-])[A-Za-z0-9+/_-]{24,}={0,2}(?![\w+/=-])")
_HEX: Final = re.compile(r"(?<![0-9A-Za-z])(?:(?:0x|\\x)?[0-9A-Fa-f]{2}[ ,:]?){16,}(?![0-9A-Za-z])")
_ESCAPES: Final = re.compile(r"(?:\\u[0-9A-Fa-f]{4}|\\x[0-9A-Fa-f]{2}|%[0-9A-Fa-f]{2}|&#x?[0-9A-Fa-f]+;)")
_MARKUP: Final = re.compile(r"(?<=[a-z])(?:\*{1,2}|~~|`)(?=[a-z])")
_SPACE: Final = re.compile(r"\s+")
_TAGS: Final = 0xE0000
_READABLE: Final = 0.9
MOST_BLOBS: Final = 20


def look(text: str) -> str:
    """The text with look-alike letters replaced and invisible characters removed."""
    if text.isascii():
        return text
    unseen = {ord(one): _of_tag(one) for one in set(text) if one not in "\n\t\r" and is_unseen(one)}
    composed = unicodedata.normalize("NFKC", text.translate(unseen) if unseen else text)
    # Only letters of mixed words are disguise; a Russian sentence stays as it is for its own patterns.
    return " ".join(word if word.isascii() else _mixed(word) for word in composed.split(" "))


def _mixed(word: str) -> str:
    replaced = word.translate(_LOOK_ALIKES)
    return replaced if replaced.isascii() or any("a" <= one.lower() <= "z" for one in word) else word


def _of_tag(character: str) -> str:
    """The letter that a Unicode tag character stands for; empty for other characters."""
    code = ord(character) - _TAGS
    return chr(code) if " " <= chr(max(code, 0)) <= "~" else ""


def plain(text: str) -> str:
    """One line in lower case, for patterns."""
    return _SPACE.sub(" ", look(text)).lower()


def readings(text: str) -> Iterator[tuple[str, str]]:
    """The text and what is written in it in disguise, each with the name of the disguise, ready for patterns."""
    first = plain(text)
    yield "", first
    if " " not in first and "_" in first:
        # The name of an argument, which a model reads as words.
        yield "", first.replace("_", " ")
    bare = _MARKUP.sub("", first)
    if bare != first:
        yield "markup inside words", bare
    if _LEET_WORD.search(first):
        yield "digits in place of letters", _LEET_WORD.sub(lambda found: found[0].translate(_LEET), first)
    if _SPACED.search(first):
        yield (
            "letters apart",
            re.sub(r"\s", " ", _SPACED.sub(lambda found: re.sub(r"[ ._*~-]", "", found[0]), look(text).lower())),
        )
    if _ESCAPES.search(text):
        yield "escape sequences", plain(_unescaped(text))
    for blob in _blobs(look(text)):
        yield "encoded text", plain(blob)
    if "vtaber" in first or "flfgrz" in first or "cebzcg" in first or "vafgehpgvba" in first:
        yield "rot13", codecs.encode(first, "rot13")
    if "erongi" in first or "snoitcurtsni" in first:
        yield "reversed text", first[::-1]


def _unescaped(text: str) -> str:
    decoded = re.sub(r"\\u([0-9A-Fa-f]{4})|\\x([0-9A-Fa-f]{2})", lambda found: chr(int(found[1] or found[2], 16)), text)
    return html.unescape(urllib.parse.unquote(decoded))


def _blobs(text: str) -> Iterator[str]:
    """Readable texts in base64 and hex."""
    for place, found in enumerate(_BASE64.finditer(text)):
        if place == MOST_BLOBS:
            break
        raw = found[0].rstrip("=").replace("-", "+").replace("_", "/")
        try:
            decoded = base64.b64decode(raw + "=" * (-len(raw) % 4))
        except (binascii.Error, ValueError):
            continue
        if (readable := _readable(decoded)) is not None:
            yield readable
    for place, found in enumerate(_HEX.finditer(text)):
        if place == MOST_BLOBS:
            break
        digits = re.sub(r"0x|\\x|[ ,:]", "", found[0])
        if len(digits) % 2 == 0 and (readable := _readable(bytes.fromhex(digits))) is not None:
            yield readable


def _readable(raw: bytes) -> str | None:
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        return None
    letters = sum(one.isalpha() or one in " .,:;!?'\"/-_@\n" for one in text)
    return text if text and letters >= _READABLE * len(text) and " " in text else None
