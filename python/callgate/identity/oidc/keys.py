"""The keys of an issuer, fetched anew when they are old, and when a token names one that is not known."""

from __future__ import annotations

import time
from http import HTTPStatus
from threading import Lock
from typing import TYPE_CHECKING, Any, Final

from joserfc.errors import JoseError
from joserfc.jwk import JWKRegistry, KeySet

from callgate.identity.errors import LoginError, LoginReason
from callgate.text import quoted

if TYPE_CHECKING:
    from collections.abc import Callable

    from joserfc.jwk import Key

    from callgate.identity.oidc.http import IssuerHttp

_FRESH_S: Final = 600.0
"""Time after which keys are fetched anew, so that a key that the issuer has withdrawn is forgotten."""

_PAUSE_S: Final = 15.0
"""Shortest time between two fetches: tokens with random key ids must not make a flood of requests."""

_MOST_KEYS: Final = 100
_ASYMMETRIC: Final = frozenset({"RSA", "EC", "OKP"})


class IssuerKeys:
    """The keys by which one issuer signs."""

    def __init__(self, http: IssuerHttp, clock_s: Callable[[], float] = time.monotonic) -> None:
        """Takes the client for requests, and a clock that never goes back."""
        self._http = http
        self._clock_s = clock_s
        self._lock = Lock()
        self._keys: KeySet | None = None
        self._url = ""
        self._fetched_s = 0.0
        self._tried_s: float | None = None

    def get(self, url: str, key_id: str | None) -> KeySet:
        """The keys at a URL; fetched anew if none of them has this id.

        Raises:
            LoginError: They cannot be had.
        """
        with self._lock:
            now_s = self._clock_s()
            known = self._keys if self._url == url and now_s - self._fetched_s < _FRESH_S else None
            if known is not None and _has(known, key_id):
                return known
            if self._tried_s is None or now_s - self._tried_s >= _PAUSE_S:
                # Of a failure too: the next token waits.
                self._tried_s = now_s
                known = self._keys = self._fetch(url)
                self._url, self._fetched_s = url, now_s
            if known is None:
                # Old ones are not believed: the issuer may have withdrawn them.
                message = "the keys of the issuer could not be fetched a moment ago; try again in a few seconds"
                raise LoginError(LoginReason.KEYS, message)
            return known

    def _fetch(self, url: str) -> KeySet:
        status, document = self._http.get(url)
        listed = document.get("keys")
        if status != HTTPStatus.OK or not isinstance(listed, list):
            message = f"expected the keys of the issuer at {quoted(url)}, got HTTP {status} without a list `keys`"
            raise LoginError(LoginReason.KEYS, message)
        keys = [key for key in map(_key, listed[:_MOST_KEYS]) if key is not None]
        if not keys:
            message = f"the issuer has no usable key at {quoted(url)}"
            raise LoginError(LoginReason.KEYS, message)
        return KeySet(keys)


def _has(keys: KeySet, key_id: str | None) -> bool:
    # A token without an id is of the only key, or of none.
    return key_id is None or any(key.kid == key_id for key in keys.keys)


def _key(document: Any) -> Key | None:  # noqa: ANN401  JSON
    """A key; None for one of a kind that is not used here, which must not spoil the others."""
    if not isinstance(document, dict) or document.get("kty") not in _ASYMMETRIC or document.get("use") == "enc":
        return None
    try:
        return JWKRegistry.import_key(document)
    except (JoseError, ValueError, TypeError, KeyError):
        return None
