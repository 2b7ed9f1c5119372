"""Exceptions that nobody expected, as they are logged."""

from __future__ import annotations

import traceback
from pathlib import Path


def unexpected(error: BaseException) -> str:
    """The place of an exception without its message, which may contain a secret."""
    *_, last = traceback.extract_tb(error.__traceback__)
    return f"internal error: {type(error).__name__} at {Path(last.filename).name}:{last.lineno}"
