"""The caller of a method, from the field `authorization` of a request."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import grpc

from callgate.admin.calls.errors import AdminError
from callgate.identity.errors import IdentityError, RetryError

if TYPE_CHECKING:
    from callgate.identity.identities import Identities
    from callgate.identity.principal import Principal

_LONGEST: Final = 256
"""Characters of a token; a longer text is none."""


def authenticated(identities: Identities, authorization: str | None, source: str | None = None) -> Principal:
    """The person of a session, or the machine of a token: ``Bearer cgs_...`` or ``Bearer cga_...``.

    With the address that the call came from, a refusal is reported.

    Raises:
        AdminError: UNAUTHENTICATED.
        StoreError: The store does not answer.
    """
    scheme, _, text = (authorization or "").partition(" ")
    token = text.strip()
    if scheme.lower() != "bearer" or not 0 < len(token) <= _LONGEST:
        message = "expected `authorization: Bearer` with a machine token or the token of a session"
        raise _unauthenticated(message, "NO_TOKEN")
    try:
        return identities.of_bearer(token, source)
    except RetryError:
        raise
    except IdentityError as error:
        raise _unauthenticated(str(error), "TOKEN") from None


def _unauthenticated(message: str, reason: str) -> AdminError:
    return AdminError(grpc.StatusCode.UNAUTHENTICATED, message, reason=reason)
