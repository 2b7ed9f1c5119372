"""Private audit keys: made, read, and their statements signed."""

from __future__ import annotations

import base64
import os
from typing import TYPE_CHECKING

from callgate.disk import sync
from callgate.errors import ConfigError
from callgate.ledger.note import SIGNATURE, PublicKey
from callgate.ledger.statement import NAME, Statement, parse_statement, text_of
from callgate.text import reason_of

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey


def new_private_key() -> Ed25519PrivateKey:
    """A new key."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey  # noqa: PLC0415  few need it

    return Ed25519PrivateKey.generate()


def parse_private_key(pem: bytes, where: str) -> Ed25519PrivateKey:
    """The key of a PEM file.

    Raises:
        ConfigError: It is no Ed25519 key. The message never shows any of it.
    """
    from cryptography.exceptions import UnsupportedAlgorithm  # noqa: PLC0415  as above
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey  # noqa: PLC0415  as above
    from cryptography.hazmat.primitives.serialization import load_pem_private_key  # noqa: PLC0415  as above

    try:
        key = load_pem_private_key(pem, None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, Ed25519PrivateKey):
        message = f"{where}: expected an Ed25519 key in PEM, without a password; `callgate audit key new` makes one"
        raise ConfigError(message)
    return key


def public_of(key: Ed25519PrivateKey) -> PublicKey:
    """The key that verifies its signatures."""
    return PublicKey(key.public_key().public_bytes_raw())


def pem_of(key: Ed25519PrivateKey) -> bytes:
    """The key as a file has it."""
    from cryptography.hazmat.primitives.serialization import (  # noqa: PLC0415  as above
        Encoding,
        NoEncryption,
        PrivateFormat,
    )

    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def public_pem_of(key: PublicKey) -> str:
    """The public key as a file has it for other programs."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey  # noqa: PLC0415  as above
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat  # noqa: PLC0415  as above

    read = Ed25519PublicKey.from_public_bytes(key.content)
    return read.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def signed_note(text: str, name: str, *keys: Ed25519PrivateKey) -> str:
    """The note of a text, signed by these keys under one name."""
    lines = []
    for key in keys:
        signed = public_of(key).id(name) + key.sign(text.encode())
        lines.append(f"{SIGNATURE}{name} {base64.b64encode(signed).decode()}\n")
    return f"{text}\n{''.join(lines)}"


def new_statement(
    key: Ed25519PrivateKey, created: datetime, expires: datetime | None, former: Ed25519PrivateKey | None = None
) -> Statement:
    """The statement about a new key, signed by it and by the key before it."""
    public = None if former is None else public_of(former)
    text = text_of(public_of(key), created, expires, public)
    return parse_statement(signed_note(text, NAME, key, *([] if former is None else [former])))


def write_new(path: Path, content: bytes, mode: int) -> None:
    """Makes a file that does not exist yet.

    Raises:
        ConfigError: It exists, or cannot be made.
    """
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        sync(path.parent)
    except FileExistsError:
        message = f"`{path}` exists already; choose another name: a key is never written over"
        raise ConfigError(message) from None
    except OSError as error:
        message = f"cannot make `{path}`: {reason_of(error)}"
        raise ConfigError(message) from None
