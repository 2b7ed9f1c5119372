"""TLS of the admin port: its certificate, renewed while it runs."""

from __future__ import annotations

import hashlib
import http.client
import socket
import ssl
import urllib.request
from contextlib import ExitStack
from pathlib import Path

import pytest
import trustme

from support.program import refused
from support.setup import Running, Setup, until

TIMEOUT_S = 20


@pytest.fixture(scope="module")
def ca() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def setup(tmp_path: Path, ca: trustme.CA) -> Setup:
    setup = Setup(tmp_path)
    renew(setup, ca)
    setup.configure(admin={"tls": {"certificate": "tls.crt", "key": "tls.key"}})
    return setup


def renew(setup: Setup, ca: trustme.CA) -> str:
    """Writes a certificate; gives its digest."""
    leaf = ca.issue_cert("localhost", "127.0.0.1")
    chain = "".join(pem.bytes().decode() for pem in leaf.cert_chain_pems)
    setup.write("tls.key", leaf.private_key_pem.bytes().decode())
    setup.write("tls.crt", chain)
    return hashlib.sha256(ssl.PEM_cert_to_DER_cert(leaf.cert_chain_pems[0].bytes().decode())).hexdigest()


def trusting(ca: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context()
    ca.configure_trust(context)
    return context


def shown(address: str, ca: trustme.CA) -> str:
    """The digest of the certificate that the port shows."""
    host, _, port = address.rpartition(":")
    with ExitStack() as stack:
        plain = stack.enter_context(socket.create_connection((host, int(port)), TIMEOUT_S))
        secure = stack.enter_context(trusting(ca).wrap_socket(plain, server_hostname="localhost"))
        certificate = secure.getpeercert(binary_form=True)
    assert certificate is not None
    return hashlib.sha256(certificate).hexdigest()


def admin(running: Running) -> str:
    return running.sidecar.said(r"^admin: +https://(\S+)")


def test_a_renewed_certificate_is_shown_without_a_restart(setup: Setup, ca: trustme.CA) -> None:
    first = renew(setup, ca)
    with setup.serving() as running:
        address = admin(running)
        assert shown(address, ca) == first
        with urllib.request.urlopen(f"https://{address}/readyz", context=trusting(ca), timeout=TIMEOUT_S) as answer:
            assert answer.read() == b"ready\n"
        second = renew(setup, ca)
        until(lambda: shown(address, ca) == second)
        setup.write("tls.key", "no key")
        running.hang_up()
        until(lambda: "the certificate of the admin port cannot be used" in _readiness(address, ca))
        assert shown(address, ca) == second


def _readiness(address: str, ca: trustme.CA) -> str:
    with urllib.request.urlopen(f"https://{address}/readyz", context=trusting(ca), timeout=TIMEOUT_S) as answer:
        text: str = answer.read().decode()
        return text


def test_clients_that_do_not_speak_tls_hold_up_nobody(setup: Setup, ca: trustme.CA) -> None:
    with setup.serving() as running, ExitStack() as crowd:
        host, _, port = admin(running).rpartition(":")
        for sent in (b"", b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n") * 50:
            crowd.enter_context(socket.create_connection((host, int(port)), TIMEOUT_S)).sendall(sent)
        assert _readiness(admin(running), ca) == "ready\n"
        with pytest.raises((http.client.HTTPException, OSError)):
            urllib.request.urlopen(f"http://{admin(running)}/readyz", timeout=TIMEOUT_S)


@pytest.mark.parametrize(("name", "content"), [("tls.key", "no key"), ("tls.crt", "no certificate")])
def test_a_certificate_that_cannot_be_used_is_a_fault(setup: Setup, name: str, content: str) -> None:
    setup.write(name, content)
    for words in (["config", "check", str(setup.file)], ["serve", "--config", str(setup.file)]):
        line = refused(*words)
        assert "callgate.yaml:1:" in line
        assert "the certificate of the admin port cannot be used" in line
