"""Commands, URLs and texts of servers without the secrets in them.

People write keys into the arguments of servers. What looks like one is replaced in everything that is shown or stored;
the names of environment variables and header fields are shown, their values never.
"""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit, urlunsplit

from callgate.text import masked, visible

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

HIDDEN: Final = "***"
"""The replacement of a secret."""

_SECRET_NAME: Final = re.compile(
    r"key|token|secret|passw|passphrase|credential|auth|bearer|cookie|session|signature|\bpat\b|dsn", re.IGNORECASE
)
_OPTION: Final = re.compile(r"(--?[A-Za-z][\w.-]*)(?:=(.*))?", re.DOTALL)
_ASSIGNMENT: Final = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)=(.+)", re.DOTALL)
_FIELD: Final = re.compile(r"([A-Za-z][A-Za-z0-9-]*):(?!//|\\)(\s*)(\S.*)", re.DOTALL)
_PREFIXED: Final = re.compile(
    r"(?:sk|pk|rk|ghp|gho|ghu|ghs|ghr|glpat|github_pat|xox[abeoprs]|xapp|npm|pypi|hf|AKIA|ASIA|AIza|ya29|eyJ|SG|dop_v1|"
    r"shpat|lin_api|ntn|secret|Bearer|Basic)[-_.: A-Za-z0-9].{8,}",
    re.DOTALL,
)
_RANDOM: Final = re.compile(r"[A-Za-z0-9_+=-]{20,}")
_URL: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_FIELD_OPTIONS: Final = frozenset({"--header", "-H"})
_SHORTEST: Final = 5
"""Shortest secret that is looked for in texts: shorter ones would make holes in ordinary words."""


def hidden_words(command: Sequence[str]) -> list[str]:
    """The words of a command, with what looks like a secret replaced."""
    shown = list[str]()
    option = ""
    for number, word in enumerate(command):
        if number and option and not word.startswith("--"):
            shown.append(_hidden_field(word) if option in _FIELD_OPTIONS else HIDDEN)
            option = ""
            continue
        option = ""
        shown.append(_hidden(word))
        found = _OPTION.fullmatch(word)
        if number and found and found[2] is None and (word in _FIELD_OPTIONS or _SECRET_NAME.search(found[1])):
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
    names = [part.partition("=")[0] for part in parts.query.split("&") if part]
    query = "&".join(f"{name}={HIDDEN}" for name in names)
    netloc = parts.netloc.rpartition("@")[2]
    path = "/".join(HIDDEN if _is_secret(step) else step for step in parts.path.split("/"))
    return visible(urlunsplit(parts._replace(netloc=netloc, path=path, query=query, fragment="")))


def redacted(text: str, secrets: Iterable[str]) -> str:
    """A text of a server without the given secrets, and without what looks like one."""
    for secret in sorted(secrets, key=len, reverse=True):
        if len(secret) >= _SHORTEST:
            text = text.replace(secret, HIDDEN)
    return masked(text)


def _hidden(word: str) -> str:
    option = _OPTION.fullmatch(word)
    if option and option[2] is not None:
        return f"{option[1]}={HIDDEN if _SECRET_NAME.search(option[1]) else _hidden(option[2])}"
    assigned = _ASSIGNMENT.fullmatch(word)
    if assigned:
        # Values of variables, as `docker run -e` takes them, are as secret as in the environment.
        return f"{assigned[1]}={HIDDEN}"
    if _URL.match(word):
        return shown_url(word)
    field = _FIELD.fullmatch(word)
    if field and _SECRET_NAME.search(field[1]):
        return f"{field[1]}:{field[2]}{HIDDEN}"
    return HIDDEN if _is_secret(word) else word


def _hidden_field(word: str) -> str:
    name, colon, _ = word.partition(":")
    return f"{name}{colon} {HIDDEN}" if colon else HIDDEN


def _is_secret(word: str) -> bool:
    if masked(word) != word or _PREFIXED.fullmatch(word):
        return True
    if not _RANDOM.fullmatch(word):
        return False
    # Names in words have few digits between letters; random texts mix them.
    return sum(c.isdigit() for c in word) >= 3 and any(c.isupper() for c in word) and any(c.islower() for c in word)  # noqa: PLR2004
