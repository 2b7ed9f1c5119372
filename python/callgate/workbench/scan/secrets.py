"""Commands, URLs and texts of servers without the secrets in them.

People write keys into the arguments of servers. Parts that look like one are replaced in everything that is shown or
stored; the names of environment variables and header fields are shown, their values never.
"""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote, urlsplit, urlunsplit

from callgate.text import masked, visible
from callgate.workbench.scan.key_forms import looks_like_key

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

HIDDEN: Final = "***"
"""The replacement of a secret."""

_SECRET_NAME: Final = re.compile(
    r"key|token|secret|passw|passphrase|(?<![a-z])pass(?![a-z])|pwd|credential|auth|bearer|cookie|session|signature"
    r"|webhook|(?<![a-z])(?:jwt|pat)(?![a-z])|dsn",
    re.IGNORECASE,
)
_OPTION: Final = re.compile(r"(--?[A-Za-z][\w.-]*)(?:=(.*))?", re.DOTALL)
_ASSIGNMENT: Final = re.compile(r"([A-Za-z_][\w.-]*)=(.+)", re.DOTALL)
_FIELD: Final = re.compile(r"((?:--?|/)?[A-Za-z][\w-]*):(?!//|\\)(\s*)(\S.*)", re.DOTALL)
_SHORT_HEADER: Final = re.compile(r"(-H\s*[A-Za-z][\w-]*):.*", re.DOTALL)
_HEADER_OPTION: Final = re.compile(r"--?[\w-]*header[\w-]*|-H", re.IGNORECASE)
_STRUCTURE: Final = re.compile(r"[\"'\\\s]*[{\[](?!env:|file:)")
"""The beginning of JSON in an argument, as in `--config '{"apiKey": "..."}'`."""
_SHELL_WORD: Final = re.compile(r"(?:[^\s;&|()<>\"'`]|\"(?:\\.|[^\"\\])*\"|'[^']*')+", re.DOTALL)
_SEPARATOR: Final = re.compile(r"[\s;&|()<>\"'`]")
_URL: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_USER: Final = re.compile(r"(?!(?:npm|jsr|file|link|workspace):)[^\s:/@]+:[^\s@]+@(?!sha256:)(.+)", re.DOTALL)
"""`user:password@host`; not a package with its version, and not an image with its digest."""
_REFERENCE: Final = re.compile(r"\$\{[^}]*\}|\$\w+|\{env:[^}]*\}")
_HOST: Final = re.compile(r"(?:\[[^\]]*\]|[^:\[\]@]*)(?::[0-9]*)?")
_PIECES: Final = re.compile(r"[\s=:;,&?/@\"'{}\[\]<>\\]+")
_SAID_VALUE: Final = re.compile(
    r"(?<![\w.-])([\w.-]+)([\"']?(?:=|:(?!//))(\s*)[\"']?)((?:Bearer|Basic)\s+)?([^\s\"',;&)}\]]+)", re.IGNORECASE
)
"""`password=...`, `password: ...` or `"password": "..."` in a text of a server."""
_SAID_WORD: Final = re.compile(r"[^\s=:;,&?@\"'`{}\[\]()<>\\]+")
_SHORTEST: Final = 5
"""Shortest secret that is looked for in texts: shorter ones would make holes in ordinary words."""


def hidden_words(command: Sequence[str]) -> list[str]:
    """The words of a command, with what looks like a secret replaced."""
    shown = list[str]()
    option = ""
    for number, word in enumerate(command):
        if number and option and not word.startswith("--"):
            shown.append(_hidden_field(word) if _HEADER_OPTION.fullmatch(option) else HIDDEN)
            option = ""
            continue
        option = ""
        shown.append(_hidden(word))
        found = _OPTION.fullmatch(word)
        if number and found and found[2] is None and (_HEADER_OPTION.fullmatch(word) or _SECRET_NAME.search(word)):
            option = word
    return shown


def shown_command(command: Sequence[str]) -> str:
    """A command as a shell reads it, on one line, harmless for a terminal, without secrets."""
    return visible(shlex.join(hidden_words(command)))


def without_user(url: str) -> str:
    """The URL without user and password."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def shown_url(url: str) -> str:
    """The URL without user, password and fragment; of a query only the names remain."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return HIDDEN
    netloc = parts.netloc.rpartition("@")[2]
    hosts = _REFERENCE.sub("0", netloc).split(",")
    if not all(_HOST.fullmatch(host) for host in hosts) or (not netloc and "@" in url):
        # A password with a `/`, `?` or `#` ends the host early: no part of such a URL can be told from the password.
        return f"{parts.scheme}://{HIDDEN}" if parts.scheme else HIDDEN
    query = "&".join(_hidden_parameter(part) for part in parts.query.split("&") if part)
    path = "/".join(_hidden_step(step) for step in parts.path.split("/"))
    return visible(urlunsplit(parts._replace(netloc=netloc, path=path, query=query, fragment="")))


def secret_texts(given: str, shown: str) -> set[str]:
    """The parts of a word or URL that do not stand in its shown form: a message must not repeat them."""
    if given == shown:
        return set()
    parts = {given, *_PIECES.split(given)}
    parts |= {unquote(part) for part in parts}
    return {part for part in parts if part not in shown}


def redacted(text: str, secrets: Iterable[str]) -> str:
    """A text of a server without the given secrets, and without what looks like one."""
    for secret in sorted(secrets, key=len, reverse=True):
        if len(secret) >= _SHORTEST:
            # Messages of the system are shown in lower case.
            text = re.sub(re.escape(secret), HIDDEN, text, flags=re.IGNORECASE)
    return masked(_SAID_WORD.sub(_hidden_said_word, _SAID_VALUE.sub(_hidden_said_value, text)))


def _hidden_said_value(found: re.Match[str]) -> str:
    name, between, space, scheme, value = found.groups()
    # In prose, the word after a colon is seldom a value: `token: expired`.
    is_value = scheme or not space or any(character.isdigit() for character in value)
    return f"{name}{between}{scheme or ''}{HIDDEN}" if is_value and _SECRET_NAME.search(name) else found[0]


def _hidden_said_word(found: re.Match[str]) -> str:
    word = found[0].rstrip(".")
    if looks_like_key(word):
        return HIDDEN + found[0][len(word) :]
    # A key may be a part of a path, and a path as a whole looks like nothing.
    return "/".join(HIDDEN if looks_like_key(step) else step for step in found[0].split("/"))


def _hidden(word: str) -> str:
    option = _OPTION.fullmatch(word)
    if option and option[2] is not None:
        return f"{option[1]}={_hidden_value(option[1], option[2])}"
    # Values of variables, as `docker run -e` takes them, are as secret as in the environment.
    if assigned := _ASSIGNMENT.fullmatch(word):
        return f"{assigned[1]}={HIDDEN}"
    if short := _SHORT_HEADER.fullmatch(word):
        return f"{short[1]}: {HIDDEN}"
    if (field := _FIELD.fullmatch(word)) and _SECRET_NAME.search(field[1]):
        return f"{field[1]}:{field[2]}{HIDDEN}"
    return HIDDEN if _STRUCTURE.match(word) or looks_like_key(word) else _hidden_inside(word)


def _hidden_inside(word: str) -> str:
    """A word that is no secret as a whole."""
    url = _URL.search(word)
    if url and not any(character.isspace() for character in word):
        return f"{word[: url.start()]}{shown_url(word[url.start() :])}"
    if _SEPARATOR.search(word):
        return _hidden_script(word)
    user = _USER.fullmatch(word)
    return f"{HIDDEN}@{user[1]}" if user else word


def _hidden_value(option: str, value: str) -> str:
    if _HEADER_OPTION.fullmatch(option):
        return _hidden_field(value)
    return HIDDEN if _SECRET_NAME.search(option) else _hidden(value)


def _hidden_field(word: str) -> str:
    name, colon, _ = word.partition(":")
    return f"{name}{colon} {HIDDEN}" if colon else HIDDEN


def _hidden_script(text: str) -> str:
    """A text of several words, such as that of `sh -c`, with each of its words like those of a command."""
    words = list(_SHELL_WORD.finditer(text))
    if any(mark in _SHELL_WORD.sub("", text) for mark in "\"'"):
        # Nobody can tell the end of a quotation that has none.
        return HIDDEN
    plain = ["".join(re.split(r"[\"']", word[0])) for word in words]
    parts, end = list[str](), 0
    for word, before, after in zip(words, plain, hidden_words(plain), strict=True):
        parts += [text[end : word.start()], word[0] if before == after else after]
        end = word.end()
    return "".join((*parts, text[end:]))


def _hidden_parameter(part: str) -> str:
    name, equals, _ = part.partition("=")
    return f"{name}={HIDDEN}" if equals and not looks_like_key(name) else HIDDEN


def _hidden_step(step: str) -> str:
    name, semicolon, _ = step.partition(";")
    if looks_like_key(name):
        return HIDDEN
    return f"{name};{HIDDEN}" if semicolon else name
