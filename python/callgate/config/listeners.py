"""The admin port and TLS."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator

from callgate.config.fields import Address, FilePath, Section, public_base


class AdminTls(Section):
    """TLS of the admin port; the control socket stays plain."""

    certificate: FilePath
    """PEM file of the certificate and the chain up to its issuer; its contents may change at any time."""

    key: FilePath
    """PEM file of the certificate's private key, without a password."""


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

    public_url: Annotated[str, AfterValidator(public_base)] | None = None
    """URL of the admin port for people, in the links of notices: `https://callgate.example.com`. By default it is made
    of `listen`."""


class Tls(Section):
    """TLS of the decision port; the Unix socket stays plain."""

    certificate: FilePath
    """PEM file of the certificate and the chain up to its issuer."""

    key: FilePath
    """PEM file of the certificate's private key."""

    client_ca: FilePath | None = None
    """PEM file of the authorities whose client certificates are admitted; with it, TLS is mutual."""
