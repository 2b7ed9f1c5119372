"""Arguments that hold an absolute path or a URL, as their names, formats and descriptions say."""

from __future__ import annotations

import re
from enum import Enum
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_WORDS: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
_PATH_NAMES: Final = frozenset(
    {"path", "paths", "filepath", "filename", "file", "files", "dir", "dirs", "directory", "directories", "folder"}
    | {"folders", "cwd", "workspace"}
)
_PATH_FORMATS: Final = frozenset({"path", "file-path", "directory-path", "absolute-path"})
_URL_NAMES: Final = frozenset({"url", "urls"})
_URL_FORMATS: Final = frozenset({"uri", "url"})
_ABSOLUTE_PATTERN: Final = re.compile(r"\^/(?![?*{])[^|]*")
_ABSOLUTE: Final = re.compile(
    r"\b(absolute (\w+ ){0,2}(paths?|directory|folder)|(must|has to) be (an )?absolute)\b", re.IGNORECASE
)
_NOT_ONLY_ABSOLUTE: Final = re.compile(r"\b(relative|absolute or|or absolute|not absolute|uri|url)\b", re.IGNORECASE)
_NOT_ONLY_URL: Final = re.compile(r"\b(or|relative|path|local|file|arn|without)\b", re.IGNORECASE)


class ArgumentKind(Enum):
    """The form of a text that names a place."""

    ABSOLUTE_PATH = "absolute path"
    OTHER_PATH = "path"
    URL = "URL"
    OTHER_URL = "perhaps a URL"
    OTHER = "other"


def kind_of(name: str, conjuncts: Sequence[Mapping[str, Any]], descriptions: Sequence[str]) -> ArgumentKind:
    """The form of an argument.

    A path is absolute only if its schema says so, since every other one may be relative.

    Args:
        name: The argument's name.
        conjuncts: The parts of its schema that hold for every value.
        descriptions: Texts about it.
    """
    words = [word.lower() for word in _WORDS.findall(name)]
    formats = {form for part in conjuncts if isinstance(form := part.get("format"), str)}
    said = " ".join(descriptions)
    if formats & _URL_FORMATS:
        return ArgumentKind.URL
    if words and words[-1] in _URL_NAMES:
        return ArgumentKind.OTHER_URL if _NOT_ONLY_URL.search(said) else ArgumentKind.URL
    if not formats & _PATH_FORMATS and not (words and words[-1] in _PATH_NAMES):
        return ArgumentKind.OTHER
    patterns = [pattern for part in conjuncts if isinstance(pattern := part.get("pattern"), str)]
    is_absolute = (
        "absolute-path" in formats
        or any(_ABSOLUTE_PATTERN.fullmatch(pattern) for pattern in patterns)
        or ((_ABSOLUTE.search(said) or "absolute" in words) and not _NOT_ONLY_ABSOLUTE.search(said))
    )
    return ArgumentKind.ABSOLUTE_PATH if is_absolute else ArgumentKind.OTHER_PATH
