"""Public keys as people pass them on: statements, PEM, or `NAME+ID+KEY`."""

from __future__ import annotations

from typing import Final

from callgate.ledger.note import PublicKey, parse_verifier_key
from callgate.ledger.statement import HEADER, parse_statements
from callgate.ledger.verify import TrustedKey

_PEM: Final = "-----BEGIN PUBLIC KEY-----"


def parse_trusted(text: str) -> list[TrustedKey]:
    """The keys of a file, of which the last one is the newest.

    Raises:
        ValueError: It has none, or a statement is not signed by its key and the one before it.
    """
    text = text.lstrip()
    if text.startswith(HEADER):
        return _of_statements(text)
    if text.startswith(_PEM):
        return [TrustedKey(_of_pem(text))]
    _, key = parse_verifier_key(text.strip())
    return [TrustedKey(key)]


def _of_statements(text: str) -> list[TrustedKey]:
    statements = parse_statements(text)
    for statement in statements:
        signers = [statement.key] if statement.former is None else [statement.key, statement.former]
        if not all(statement.is_signed_by(key) for key in signers):
            message = "a statement is not signed by its key and the key before it"
            raise ValueError(message)
    return [TrustedKey(statement.key, statement.expires) for statement in statements]


def _of_pem(text: str) -> PublicKey:
    from cryptography.exceptions import UnsupportedAlgorithm  # noqa: PLC0415  it takes time to import
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey  # noqa: PLC0415  likewise
    from cryptography.hazmat.primitives.serialization import load_pem_public_key  # noqa: PLC0415  likewise

    try:
        key = load_pem_public_key(text.encode())
    except (ValueError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, Ed25519PublicKey):
        message = "expected an Ed25519 key"
        raise ValueError(message)  # noqa: TRY004  callers know one error
    return PublicKey(key.public_bytes_raw())
