"""Words that look like keys: tokens of known services, and texts that are probably random."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Final
from urllib.parse import unquote

from callgate.text import masked

_KNOWN: Final = re.compile(
    r"(?:sk|pk|rk)[-_](?:(?:ant|live|or|proj|svcacct|test)[-_].{6,}|(?=.*[0-9])[\w-]{10,})"
    r"|gh[oprsu]_\w{8,}|github_pat_\w{8,}|glpat-[\w-]{8,}|xox[a-z]-.{8,}|xapp-.{8,}|npm_[A-Za-z0-9]{16,}"
    r"|pypi-[\w-]{32,}|hf_[A-Za-z0-9]{16,}|r8_[A-Za-z0-9]{16,}|(?:AKIA|ASIA)[A-Z0-9]{12,}|AIza[\w-]{16,}|ya29\..{8,}"
    r"|eyJ[\w-]{8,}.*|SG\.[\w-]{6,}\..*|dop_v1_.{8,}|shpat_.{8,}|lin_api_.{8,}|ntn_.{8,}|secret_[A-Za-z0-9]{16,}"
    r"|(?:Bearer|Basic)\s.+|.*-----BEGIN .*",
    re.DOTALL | re.ASCII,
)
_UUID: Final = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_IMAGE_DIGEST: Final = re.compile(r"@sha256:[0-9a-f]{64}\Z")
"""The digest of a container's image, which is public."""
_MIXED: Final = re.compile(r"[A-Za-z0-9_+=-]{20,}")
_AWS_KEY: Final = re.compile(r"(?=.*[0-9])(?=.*[a-z])(?=.*[A-Z])[A-Za-z0-9+][A-Za-z0-9/+]{39}")
_RUN: Final = re.compile(r"[A-Za-z0-9]{16,}")
_CHANGES: Final = 4
"""Changes between letters and digits from which a text is taken for random: names in words have fewer."""


def looks_like_key(word: str) -> bool:
    """True for a word that is probably a key, a token or another secret."""
    word = _IMAGE_DIGEST.sub("", unquote(word))
    if masked(word) != word or any(form.fullmatch(word) for form in (_KNOWN, _UUID, _AWS_KEY)):
        return True
    if _MIXED.fullmatch(word):
        # Names in words have few digits between letters; random texts mix them.
        digits = sum(character.isdigit() for character in word)
        if digits >= 3 and any(c.isupper() for c in word) and any(c.islower() for c in word):  # noqa: PLR2004
            return True
        return any(_changes(run) >= _CHANGES for run in _RUN.findall(word))
    return False


def _changes(run: str) -> int:
    return sum(before.isdigit() != after.isdigit() for before, after in pairwise(run))
