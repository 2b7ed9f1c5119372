"""The mark of a value that a call does not have."""

from __future__ import annotations

from enum import Enum
from typing import Final


class Mark(Enum):
    """Something in the place of a value."""

    ABSENT = "absent"
    OBJECT = "an object"
    """An object whose members are chosen one by one."""
    LIST = "a list"
    """A list whose elements are chosen one by one."""
    UNKNOWN = "unknown"
    """A value that nobody has found, and that may not exist."""


ABSENT: Final = Mark.ABSENT
OBJECT: Final = Mark.OBJECT
LIST: Final = Mark.LIST
UNKNOWN: Final = Mark.UNKNOWN
