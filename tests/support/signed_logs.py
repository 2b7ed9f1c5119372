"""Signed logs made by hand: the tree is computed from its definition, and any line can be put anywhere."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from callgate.errors import ConfigError
from callgate.ledger.files import log_files
from callgate.ledger.note import PublicKey
from callgate.ledger.private import new_private_key, public_of, signed_note
from callgate.ledger.verify import KnownCheckpoint, TrustedKey, Verification, verify

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

ORIGIN: Final = "host/0011223344556677"
TIME: Final = "2026-11-21T11:04:25.123456Z"


def root(entries: Sequence[bytes]) -> bytes:
    """`MTH` of RFC 6962, section 2.1."""
    if not entries:
        return sha256(b"").digest()
    if len(entries) == 1:
        return sha256(b"\0" + entries[0]).digest()
    split = 1 << (len(entries) - 1).bit_length() - 1
    return sha256(b"\1" + root(entries[:split]) + root(entries[split:])).digest()


def subtrees(entries: Sequence[bytes]) -> list[bytes]:
    """The roots of the complete subtrees, the largest first."""
    roots, rest = [], list(entries)
    while rest:
        size = 1 << len(rest).bit_length() - 1
        roots.append(root(rest[:size]))
        rest = rest[size:]
    return roots


def shown(content: bytes) -> str:
    return base64.b64encode(content).decode()


@dataclass
class LogMaker:
    """Makes a log, file by file."""

    origin: str = ORIGIN
    key: Ed25519PrivateKey = field(default_factory=new_private_key)
    entries: list[bytes] = field(default_factory=list)
    files: list[list[bytes]] = field(default_factory=list)
    kept_from: int = 0

    def public(self) -> PublicKey:
        return public_of(self.key)

    def add(self, **fields: Any) -> None:
        fields["index"] = len(self.entries)
        line = json.dumps(fields, separators=(",", ":"), ensure_ascii=False).encode()
        self.raw(line)

    def raw(self, line: bytes) -> None:
        self.entries.append(line)
        self.files[-1].append(line)

    def hashes(self) -> list[str]:
        return [shown(one) for one in subtrees(self.entries)]

    def file(self, **more: Any) -> None:
        """Begins the next file."""
        self.files.append([])
        self.add(kind="file", origin=self.origin, hashes=self.hashes(), kept_from=self.kept_from, **more)

    def decision(self, number: int = 0, **more: Any) -> None:
        fields = {"time": TIME, "grant": "ci", "tool": f"t{number}", "outcome": "allow"}
        self.add(**{**fields, **more})

    def note(self) -> str:
        """The checkpoint over what there is, as a note."""
        text = f"{self.origin}\n{len(self.entries)}\n{shown(root(self.entries))}\n"
        return signed_note(text, self.origin, self.key)

    def checkpoint(self, *, hashes: bool = False) -> str:
        note = self.note()
        self.add(kind="checkpoint", note=note, **({"hashes": self.hashes()} if hashes else {}))
        return note

    def write(self, path: Path) -> list[Path]:
        """Writes the files as rotation leaves them; the oldest first."""
        numbered = [path.with_name(f"{path.name}.{number}") for number in range(len(self.files) - 1, 0, -1)]
        for file, lines in zip([*numbered, path], self.files, strict=True):
            file.write_bytes(b"".join(line + b"\n" for line in lines))
        return [*numbered, path]


def verified(
    path: Path, keys: Sequence[PublicKey], notes: Sequence[str] = (), *, is_local: bool = False, admin: bool = False
) -> list[Verification]:
    """The results for all logs that begin with this path."""
    from callgate.ledger.checkpoint import parse_checkpoint  # noqa: PLC0415  the name is that of a method here

    known = [KnownCheckpoint(parse_checkpoint(note), is_local=is_local) for note in notes]
    trusted = [TrustedKey(key) for key in keys]
    return [verify(origin, files, trusted, known, keeps_admin=admin) for origin, files in log_files([path]).items()]


def is_found(path: Path, keys: Sequence[PublicKey], notes: Sequence[str] = ()) -> bool:
    """True if the command would not end with exit code 0."""
    try:
        results = verified(path, keys, notes)
    except ConfigError:
        return True
    return not results or any(not one.is_intact or one.is_complete is False or one.unsigned for one in results)
