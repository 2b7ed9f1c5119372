"""The admin port and TLS."""

from __future__ import annotations

from enum import Enum

from pydantic import Field, model_validator

from callgate.config.fields import Address, FilePath, Section
from callgate.config.login import Logins, PublicUrl, listed
from callgate.config.step_up import StepUp, is_passkey_host


class AdminTls(Section):
    """TLS of the admin port; the control socket stays plain."""

    certificate: FilePath
    """PEM file of the certificate and the chain up to its issuer; its contents may change at any time."""

    key: FilePath
    """PEM file of the certificate's private key, without a password."""


class TwoPersonChange(str, Enum):
    """Changes that can take two people."""

    POLICIES = "policies"


class Admin(Section):
    """The port of metrics and health."""

    listen: Address = "127.0.0.1:9193"
    """Address of metrics and health: an IP address and a port; port 0 takes a free one."""

    grpc_listen: Address | None = "127.0.0.1:9194"
    """Address of the admin API over gRPC; by default on loopback, at the port after that of `listen`. Other addresses
    need `tls`. Port 0 takes a free one, `null` is for no gRPC."""

    token_file: FilePath | None = None
    """File of a token, at least 32 characters, with which `callgate status` and the like may ask over this port; by
    default they reach only the control socket in the state folder."""

    tls: AdminTls | None = None
    """TLS of the admin port."""

    public_url: PublicUrl | None = None
    """URL under which browsers reach the port, such as `https://callgate.example.com`; `http` only on loopback. Links
    of notices begin with it; by default they are made of `listen`. Needed for `login` and `step_up`."""

    login: Logins = None
    """The issuers at which people log in (OpenID Connect): one, or a list of them."""

    step_up: StepUp = StepUp()
    """Approvals that take a passkey; none by default."""

    four_eyes: list[TwoPersonChange] = Field(default=[])
    """Changes that take effect once another person has confirmed them: `policies`, those of the store. None by
    default."""

    @model_validator(mode="after")
    def _passkeys_have_a_name(self) -> Admin:
        if not self.step_up.is_on:
            return self
        if self.public_url is None:
            message = "`step_up` needs `public_url`, for whose host browsers make passkeys"
            raise ValueError(message)
        if not is_passkey_host(self.public_url):
            message = "`step_up` needs a name as the host of `public_url`: browsers make no passkeys for IP addresses"
            raise ValueError(message)
        return self

    @model_validator(mode="after")
    def _issuers_fit(self) -> Admin:
        issuers = [login.issuer for _, login in listed(self.login)]
        if issuers and self.public_url is None:
            message = "`login` needs `public_url`, to which an issuer sends people back"
            raise ValueError(message)
        if len(set(issuers)) < len(issuers):
            message = "`login` has an issuer twice; give each issuer one entry"
            raise ValueError(message)
        return self


class Tls(Section):
    """TLS of the decision port; the Unix socket stays plain."""

    certificate: FilePath
    """PEM file of the certificate and the chain up to its issuer."""

    key: FilePath
    """PEM file of the certificate's private key."""

    client_ca: FilePath | None = None
    """PEM file of the authorities whose client certificates are admitted; with it, TLS is mutual."""
