"""Hashes of passwords by argon2id, few at a time."""

from __future__ import annotations

import ctypes
import secrets
import threading
import unicodedata
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, ClassVar, Final

from argon2 import PasswordHasher, Type
from argon2.exceptions import InvalidHashError, VerificationError

from callgate.identity.errors import IdentityError, RetryError
from callgate.priority import step_back

if TYPE_CHECKING:
    from collections.abc import Iterator

SHORTEST: Final = 12
"""Characters of a new password."""

LONGEST: Final = 256
"""Likewise; a longer one is refused before it costs anything."""

AT_ONCE: Final = 2
"""Hashes at once, each with 19 MiB."""

WAITING: Final = 16
"""Hashes that may wait for their turn; further ones are refused."""

# OWASP's memory for argon2id, which fits beside a sidecar of 60 MiB, and twice its passes.
_HASHER: Final = PasswordHasher(time_cost=4, memory_cost=19_456, parallelism=1, hash_len=32, salt_len=16, type=Type.ID)
_RETRY_US: Final = 2_000_000

_M_MMAP_THRESHOLD: Final = -3
"""The option of glibc's `mallopt` (malloc.h)."""
_LARGE_BYTES: Final = 1 << 20

# The hash of no known password, with the present parameters: an unknown name costs what a known one does.
_NOBODY: Final = "$argon2id$v=19$m=19456,t=4,p=1$" + "A" * 22 + "$" + "A" * 43


class PasswordError(IdentityError):
    """A new password is not good enough."""


def _begin() -> None:
    """Prepares a thread for hashes.

    By default glibc keeps a block as large as that of a hash once it was freed, one for each thread: two logins made a
    sidecar 40 MiB larger for good. With a threshold of its own, a large block goes back to the system.
    """
    step_back()
    # Other libraries of C have no such function, or nothing to set.
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, _LARGE_BYTES)


class Passwords:
    """Makes and verifies hashes. All instances of a process share the bounds, and threads that start when needed."""

    _workers: ClassVar = ThreadPoolExecutor(AT_ONCE, "callgate-password", initializer=_begin)
    _room: ClassVar = threading.BoundedSemaphore(AT_ONCE + WAITING)

    def hash(self, password: str) -> str:
        """The hash of a new password, as argon2 encodes it. Takes some 50 ms.

        Raises:
            PasswordError: The password is too short, too long, or has characters that cannot be typed.
            RetryError: Too many hashes are made.
        """
        check_password(password)
        with self.turn():
            return self._workers.submit(lambda: _HASHER.hash(_bytes(password))).result()

    def verify(self, password_hash: str | None, password: str) -> bool:
        """True if it is the password of the hash; without a hash it takes as long and is false. Within a `turn`."""
        if len(password) > LONGEST:
            return False
        encoded = _NOBODY if password_hash is None else password_hash
        return self._workers.submit(_is_right, encoded, password).result() and password_hash is not None

    @contextmanager
    def turn(self) -> Iterator[None]:
        """A place among those who use a hash or wait for one.

        Raises:
            RetryError: None is free.
        """
        if not self._room.acquire(blocking=False):
            raise RetryError("too many people log in at this moment", _RETRY_US)
        try:
            yield
        finally:
            self._room.release()


def check_password(password: str) -> None:
    """Refuses passwords that are easy to guess or hard to type.

    Raises:
        PasswordError: It is one.
    """
    if not SHORTEST <= len(password) <= LONGEST:
        message = f"expected a password of {SHORTEST} to {LONGEST} characters, got {len(password)}"
        raise PasswordError(message)
    if not password.isprintable() or len(set(password)) == 1:
        message = "expected a password of printable characters that are not all the same"
        raise PasswordError(message)


def generated_password() -> str:
    """A random password of 128 bits."""
    return secrets.token_urlsafe(16)


def _is_right(encoded: str, password: str) -> bool:
    with suppress(VerificationError, InvalidHashError):
        return _HASHER.verify(encoded, _bytes(password))
    return False


def _bytes(password: str) -> bytes:
    # The same characters may come composed or not, by the keyboard. A lone surrogate is in no hash.
    return unicodedata.normalize("NFC", password).encode("utf-8", "surrogatepass")
