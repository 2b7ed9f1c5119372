"""The four answers."""

from enum import Enum


class Outcome(str, Enum):
    """What a decision says (`docs/policy.md` section 5). Members are strings: ``Outcome.ALLOW == "allow"``."""

    ALLOW = "allow"
    """The call may go on; units were taken from every limit that applies."""
    DENY = "deny"
    """The call must not go on, and trying again unchanged will not help."""
    RATE_LIMITED = "rate_limited"
    """A limit has too little left; `Decision.retry_after_ms` says when it will have enough."""
    APPROVAL_REQUIRED = "approval_required"
    """A person has to approve this exact call first."""

    def __str__(self) -> str:
        """The value, on every supported version of Python; `format` follows it."""
        return self.value

    def __format__(self, spec: str) -> str:
        """As a plain string."""
        return format(self.value, spec)
