"""The four answers."""

from enum import Enum


class Outcome(str, Enum):
    """The outcome of a decision (`docs/policy.md` section 5). Members are strings: ``Outcome.ALLOW == "allow"``."""

    ALLOW = "allow"
    """The call may proceed; units were taken from every limit that applies."""
    DENY = "deny"
    """The call must not proceed, and an unchanged retry will not help."""
    RATE_LIMITED = "rate_limited"
    """A limit has too few units left; `Decision.retry_after_ms` is the time until it has enough."""
    APPROVAL_REQUIRED = "approval_required"
    """A person must first approve this exact call."""

    def __str__(self) -> str:
        """The value, on every supported version of Python; `format` follows it."""
        return self.value

    def __format__(self, spec: str) -> str:
        """Formats it as a plain string."""
        return format(self.value, spec)
