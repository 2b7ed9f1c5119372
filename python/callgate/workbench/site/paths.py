"""The files of pages: names that every file system takes, whatever a server or a tool is called."""

from __future__ import annotations

import hashlib
import re
from typing import Final

_PLAIN: Final = re.compile(r"[a-z0-9](?:[a-z0-9._-]*[a-z0-9])?")
_OTHER: Final = re.compile(r"[^a-z0-9_]+")
_HASHED: Final = re.compile(r".*-[0-9a-f]{10}")
# Names of devices on Windows, also with a suffix.
_RESERVED: Final = re.compile(r"(?:con|prn|aux|nul|com[0-9]|lpt[0-9])(?:\..*)?")
_LONGEST: Final = 60
"""Characters of a name without its digest."""
_DIGEST: Final = 10
"""Characters of a digest that keep names apart which would otherwise be one."""


class Stems:
    """Names of the files of one folder, without suffix; different names get different ones, also without case."""

    def __init__(self) -> None:
        """Begins with an empty folder."""
        self._names: dict[str, str] = {}

    def of(self, name: str) -> str:
        """The stem of a name, the same for each call.

        It depends on the name alone; only of names that were made to have equal digests, the later one gets more of it.
        """
        digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()
        for length in (_DIGEST, len(digest)):
            stem = stem_of(name, digest[:length])
            if self._names.setdefault(stem, name) == name:
                return stem
        message = "two names have the same SHA-256"
        raise AssertionError(message)


def stem_of(name: str, digest: str) -> str:
    """The name itself if it is plain, else its readable part and the digest."""
    is_plain = _PLAIN.fullmatch(name) and len(name) <= _LONGEST
    # A plain name that ends like a digest could be the stem of another name.
    if is_plain and not _HASHED.fullmatch(name) and not _RESERVED.fullmatch(name):
        return name
    readable = _OTHER.sub("-", name[: 4 * _LONGEST].lower())[:_LONGEST].strip("-_")
    return f"{readable}-{digest}" if readable else f"name-{digest}"


def page_of(stem: str, number: int) -> str:
    """The file of a page of a long list; no stem contains `~`."""
    return f"{stem}.html" if number == 1 else f"{stem}~{number}.html"
