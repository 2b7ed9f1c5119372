"""Requests to a sidecar whose files change."""

from __future__ import annotations

import socket
import ssl

import trustme

from support.setup import Running, Setup


def statuses(running: Running, *tokens: str | None) -> list[int]:
    """The status codes of answers to PEPs with these tokens."""
    return [running.ask(token, grant="g", server="s", tool="t")[0] for token in tokens]


def write_certificate(setup: Setup, certificate: trustme.LeafCert) -> None:
    setup.write("tls.key", certificate.private_key_pem.bytes().decode())
    setup.write("tls.crt", b"".join(pem.bytes() for pem in certificate.cert_chain_pems).decode())


def serial(running: Running, authority: trustme.CA) -> object:
    """The number of the certificate on a new connection."""
    context = ssl.create_default_context()
    authority.configure_trust(context)
    host, _, port = running.address.rpartition(":")
    raw = socket.create_connection((host, int(port)), timeout=20)
    with context.wrap_socket(raw, server_hostname=host) as connection:
        shown = connection.getpeercert()
    assert shown is not None
    return shown["serialNumber"]
