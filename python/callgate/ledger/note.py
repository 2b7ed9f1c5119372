"""Signed notes, as C2SP's `signed-note` writes them, with Ed25519 keys."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from hashlib import sha256
from io import StringIO
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

SIGNATURE: Final = "\u2014 "
"""Begins the line of a signature."""

_ED25519: Final = b"\x01"
_ID_BYTES: Final = 4
_KEY_BYTES: Final = 32


@dataclass(frozen=True)
class PublicKey:
    """An Ed25519 key that verifies notes."""

    content: bytes
    """The 32 bytes of RFC 8032."""

    def __str__(self) -> str:
        """The key in base64."""
        return base64.b64encode(self.content).decode()

    def id(self, name: str) -> bytes:
        """The id of the key under a name: it tells keys apart, and proves nothing."""
        return sha256(name.encode() + b"\n" + _ED25519 + self.content).digest()[:_ID_BYTES]

    def verifier_key(self, name: str) -> str:
        """The key as verifiers of notes take it: `NAME+ID+KEY`."""
        return f"{name}+{self.id(name).hex()}+{base64.b64encode(_ED25519 + self.content).decode()}"

    def has_signed(self, name: str, text: bytes, signature: bytes) -> bool:
        """True if the signature is this key's over the text."""
        # It takes time to import, and a configuration with a key file needs none of it.
        from cryptography.exceptions import InvalidSignature  # noqa: PLC0415
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey  # noqa: PLC0415

        if signature[:_ID_BYTES] != self.id(name):
            return False
        try:
            Ed25519PublicKey.from_public_bytes(self.content).verify(signature[_ID_BYTES:], text)
        except InvalidSignature:
            return False
        return True


def public_key(content: bytes) -> PublicKey:
    """A key of its bytes.

    Raises:
        ValueError: They are not 32.
    """
    if len(content) != _KEY_BYTES:
        message = f"expected a key of {_KEY_BYTES} bytes, got {len(content)}"
        raise ValueError(message)
    return PublicKey(content)


def parse_verifier_key(text: str) -> tuple[str, PublicKey]:
    """The name and the key of `NAME+ID+KEY`.

    Raises:
        ValueError: It is no such key.
    """
    name, _, rest = text.partition("+")
    key_id, _, encoded = rest.partition("+")
    try:
        typed = base64.b64decode(encoded, validate=True)
    except ValueError:
        typed = b""
    if not name or typed[:1] != _ED25519 or len(typed) != 1 + _KEY_BYTES:
        message = "expected an Ed25519 key as `NAME+ID+KEY`"
        raise ValueError(message)
    key = PublicKey(typed[1:])
    if key.id(name).hex() != key_id:
        message = "the id of the key does not fit to its name"
        raise ValueError(message)
    return name, key


@dataclass(frozen=True)
class Note:
    """A text with signatures, none of which is verified yet."""

    text: str
    """With its last line break."""
    signatures: tuple[tuple[str, bytes], ...]
    """The name of each key, and the id with the signature."""

    def is_signed_by(self, key: PublicKey, name: str) -> bool:
        """True if the key has signed the note under this name, and no signature that claims to be its own is wrong."""
        own = [one for signer, one in self.signatures if signer == name and one[:_ID_BYTES] == key.id(name)]
        return bool(own) and all(key.has_signed(name, self.text.encode(), one) for one in own)


def parse_note(note: str) -> Note:
    """Reads one note.

    Raises:
        ValueError: It has another form.
    """
    before, separator, after = note.rpartition("\n\n")
    lines = after.removesuffix("\n").split("\n")
    if not separator or not after.endswith("\n"):
        message = "expected a text, an empty line, and lines of signatures"
        raise ValueError(message)
    return Note(before + "\n", tuple(_signature(line) for line in lines))


def _signature(line: str) -> tuple[str, bytes]:
    name, _, encoded = line.removeprefix(SIGNATURE).partition(" ")
    try:
        content = base64.b64decode(encoded, validate=True)
    except ValueError:
        content = b""
    is_canonical = base64.b64encode(content).decode() == encoded
    if not line.startswith(SIGNATURE) or not name or len(content) <= _ID_BYTES or not is_canonical:
        message = "expected a line of a signature"
        raise ValueError(message)
    return name, content


def notes_in(text: str) -> Iterator[str]:
    """The notes of a file in which they follow one another; the last one may be cut off, and is then left out."""
    # Not `splitlines`: other characters end no line of a note.
    yield from _notes(StringIO(text, newline="\n"))


def _notes(lines: Iterable[str]) -> Iterator[str]:
    held: list[str] = []
    has_signature = False
    for line in lines:
        is_signature = line.startswith(SIGNATURE)
        if has_signature and not is_signature:
            yield "".join(held)
            held, has_signature = [], False
        if not held and line == "\n":
            continue
        held.append(line)
        has_signature = is_signature and line.endswith("\n")
    if has_signature:
        yield "".join(held)
