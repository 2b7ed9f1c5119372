"""The key that signs the decision log, with the statements beside it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Final

from callgate.config.document import read_bytes
from callgate.errors import ConfigError
from callgate.text import masked

if TYPE_CHECKING:
    from pathlib import Path

    from callgate.ledger.statement import Statement

PUBLIC_SUFFIX: Final = ".pub"
"""The file of the statements has the name of the key with this at its end."""


@dataclass(frozen=True)
class AuditKey:
    """A key as its files have it; that they belong together is checked where it signs."""

    pem: bytes
    statements: tuple[Statement, ...]
    """Of all keys up to this one, the oldest first; empty for a key without such a file."""


def public_path(path: Path) -> Path:
    """The file of the statements of a key."""
    return path.with_name(path.name + PUBLIC_SUFFIX)


def read_audit_key(path: Path) -> AuditKey:
    """The key of a file, with its statements.

    Raises:
        ConfigError: A file cannot be read, or the statements have another form. The message never shows any of the key.
    """
    pem = read_bytes(path)
    statements = public_path(path)
    if not statements.exists():
        return AuditKey(pem, ())
    from callgate.ledger.statement import parse_statements  # noqa: PLC0415  signed logs alone need it

    text = read_bytes(statements).decode("utf-8", "replace")
    try:
        return AuditKey(pem, tuple(parse_statements(text)))
    except ValueError as error:
        message = f"`{masked(str(statements))}`: {error}"
        raise ConfigError(message) from None


def expires_unix_s(key: AuditKey) -> int | None:
    """The Unix time, in seconds, from which on a key signs nothing more; None if it has no end."""
    expires = key.statements[-1].expires if key.statements else None
    return None if expires is None else int(expires.timestamp())


def expiry_fault(key: AuditKey, path: Path, now: datetime | None = None) -> str | None:
    """The fault of a key that signs nothing any more; None if it still does."""
    now = datetime.now(timezone.utc) if now is None else now
    if not key.statements or not key.statements[-1].has_expired(now):
        return None
    return (
        f"the audit key has expired ({key.statements[-1].expires:%Y-%m-%dT%H:%M:%SZ}); make the next one with "
        f"`callgate audit key rotate {path} NEW`, and name it here"
    )
