"""Ids of approvals, permits, freezes and uses."""

from __future__ import annotations

import base64
import re
from typing import Final

ID_BYTES: Final = 16

_FORM: Final = re.compile(r"[a-z2-7]{26}")


def make_id(random: bytes) -> str:
    """128 random bits as 26 letters and digits.

    Not as hex digits: messages and logs mask those, because keys are written so.
    """
    if len(random) != ID_BYTES:
        message = f"expected {ID_BYTES} random bytes, got {len(random)}"
        raise ValueError(message)
    return base64.b32encode(random).decode("ascii").rstrip("=").lower()


def is_id(text: str) -> bool:
    """True for a text of the form of these ids."""
    return _FORM.fullmatch(text) is not None
