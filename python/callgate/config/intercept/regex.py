"""Regular expressions of Go, written as those of Rust's `regex` crate that match the same texts."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Final

from callgate.text import is_text

_PERL: Final = {"d": "0-9", "s": r"\t\n\f\r ", "w": "0-9A-Za-z_"}
"""Classes that hold ASCII characters alone in Go; in Rust they hold those of Unicode."""

_POSIX: Final = frozenset(
    "alnum alpha ascii blank cntrl digit graph lower print punct space upper word xdigit".split()  # noqa: SIM905
)
_CONTROL: Final = {"a": 7, "f": 12, "t": 9, "n": 10, "r": 13, "v": 11}
_META: Final = frozenset("\\.+*?()|[]{}^$#&-~")
_MOST_REPEATS: Final = 1000


class UnsupportedRegexError(ValueError):
    """The expression is not valid in Go, or cannot be written for Rust; the text says why."""


def translate(pattern: str) -> str:
    """The expression for Rust.

    Raises:
        UnsupportedRegexError: See there.
    """
    return _Translation(pattern).expression()


@dataclass
class _Translation:
    pattern: str
    at: int = 0
    depth: int = 0

    def expression(self) -> str:
        out: list[str] = []
        # A quantifier needs something before it, and none may follow another.
        repeatable = False
        while self.at < len(self.pattern):
            character = self.pattern[self.at]
            if character in "*+?" or (character == "{" and self._count(look=True)):
                if not repeatable:
                    raise UnsupportedRegexError(f"the quantifier at character {self.at + 1} has nothing to repeat")
                out.append(self._quantifier())
                repeatable = False
                continue
            text, repeatable = self._item(character)
            out.append(text)
        if self.depth:
            raise UnsupportedRegexError("expected a `)`")
        return "".join(out)

    def _item(self, character: str) -> tuple[str, bool]:
        if character == "(":
            return self._group()
        if character == ")":
            if not self.depth:
                raise UnsupportedRegexError(f"the `)` at character {self.at + 1} closes nothing")
            self.depth -= 1
            self.at += 1
            return ")", True
        if character == "[":
            return self._class(), True
        if character == "\\":
            return self._escape(), True
        self.at += 1
        if character in "^$.":
            return character, True
        return (character, False) if character == "|" else (_literal(character), True)

    def _quantifier(self) -> str:
        if self.pattern[self.at] == "{":
            text = self._count()
        else:
            text = self.pattern[self.at]
            self.at += 1
        if self._next("?"):
            text += "?"
        return text

    def _count(self, *, look: bool = False) -> str:
        """A `{n}`, `{n,}` or `{n,m}`; empty if the brace is an ordinary character, as everything else is in Go."""
        end = self.pattern.find("}", self.at)
        least, comma, most = self.pattern[self.at + 1 : max(end, self.at + 1)].partition(",")
        if end < 0 or not _is_number(least) or (most and not _is_number(most)):
            return ""
        low = int(least)
        high = int(most) if most else low
        if max(low, high) > _MOST_REPEATS or high < low:
            message = f"the repetition `{self.pattern[self.at : end + 1]}` is not from 0 to {_MOST_REPEATS}"
            raise UnsupportedRegexError(message)
        if not look:
            self.at = end + 1
        return f"{{{low}{comma}{high if most else ''}}}"

    def _group(self) -> tuple[str, bool]:
        self.depth += 1
        self.at += 1
        if not self._next("?"):
            return "(", False
        for mark in ("P<", "<"):
            if self._next(mark):
                end = self.pattern.find(">", self.at)
                name = self.pattern[self.at : end]
                if end < 0 or not name or not name.isascii() or not name.replace("_", "a").isalnum():
                    raise UnsupportedRegexError("expected a group's name of letters, digits and `_`, and a `>`")
                self.at = end + 1
                # Nothing refers to a name, and Rust takes no name that begins with a digit.
                return "(", False
        return self._flags()

    def _flags(self) -> tuple[str, bool]:
        begin = self.at
        while self.at < len(self.pattern) and self.pattern[self.at] in "imsU-":
            self.at += 1
        flags, end = self.pattern[begin : self.at], self.pattern[self.at : self.at + 1]
        if end not in {":", ")"} or flags.count("-") > 1 or flags.endswith("-") or (end == ")" and not flags):
            raise UnsupportedRegexError(
                f"`(?{self.pattern[begin : self.at + 1]}` is no group that Go knows: it has no look-around"
            )
        self.at += 1
        if end == ")":
            self.depth -= 1
        return f"(?{flags}{end}", False

    def _escape(self) -> str:
        if self._next("\\Q"):
            end = self.pattern.find("\\E", self.at)
            quoted = self.pattern[self.at : end if end >= 0 else len(self.pattern)]
            self.at = len(self.pattern) if end < 0 else end + 2
            # A quantifier after it repeats the last character alone, in both.
            return "".join(map(_literal, quoted))
        letter = self.pattern[self.at + 1 : self.at + 2]
        if letter in {"A", "z"}:
            self.at += 2
            return f"\\{letter}"
        if letter == "b":
            self.at += 2
            return r"(?-u:\b)"
        if letter == "B":
            raise UnsupportedRegexError(r"`\B` is about ASCII words in Go, and Rust has no such form; write it without")
        if letter.lower() in _PERL and letter:
            self.at += 2
            return f"[{'^' if letter.isupper() else ''}{_PERL[letter.lower()]}]"
        if letter in {"p", "P"}:
            return self._property()
        return _literal(self._escaped_character())

    def _class(self) -> str:
        begin = self.at
        self.at += 1
        negated = self._next("^")
        parts: list[str] = []
        while parts == [] or self.pattern[self.at : self.at + 1] != "]":
            if self.at >= len(self.pattern):
                raise UnsupportedRegexError(f"the `[` at character {begin + 1} is not closed")
            parts.append(self._member())
        self.at += 1
        return f"[{'^' if negated else ''}{''.join(parts)}]"

    def _member(self) -> str:
        if self.pattern.startswith("[:", self.at):
            end = self.pattern.find(":]", self.at + 2)
            if end >= 0:
                name = self.pattern[self.at + 2 : end]
                if name.removeprefix("^") not in _POSIX:
                    raise UnsupportedRegexError(f"`[:{name}:]` is no class that Go knows")
                self.at = end + 2
                return f"[:{name}:]"
        if self.pattern[self.at] == "\\":
            letter = self.pattern[self.at + 1 : self.at + 2]
            if letter and letter.lower() in _PERL:
                self.at += 2
                return f"[^{_PERL[letter.lower()]}]" if letter.isupper() else _PERL[letter]
            if letter in {"p", "P"}:
                return self._property()
        low = self._class_character()
        if self.pattern.startswith("-", self.at) and self.pattern[self.at + 1 : self.at + 2] not in {"]", ""}:
            self.at += 1
            high = self._class_character()
            if high < low:
                raise UnsupportedRegexError(f"the range `{low}-{high}` is backwards")
            return f"{_literal(low)}-{_literal(high)}"
        return _literal(low)

    def _class_character(self) -> str:
        if self.pattern[self.at] == "\\":
            return self._escaped_character()
        self.at += 1
        return self.pattern[self.at - 1]

    def _property(self) -> str:
        sign, rest = self.pattern[self.at + 1], self.pattern[self.at + 2 :]
        if not rest:
            raise UnsupportedRegexError(f"expected a class of Unicode after `\\{sign}`")
        if rest[0] == "{":
            end = rest.find("}")
            name = rest[1 : max(end, 1)]
            self.at += end + 3
        else:
            end, name = 0, rest[0]
            self.at += 3
        if name.startswith("^"):
            name, sign = name[1:], "p" if sign == "P" else "P"
        if end < 0 or not name.isascii() or not name.replace("_", "a").isalnum():
            raise UnsupportedRegexError(f"`\\{sign}` names no class of Unicode")
        return f"\\{sign}{{{name}}}"

    def _escaped_character(self) -> str:
        """The character that an escape stands for."""
        letter = self.pattern[self.at + 1 : self.at + 2]
        self.at += 2
        if letter in _CONTROL:
            return chr(_CONTROL[letter])
        if letter == "x":
            return self._hexadecimal()
        if letter and letter in "01234567":
            following = self.pattern[self.at : self.at + 2]
            octal = letter + following[: len(following) - len(following.lstrip("01234567"))]
            # A single digit other than 0 would be a reference to a group.
            if letter == "0" or len(octal) > 1:
                self.at += len(octal) - 1
                return chr(int(octal, 8))
        if letter and letter.isascii() and not letter.isalnum():
            return letter
        raise UnsupportedRegexError(f"`\\{letter}` is no escape that Go knows: it has no references to groups")

    def _hexadecimal(self) -> str:
        if self._next("{"):
            end = self.pattern.find("}", self.at)
            digits = self.pattern[self.at : max(end, self.at)]
            self.at = end + 1
        else:
            digits = self.pattern[self.at : self.at + 2]
            digits = digits if len(digits) == 2 else ""  # noqa: PLR2004  as in `\x7f`
            self.at += 2
        is_hexadecimal = 0 < len(digits) <= 8 and all(digit in "0123456789abcdefABCDEF" for digit in digits)  # noqa: PLR2004
        code = int(digits, 16) if is_hexadecimal else -1
        if not 0 <= code <= sys.maxunicode or not is_text(chr(code)):
            raise UnsupportedRegexError("expected the number of a character after `\\x`")
        return chr(code)

    def _next(self, text: str) -> bool:
        """Goes past a text if it is next."""
        is_next = self.pattern.startswith(text, self.at)
        self.at += len(text) if is_next else 0
        return is_next


def _is_number(text: str) -> bool:
    # Go takes no leading zero, and then reads the brace as a character.
    return 0 < len(text) <= 6 and text.isascii() and text.isdigit() and (text == "0" or text[0] != "0")  # noqa: PLR2004


def _literal(character: str) -> str:
    return f"\\{character}" if character in _META else character
