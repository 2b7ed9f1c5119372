"""The exceptions of logins and tokens. Their messages may be shown to whoever tries, and name no secret."""

from __future__ import annotations

import math
from enum import Enum

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


class PasskeyError(IdentityError):
    """A passkey's answer that is not believed, or a person who has none or may not register one now."""


class LoginReason(str, Enum):
    """The reason for which a login at an issuer failed, for the log."""

    UNREACHABLE = "issuer_unreachable"
    METADATA = "issuer_metadata"
    KEYS = "issuer_keys"
    REFUSED = "issuer_refused"
    """The issuer answered with an error, such as `access_denied`."""
    NOT_STARTED = "not_started_here"
    """This browser has started no login, another one, or one that is over."""
    REPEATED = "repeated"
    """The answer of the issuer, or its token, was used before."""
    SIGNATURE = "token_signature"
    ISSUER = "token_issuer"
    AUDIENCE = "token_audience"
    NONCE = "token_nonce"
    EXPIRED = "token_expired"
    EARLY = "token_from_the_future"
    AGE = "token_too_old"
    CLAIMS = "token_claims"
    GROUPS = "too_many_groups"
    NO_ROLE = "no_role"


class LoginError(IdentityError):
    """A login at an issuer that failed.

    Attributes:
        reason: The reason for the log.
        is_of_issuer: True if the issuer is at fault, not the person: it does not answer, or answers nonsense.
        fields: The reason for the log, and the person, if the issuer has confirmed who it is.
    """

    def __init__(self, reason: LoginReason, message: str, *, person: str | None = None) -> None:
        """Takes the reason, the message for the person, and who it is, if that is proven."""
        super().__init__(message)
        self.reason = reason
        self.fields = {"reason": reason.value, **({} if person is None else {"person": person})}
        self.is_of_issuer = reason in {LoginReason.UNREACHABLE, LoginReason.METADATA, LoginReason.KEYS}
