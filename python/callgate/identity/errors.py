"""The exceptions of logins and tokens. Their messages may be shown to whoever tries, and name no secret."""

from __future__ import annotations

import math

from callgate.errors import CallgateError


class IdentityError(CallgateError):
    """A caller without a valid proof of its identity."""


class RetryError(IdentityError):
    """An attempt was refused without being looked at; a later one may succeed.

    Attributes:
        retry_after_s: Whole seconds to wait.
    """

    def __init__(self, message: str, retry_after_us: int) -> None:
        """Takes the beginning of the message, and the time to wait."""
        self.retry_after_s = max(math.ceil(retry_after_us / 1_000_000), 1)
        super().__init__(f"{message}; try again in {self.retry_after_s} s")
