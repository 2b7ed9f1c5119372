"""Text on pages: our own sentences, and foreign text in them that can neither be markup nor hide anything."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from markupsafe import Markup, escape

from callgate.text import is_text, is_unseen, masked, plain_line, visible

LONGEST_NAME: Final = 120
"""Characters of a foreign name in headings and sentences."""

_LONGEST_SECRET: Final = 256

_UNSEEN_BLANK: Final = re.compile(r"^ |(?<= ) | $")
"""A blank that browsers do not show, or not as one of two."""

_CODE: Final = re.compile(r"`([^`]+)`")
_VALUE: Final = re.compile(r"\{(\w+)\}")


def say(template: str, **values: str) -> Markup:
    """A sentence of ours as HTML.

    Args:
        template: The sentence. Words in backticks are code, words in braces are values.
        **values: Foreign text, which is escaped; `Markup` stays as it is.
    """
    # Half a million sentences are made for 10,000 tools: `Markup.format` would parse each of them again.
    pieces = _pieces(template)
    written = [escape(values[piece]) if index % 2 else piece for index, piece in enumerate(pieces)]
    return Markup("".join(written))  # noqa: S704  the sentence and its values are escaped


@lru_cache(maxsize=1024)
def _pieces(template: str) -> tuple[str, ...]:
    """The sentence as HTML around its values, and the names of these, in turn."""
    # Escaping leaves braces alone.
    return tuple(_VALUE.split(str(_with_code(template))))


def quoted_prose(text: str) -> Markup:
    """Foreign prose, apart from the direction of the text around it; words in backticks are code as in ours."""
    return Markup("<bdi>{}</bdi>").format(_with_code(text))


def _with_code(text: str) -> Markup:
    return Markup(_CODE.sub(r"<code>\1</code>", str(escape(text))))  # noqa: S704  escaped before


def code(text: str) -> Markup:
    """A short foreign text as code, which stands apart from the direction of the text around it."""
    return Markup("<code><bdi>{}</bdi></code>").format(text)


def name_of(name: str, longest: int = LONGEST_NAME) -> str:
    """A foreign name on one line: nothing in it is invisible, and a long one is cut."""
    # No character becomes shorter than one, so the rest of a long name need not be looked at.
    return cut(seen(name[: longest + 1]), longest)


def line_of(text: str, longest: int) -> str:
    """Foreign prose as one line, without secrets; a long one is cut."""
    # Four times as much, because white space is joined.
    text = text[: longest * 4]
    line = " ".join(text.split()) if is_plain(text.replace("\n", " ")) else plain_line(replaced(text))
    return cut(masked(line), longest)


def seen(text: str) -> str:
    """A foreign text with every invisible character escaped: also line breaks, and all blanks but one between words."""
    if not is_plain(text):
        text = "".join(_escaped(one) if one.isspace() and one != " " else one for one in visible(replaced(text)))
    return _UNSEEN_BLANK.sub(lambda found: _escaped(found[0]), text)


def is_plain(text: str) -> bool:
    """True if it has nothing but ASCII on one line. Most texts are plain, and need no look at each character."""
    return text.isascii() and text.isprintable()


def replaced(text: str) -> str:
    """The text without lone surrogates, which no file of UTF-8 can hold."""
    if is_text(text):
        return text
    return "".join(_escaped(one) if "\ud800" <= one <= "\udfff" else one for one in text)


def _escaped(character: str) -> str:
    return f"\\u{{{ord(character):x}}}"


def cut(text: str, longest: int) -> str:
    """The text, or its beginning with an ellipsis."""
    return text if len(text) <= longest else f"{text[: longest - 1].rstrip()}…"


def lines_of(text: str, longest: int) -> str:
    """The beginning of a foreign text of several lines, without secrets.

    Line breaks and tabs stay, and everything else that is invisible is escaped.
    """
    # A secret at the end is masked before it is cut, so that no half of it stays.
    kept = masked(replaced(text[: longest + _LONGEST_SECRET]))[:longest]
    kept = "\n".join(line.rstrip() for line in kept.split("\n"))
    if is_plain(kept.replace("\n", "").replace("\t", "")):
        return kept
    return "".join(one if one in "\n\t" or not is_unseen(one) else visible(one) for one in kept)


def listed(words: list[str]) -> str:
    """`a, b and c`."""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def counted(number: int, what: str) -> str:
    """A number with its noun."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"
