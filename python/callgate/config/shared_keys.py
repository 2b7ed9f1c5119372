"""The keys of shared counters: their faults, and the files that they name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from callgate.config.faults import InvalidConfigError
from callgate.config.shared_place import parse_shared
from callgate.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from callgate.config.document import KeyPath
    from callgate.config.faults import Fault
    from callgate.config.load import Loaded

URL: Final[KeyPath] = ("counters", "shared", "url")
PASSWORD_FILE: Final[KeyPath] = ("counters", "shared", "password_file")
CA_FILE: Final[KeyPath] = ("counters", "shared", "ca_file")

NO_KEY: Final = (
    "callgates that share counters need one key of token hashes, because it names the counts; give each of them the "
    "same file as `grant_key_file`, or the same CALLGATE_GRANT_KEY; `openssl rand -hex 32` makes a key"
)
"""The fault of shared counters without a key of token hashes."""


def shared_faults(loaded: Loaded) -> Iterator[Fault]:
    """Faults of the keys alone; no file is read."""
    config = loaded.config
    shared = config.counters.shared
    if shared is None:
        return
    is_unknown = loaded.dropped & {"grant_key_file", "grant_key"}
    if config.grant_key_file is None and config.grant_key is None and not is_unknown:
        yield loaded.fault(URL, NO_KEY)
    if shared.ca_file is not None and not parse_shared(shared.url).is_tls:
        message = "`ca_file` is for TLS, and `counters.shared.url` has none; write `rediss://`, or take `ca_file` out"
        yield loaded.fault(CA_FILE, message)


def refuse_shared(loaded: Loaded) -> None:
    """Refuses shared counters for `callgate wrap`, whose calls would all find them unavailable.

    Raises:
        InvalidConfigError: The counters are shared.
    """
    if loaded.config.counters.shared is not None:
        message = (
            "`counters.shared` is for `callgate serve`, and `callgate wrap` cannot share counters; take it out, or put "
            "the server behind the gateway of `callgate serve`"
        )
        raise InvalidConfigError([loaded.fault(URL, message)])


def parse_password(content: bytes, where: str) -> str:
    """The password that a file contains.

    Raises:
        ConfigError: It is none. The message never shows any of it.
    """
    try:
        password = content.decode().strip()
    except UnicodeDecodeError:
        message = f"{where}: expected a password, this is no UTF-8 text"
        raise ConfigError(message) from None
    if not password or not password.isprintable():
        message = f"{where}: expected a password: printable characters on one line"
        raise ConfigError(message)
    return password


def checked_authorities(content: bytes, where: str) -> bytes:
    """The certificates that a PEM file contains.

    Raises:
        ConfigError: It contains none, or a broken one.
    """
    import ssl  # noqa: PLC0415  few configurations have such a file

    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=content.decode("ascii"))
    except (ValueError, ssl.SSLError):
        message = f"{where}: expected certificates of authorities as PEM, from `-----BEGIN CERTIFICATE-----` on"
        raise ConfigError(message) from None
    return content
