"""Issuers at which people log in to administer, and the roles that their groups give."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import timedelta
from enum import Enum
from functools import cache
from typing import TYPE_CHECKING, Annotated, Final
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, TypeAdapter, ValidatorFunctionWrapHandler, WrapValidator, model_validator

from callgate.config.address import is_loopback
from callgate.config.fields import Duration, FilePath, Flag, Section, Text, within
from callgate.config.oauth import Claim, IssuerUrl, ScopeWord
from callgate.errors import ConfigError
from callgate.text import quoted

if TYPE_CHECKING:
    from collections.abc import Collection

_BASE: Final = re.compile(r"https?://[^/?#@\s]+")
_MOST_ISSUERS: Final = 16
_LONGEST_SECRET_BYTES: Final = 4_096

EVERYBODY: Final = "*"
"""The group of everybody whom an issuer logs in."""


class LoginRole(str, Enum):
    """The roles that groups can give: those of local people."""

    VIEWER = "viewer"
    APPROVER = "approver"
    POLICY_MANAGER = "policy_manager"
    ADMIN = "admin"


_NOT_FOR_EVERYBODY: Final = frozenset({LoginRole.POLICY_MANAGER, LoginRole.ADMIN})


def is_safe(url: str) -> bool:
    """True if nobody can read or change what goes to a URL: over TLS, or within this machine."""
    parts = urlsplit(url)
    return parts.scheme == "https" or (parts.scheme == "http" and is_loopback(parts.hostname or ""))


def _public_url(value: str) -> str:
    if not _BASE.fullmatch(value):
        message = (
            "expected a scheme, a host and perhaps a port, without a path, such as `https://callgate.example.com`, got "
            f"{quoted(value)}"
        )
        raise ValueError(message)
    if not is_safe(value):
        message = "expected `https`: `http` is for loopback alone, because sessions would travel in the clear"
        raise ValueError(message)
    return value


PublicUrl = Annotated[str, AfterValidator(_public_url)]
"""The URL under which browsers reach a port: a scheme, a host and perhaps a port."""


class Login(Section):
    """An issuer at which people log in, by OpenID Connect."""

    issuer: IssuerUrl
    """URL of the issuer, compared exactly with the `iss` of its tokens; its metadata is read there. `http` only on
    loopback."""

    client_id: Text
    """Id of callgate as a client of the issuer."""

    client_secret_file: FilePath | None = None
    """File with the secret of the client, one line. By default callgate is a public client, protected by PKCE alone."""

    device_client_id: Text | None = None
    """Id of a public client for `callgate login`. By default that of `client_id`, if it has no secret."""

    name: Text | None = None
    """Name of the issuer on the log-in page; the host of the issuer by default."""

    scopes: Annotated[list[ScopeWord], Field(max_length=64)] = Field(default=["openid", "profile"])
    """Scopes that are asked for; `openid` is one of them."""

    groups_claim: Claim = ("groups",)
    """The claim with the groups of a person, a list or one name: its name, or a list of names that lead to it."""

    name_claim: Claim = ("preferred_username",)
    """The claim with the name of a person for pages and records. Identity is by issuer and `sub` alone."""

    roles: Annotated[dict[LoginRole, list[Text]], Field(min_length=1)]
    """Groups of the issuer that give a role. `*` stands for everybody whom the issuer logs in; it gives `viewer` and
    `approver` alone. A person without a role is not logged in."""

    approver_groups: dict[Text, list[Text]] | None = None
    """Groups of approvers that policies name, each with the groups of the issuer that it consists of. By default the
    groups of the issuer under their own names."""

    userinfo: Flag = False
    """Ask the userinfo endpoint of the issuer for the groups if the ID token has none."""

    ca: FilePath | None = None
    """PEM file of the authorities that are trusted for the issuer in place of the system's."""

    clock_skew: Annotated[Duration, within(timedelta(), timedelta(minutes=5))] = timedelta(seconds=30)
    """Largest accepted deviation of the issuer's clock."""

    @model_validator(mode="after")
    def _checked(self) -> Login:
        if not is_safe(self.issuer):
            message = "`issuer` needs `https`: whoever could change its answers on their way could be anybody"
            raise ValueError(message)
        if self.ca is not None and self.issuer.startswith("http:"):
            message = "`ca` has no effect without an `issuer` that begins with `https`"
            raise ValueError(message)
        if "openid" not in self.scopes:
            message = "`scopes` needs `openid`, without which the issuer gives no ID token"
            raise ValueError(message)
        for role, groups in self.roles.items():
            if EVERYBODY in groups and role in _NOT_FOR_EVERYBODY:
                message = f"`roles.{role.value}`: `*` gives `viewer` and `approver` alone; name the groups"
                raise ValueError(message)
        return self

    @property
    def label(self) -> str:
        """The name on the log-in page."""
        return self.name or urlsplit(self.issuer).netloc

    @property
    def device_client(self) -> str | None:
        """The client of `callgate login`; None if there is none."""
        return self.device_client_id or (self.client_id if self.client_secret_file is None else None)

    def roles_of(self, groups: Collection[str]) -> frozenset[str]:
        """The names of the roles that groups of the issuer give."""
        known = {EVERYBODY, *groups}
        return frozenset(role.value for role, giving in self.roles.items() if not known.isdisjoint(giving))

    def approver_groups_of(self, groups: Collection[str]) -> frozenset[str]:
        """The groups of approvers that groups of the issuer are in."""
        if self.approver_groups is None:
            return frozenset(groups)
        return frozenset(name for name, members in self.approver_groups.items() if not set(members).isdisjoint(groups))


@cache
def _several() -> TypeAdapter[list[Login]]:
    return TypeAdapter(Annotated[list[Login], Field(min_length=1, max_length=_MOST_ISSUERS)])


def _one_or_several(value: object, _: ValidatorFunctionWrapHandler) -> Login | list[Login] | None:
    # Dispatched by hand, so that a fault is about the form that was written and has its place.
    if value is None or isinstance(value, Login):
        return value
    return _several().validate_python(value) if isinstance(value, list) else Login.model_validate(value)


Logins = Annotated[
    Login | Annotated[list[Login], Field(min_length=1, max_length=_MOST_ISSUERS)] | None,
    WrapValidator(_one_or_several),
]
"""One issuer, or a list of them."""


def listed(logins: Login | list[Login] | None) -> list[tuple[tuple[int, ...], Login]]:
    """Each issuer with its path in the section: its index if there is a list."""
    if logins is None:
        return []
    return [((index,), login) for index, login in enumerate(logins)] if isinstance(logins, list) else [((), logins)]


@dataclass(frozen=True)
class LoginSettings:
    """An issuer with the contents of its files."""

    login: Login
    secret: str | None = field(default=None, repr=False)
    ca: bytes | None = field(default=None, repr=False)


def parse_client_secret(content: bytes, where: str) -> str:
    """The secret of a client that a file contains.

    Raises:
        ConfigError: It is none. The message never shows any of it.
    """
    secret = content[: _LONGEST_SECRET_BYTES + 1].decode("utf-8", "replace").strip()
    if not secret or len(content) > _LONGEST_SECRET_BYTES or not (secret.isascii() and secret.isprintable()):
        message = f"{where}: expected the secret of the client: printable ASCII characters on one line"
        raise ConfigError(message)
    return secret
