"""The issuers of tokens that callers of the gateway may send."""

from __future__ import annotations

import re
from datetime import timedelta
from enum import Enum
from functools import cache
from typing import Annotated, Any, Final
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PlainSerializer,
    TypeAdapter,
    ValidatorFunctionWrapHandler,
    WithJsonSchema,
    WrapValidator,
    model_validator,
)

from callgate.config.address import is_loopback
from callgate.config.fields import Duration, FilePath, Section, Text, checked_text, within
from callgate.text import quoted

_ISSUER: Final = re.compile(r"https?://[^/?#@\s]+(/[^?#\s]*)?")
_JWKS: Final = re.compile(r"https?://[^/?#@\s]+(/[^?#\s]*)?(\?[^#\s]*)?")
_SCOPE: Final = re.compile(r"[!#-\[\]-~]+")
_PREFIX: Final = re.compile(r"[^\x00-\x1f\x7f]{0,63}[:/|]")
_MOST_NAMES: Final = 16
_MOST_ISSUERS: Final = 16


class Algorithm(str, Enum):
    """Signature algorithms, all with a private key."""

    RS256 = "RS256"
    RS384 = "RS384"
    RS512 = "RS512"
    PS256 = "PS256"
    PS384 = "PS384"
    PS512 = "PS512"
    ES256 = "ES256"
    ES384 = "ES384"
    EDDSA = "EdDSA"


def is_issuer(value: str) -> bool:
    """True for a URL that tokens may have as `iss`."""
    return _ISSUER.fullmatch(value) is not None


def _issuer(value: str) -> str:
    if not is_issuer(value):
        message = (
            f"expected the URL that tokens have as `iss`, such as `https://login.example.com`, got {quoted(value)}"
        )
        raise ValueError(message)
    return value


IssuerUrl = Annotated[str, AfterValidator(_issuer)]
"""The URL of an issuer of tokens."""


def _jwks(value: str) -> str:
    # The value is not shown, because it may contain a password.
    if not _JWKS.fullmatch(value):
        message = "expected a URL such as `https://login.example.com/jwks.json`, without user, password and fragment"
        raise ValueError(message)
    if value.startswith("http:") and not is_loopback(urlsplit(value).hostname or ""):
        message = "expected `https`: whoever could change the keys on their way could be anybody"
        raise ValueError(message)
    return value


def _prefix(value: str) -> str:
    if not _PREFIX.fullmatch(value):
        message = (
            "expected at most 64 characters that end in `:`, `/` or `|`, such as `corp:`, so that ids of the issuer "
            f"stand out from those of grants; got {quoted(value)}"
        )
        raise ValueError(message)
    return value


def _claim(value: object) -> tuple[str, ...]:
    names = [value] if isinstance(value, str) else value
    if not isinstance(names, (list, tuple)) or not 0 < len(names) <= _MOST_NAMES:
        message = "expected the name of a claim, or a list of names from the outermost object on"
        raise ValueError(message)
    for name in names:
        if not isinstance(name, str):
            message = "expected the names of claims; put numbers in quotes"
            raise ValueError(message)  # noqa: TRY004  pydantic turns a ValueError into a fault of this field
    return tuple(checked_text(name) for name in names)


def _shown(names: tuple[str, ...]) -> str | list[str]:
    return names[0] if len(names) == 1 else list(names)


def _scope(value: str) -> str:
    if not _SCOPE.fullmatch(value):
        message = f"expected one scope, a word without spaces and quotes, got {quoted(value)}"
        raise ValueError(message)
    return value


ScopeWord = Annotated[str, AfterValidator(_scope)]
"""One scope."""

Claim = Annotated[
    tuple[str, ...],
    BeforeValidator(_claim),
    PlainSerializer(_shown),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "minLength": 1},
                {"type": "array", "items": {"type": "string", "minLength": 1}, "minItems": 1, "maxItems": _MOST_NAMES},
            ]
        }
    ),
]
"""The path of a claim: its name, or the names that lead to it."""


class Jwks(Section):
    """The source of the issuer's keys, or the authorities that are trusted when it is discovered."""

    url: Annotated[str, AfterValidator(_jwks)] | None = None
    """URL of the issuer's keys: `https://login.example.com/jwks.json`; `http` only on loopback."""

    ca: FilePath | None = None
    """PEM file of the authorities trusted for this URL, or for the issuer's metadata and keys, in place of the
    system's."""

    file: FilePath | None = None
    """File with the issuer's keys, a JWK Set; instead of `url`."""

    @model_validator(mode="after")
    def _one_source(self) -> Jwks:
        if self.url is not None and self.file is not None:
            message = "expected either `url` or `file`"
            raise ValueError(message)
        if self.ca is not None and (self.file is not None or (self.url or "https:").startswith("http:")):
            message = "`ca` has no effect without a `url` that begins with `https`"
            raise ValueError(message)
        if self.ca is None and self.url is None and self.file is None:
            message = (
                "expected either `url` or `file`; leave `jwks` out to have the keys looked for by the issuer's metadata"
            )
            raise ValueError(message)
        return self


class Oauth(Section):
    """An issuer whose tokens are accepted, and their mapping to grants."""

    issuer: IssuerUrl
    """The tokens' `iss`, compared exactly."""

    prefix: Annotated[str, AfterValidator(_prefix)] | None = None
    """Prefix of the claim in the grant's id, such as `corp:`; required if there are several issuers. No prefix may
    begin with another one."""

    jwks: Jwks | None = None
    """The issuer's keys. By default they are found through its metadata (RFC 8414, OpenID Connect Discovery)."""

    audience: Text | None = None
    """The tokens' `aud`, or a member of it. By default the server's address, `<public_url>/mcp/<name>`."""

    algorithms: Annotated[list[Algorithm], Field(min_length=1, max_length=16)] = Field(
        default=[Algorithm.RS256, Algorithm.ES256]
    )
    """Allowed signature algorithms: `RS256`, `RS384`, `RS512`, `PS256`, `PS384`, `PS512`, `ES256`, `ES384`, `EdDSA`."""

    grant: Claim = ("sub",)
    """The claim that is the grant's id: its name, or a list of names that lead to it."""

    labels: Annotated[dict[Text, Claim], Field(max_length=64)] = Field(default={})
    """Labels by name, each with the claim that holds its value."""

    clock_skew: Annotated[Duration, within(timedelta(), timedelta(minutes=5))] = timedelta(seconds=30)
    """Largest accepted deviation of the issuer's clock."""

    scopes: Annotated[list[ScopeWord], Field(max_length=64)] = Field(default=[])
    """Scopes that a token's `scope` must contain, all of them."""

    @model_validator(mode="after")
    def _keys_come_unchanged(self) -> Oauth:
        if self.jwks is not None and (self.jwks.url is not None or self.jwks.file is not None):
            return self
        is_plain = self.issuer.startswith("http:")
        if is_plain and not is_loopback(urlsplit(self.issuer).hostname or ""):
            message = "needs `jwks`: without `https` nobody can tell whether the issuer's metadata came unchanged"
            raise ValueError(message)
        if is_plain and self.jwks is not None:
            message = "`jwks.ca` has no effect without an `issuer` that begins with `https`"
            raise ValueError(message)
        return self

    def server_keywords(self) -> dict[str, Any]:
        """The argument `oauth` of `Server`'s gateway, without the contents of the files."""
        return {
            **super().server_keywords(),
            "jwks": None,
            "jwks_url": None if self.jwks is None else self.jwks.url,
            "algorithms": [algorithm.value for algorithm in self.algorithms],
            "grant": list(self.grant),
            "labels": {name: list(claim) for name, claim in self.labels.items()},
        }


@cache
def _several() -> TypeAdapter[list[Oauth]]:
    return TypeAdapter(Annotated[list[Oauth], Field(min_length=1, max_length=_MOST_ISSUERS)])


def _one_or_several(value: object, _: ValidatorFunctionWrapHandler) -> Oauth | list[Oauth] | None:
    # Dispatched by hand, so that a fault is about the form that was written and has its place.
    if value is None:
        return None
    return _several().validate_python(value) if isinstance(value, list) else Oauth.model_validate(value)


Issuers = Annotated[
    Oauth | Annotated[list[Oauth], Field(min_length=1, max_length=_MOST_ISSUERS)] | None,
    WrapValidator(_one_or_several),
]
"""One issuer, or a list of them."""


def listed(issuers: Oauth | list[Oauth] | None) -> list[tuple[tuple[int, ...], Oauth]]:
    """Each issuer with its path in the section: its index if there is a list."""
    if issuers is None:
        return []
    return (
        [((index,), issuer) for index, issuer in enumerate(issuers)] if isinstance(issuers, list) else [((), issuers)]
    )
