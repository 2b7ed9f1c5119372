"""The metadata of an issuer (OpenID Connect Discovery 1.0): its endpoints, and what it supports."""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from callgate.config.login import is_safe
from callgate.identity.errors import LoginError, LoginReason
from callgate.text import quoted

if TYPE_CHECKING:
    from callgate.identity.oidc.http import IssuerHttp

_PATH: Final = "/.well-known/openid-configuration"
_PKCE: Final = "S256"


@dataclass(frozen=True)
class Metadata:
    """The metadata of an issuer."""

    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    userinfo_endpoint: str | None
    device_authorization_endpoint: str | None
    is_issuer_in_answers: bool
    """True if the issuer names itself in its answers to browsers (RFC 9207), so that an answer without it is forged."""
    takes_basic: bool
    """True if it takes the client's secret as HTTP Basic, which is the default of OAuth."""


def discovered(http: IssuerHttp, issuer: str) -> Metadata:
    """The metadata at an issuer's URL.

    Raises:
        LoginError: The issuer does not answer, or its metadata cannot be used.
    """
    url = f"{issuer.rstrip('/')}{_PATH}"
    status, document = http.get(url)
    if status != HTTPStatus.OK:
        raise _unusable(issuer, f"`{_PATH}` answers with HTTP {status}")
    if document.get("issuer") != issuer:
        named = quoted(str(document.get("issuer")))
        raise _unusable(issuer, f"it calls itself {named}; write `issuer` in the configuration exactly so")
    methods = document.get("code_challenge_methods_supported")
    if methods is not None and (not isinstance(methods, list) or _PKCE not in methods):
        raise _unusable(issuer, f"it does not support PKCE with `{_PKCE}`")
    ways = document.get("token_endpoint_auth_methods_supported")
    return Metadata(
        authorization_endpoint=_required(document, issuer, "authorization_endpoint"),
        token_endpoint=_required(document, issuer, "token_endpoint"),
        jwks_uri=_required(document, issuer, "jwks_uri"),
        userinfo_endpoint=_endpoint(document, issuer, "userinfo_endpoint"),
        device_authorization_endpoint=_endpoint(document, issuer, "device_authorization_endpoint"),
        is_issuer_in_answers=document.get("authorization_response_iss_parameter_supported") is True,
        takes_basic=not isinstance(ways, list) or "client_secret_basic" in ways,
    )


def _required(document: dict[str, Any], issuer: str, name: str) -> str:
    url = _endpoint(document, issuer, name)
    if url is None:
        raise _unusable(issuer, f"its metadata has no `{name}`")
    return url


def _endpoint(document: dict[str, Any], issuer: str, name: str) -> str | None:
    url = document.get(name)
    if url is None:
        return None
    is_usable = isinstance(url, str) and url.isascii() and url.isprintable() and " " not in url and "#" not in url
    if not is_usable or not is_safe(url) or (issuer.startswith("https:") and not url.startswith("https:")):
        raise _unusable(issuer, f"its metadata has {quoted(str(url))} as `{name}`, which is no URL with `https`")
    return str(url)


def _unusable(issuer: str, reason: str) -> LoginError:
    return LoginError(LoginReason.METADATA, f"the issuer {quoted(issuer)} cannot be used: {reason}")
