"""The issuer whose tokens callers of the gateway may bear."""

from __future__ import annotations

import ipaddress
import re
from datetime import timedelta
from enum import Enum
from typing import Annotated, Any, Final
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer, WithJsonSchema, model_validator

from callgate.config.fields import Duration, FilePath, Section, Text, checked_text, within
from callgate.config.units import quoted, to_ms

_ISSUER: Final = re.compile(r"https?://[^/?#@\s]+(/[^?#\s]*)?")
_JWKS: Final = re.compile(r"https?://[^/?#@\s]+(/[^?#\s]*)?(\?[^#\s]*)?")
_SCOPE: Final = re.compile(r"[!#-\[\]-~]+")
_MOST_NAMES: Final = 16


class Algorithm(str, Enum):
    """How tokens may be signed: by who has the private key alone."""

    RS256 = "RS256"
    RS384 = "RS384"
    RS512 = "RS512"
    PS256 = "PS256"
    PS384 = "PS384"
    PS512 = "PS512"
    ES256 = "ES256"
    ES384 = "ES384"
    EDDSA = "EdDSA"


def _issuer(value: str) -> str:
    if not _ISSUER.fullmatch(value):
        message = (
            f"expected the URL that tokens have as `iss`, such as `https://login.example.com`, got {quoted(value)}"
        )
        raise ValueError(message)
    return value


def _jwks(value: str) -> str:
    # Nothing of it is shown: somebody may have written a password there.
    if not _JWKS.fullmatch(value):
        message = "expected a URL such as `https://login.example.com/jwks.json`, without user, password and fragment"
        raise ValueError(message)
    if value.startswith("http:") and not _is_loopback(urlsplit(value).hostname or ""):
        message = "expected `https`: whoever could change the keys on their way could be anybody"
        raise ValueError(message)
    return value


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


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
"""Where a claim stands: its name as it is, or the names that lead to it."""


class Jwks(Section):
    """Where the issuer's keys are."""

    url: Annotated[str, AfterValidator(_jwks)] | None = None
    """Where the issuer's keys are fetched from: `https://login.example.com/jwks.json`; `http` on loopback alone."""

    ca: FilePath | None = None
    """PEM file of the authorities that are believed there instead of the system's."""

    file: FilePath | None = None
    """The file that holds the issuer's keys, a JWK Set; instead of `url`."""

    @model_validator(mode="after")
    def _one_source(self) -> Jwks:
        if (self.url is None) == (self.file is None):
            message = "expected either `url` or `file`"
            raise ValueError(message)
        if self.ca is not None and not (self.url or "").startswith("https:"):
            message = "`ca` means nothing without a `url` that begins with `https`"
            raise ValueError(message)
        return self


class Oauth(Section):
    """Whose tokens are believed, and what is made of them."""

    issuer: Annotated[str, AfterValidator(_issuer)]
    """What tokens have as `iss`, to the letter."""

    jwks: Jwks
    """Where the issuer's keys are."""

    audience: Text | None = None
    """What tokens have as `aud`, or in it. Where this is not given: the server's address, `<public_url>/mcp/<name>`."""

    algorithms: Annotated[list[Algorithm], Field(min_length=1, max_length=16)] = Field(
        default=[Algorithm.RS256, Algorithm.ES256]
    )
    """How tokens may be signed: `RS256`, `RS384`, `RS512`, `PS256`, `PS384`, `PS512`, `ES256`, `ES384`, `EdDSA`."""

    grant: Claim = ("sub",)
    """The claim that is the grant's id: its name, or a list of names that lead to it."""

    labels: Annotated[dict[Text, Claim], Field(max_length=64)] = Field(default={})
    """Labels by name, each with the claim that is its value."""

    clock_skew: Annotated[Duration, within(timedelta(), timedelta(minutes=5))] = timedelta(seconds=30)
    """How far the issuer's clock may be off."""

    scopes: Annotated[list[Annotated[str, AfterValidator(_scope)]], Field(max_length=64)] = Field(default=[])
    """What must be in a token's `scope`, all of it."""

    def server_keywords(self, *, jwks: bytes | None, ca: bytes | None) -> dict[str, Any]:
        """What `Server` takes as `oauth` of its gateway, with the contents of the files."""
        return {
            "issuer": self.issuer,
            "jwks": jwks,
            "jwks_url": self.jwks.url,
            "jwks_ca": ca,
            "audience": self.audience,
            "algorithms": [algorithm.value for algorithm in self.algorithms],
            "grant": list(self.grant),
            "labels": {name: list(claim) for name, claim in self.labels.items()},
            "clock_skew_ms": to_ms(self.clock_skew),
            "scopes": list(self.scopes),
        }
