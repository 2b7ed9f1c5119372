"""The key under which tokens are hashed: without it, hashes cannot be used to verify guessed tokens."""

from __future__ import annotations

import base64
import binascii
import os
import re
import secrets
import stat
from typing import TYPE_CHECKING, Final

from callgate.config.document import read_bytes
from callgate.config.state import GRANT_KEY_NAME
from callgate.errors import ConfigError
from callgate.text import masked, reason_of

if TYPE_CHECKING:
    from pathlib import Path

    from callgate.config.model import Config

KEY_BYTES: Final = 32
_LONGEST: Final = 1_024
_LEAST_TOKEN: Final = 32


def key_path(config: Config) -> Path:
    """The file of the key."""
    return config.grant_key_file or config.state / GRANT_KEY_NAME


def read_key(config: Config) -> bytes:
    """The key from the environment, or else from its file.

    Raises:
        ConfigError: There is none, or it is no key. The message never shows any of it.
    """
    if config.grant_key is not None:
        return parse_key(config.grant_key.get_secret_value(), "environment variable `CALLGATE_GRANT_KEY`")
    path = key_path(config)
    if config.grant_key_file is None and not is_in_state(config):
        message = (
            f"token hashes need the key that they were made with, and `{path}` is not there; name its file as "
            "`grant_key_file`, set CALLGATE_GRANT_KEY, or make tokens with `callgate grants create`"
        )
        raise ConfigError(message)
    return parse_key(read_bytes(path)[:_LONGEST].decode("utf-8", "replace"), f"`{path}`")


def is_in_state(config: Config) -> bool:
    """True if the state folder holds the key.

    Raises:
        ConfigError: The folder cannot be read.
    """
    try:
        (config.state / GRANT_KEY_NAME).stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        message = (
            f"cannot read the state folder `{masked(str(config.state))}`: {reason_of(error)}; "
            "start callgate as the user to whom it belongs, or name another with --state (key `state`)"
        )
        raise ConfigError(message) from None
    return True


def read_or_create_key(config: Config) -> tuple[bytes, Path | None]:
    """Works like `read_key`, but creates a missing key file for this user alone. Also returns the created file.

    Raises:
        ConfigError: It is no key, or cannot be written.
    """
    path = key_path(config)
    if config.grant_key is None:
        try:
            return _create(path), path
        except FileExistsError:
            pass
        except OSError as error:
            message = f"cannot create the key `{path}`: {reason_of(error)}"
            raise ConfigError(message) from None
    return read_key(config), None


def parse_key(text: str, where: str) -> bytes:
    """32 bytes from hex or base64 (both alphabets, with or without padding).

    Raises:
        ConfigError: They are not.
    """
    plain = "".join(text.split())
    if re.fullmatch(r"[0-9a-fA-F]{64}", plain):
        return bytes.fromhex(plain)
    try:
        padded = plain.rstrip("=").translate(str.maketrans("-_", "+/"))
        key = base64.b64decode(padded + "=" * (-len(padded) % 4), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != KEY_BYTES:
        message = f"{where}: expected a key of 32 bytes as 64 hex digits or in base64; `openssl rand -hex 32` makes one"
        raise ConfigError(message)
    return key


def parse_token(content: bytes, where: str) -> str:
    """The token of operators that a file contains.

    Raises:
        ConfigError: It is none. The message never shows any of it.
    """
    token = content[:_LONGEST].decode("utf-8", "replace").strip()
    if len(token) < _LEAST_TOKEN or not (token.isascii() and token.isprintable()) or " " in token:
        message = (
            f"{where}: expected a token of at least {_LEAST_TOKEN} printable ASCII characters without spaces; "
            "`openssl rand -hex 32` makes one"
        )
        raise ConfigError(message)
    return token


def is_open_to_others(path: Path) -> bool:
    """True if other users may read a file that is only for this user."""
    try:
        return bool(path.stat().st_mode & (stat.S_IRGRP | stat.S_IROTH))
    except OSError:
        return False


def _create(path: Path) -> bytes:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    key = secrets.token_bytes(KEY_BYTES)
    # Under another name first, so that half a key can never be read under the real one.
    partial = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    handle = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(base64.b64encode(key) + b"\n")
            file.flush()
            os.fsync(file.fileno())
        # Unlike a rename, a link does not replace a key that another process has just created.
        os.link(partial, path)
    finally:
        partial.unlink()
    return key
