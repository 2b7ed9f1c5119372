"""The files of receivers of notices."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from callgate._callgate import Webhook
from callgate.config.address import is_loopback
from callgate.config.notices import LONGEST_URL, NoticeReceiver, receiver_url
from callgate.config.units import to_ms
from callgate.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path
    from typing import TypeAlias

    from callgate.config.document import KeyPath
    from callgate.config.faults import Fault
    from callgate.config.load import Loaded

    Read: TypeAlias = Callable[[KeyPath, Path], bytes]

_SECRET_PREFIX: Final = "whsec_"  # noqa: S105  the beginning of every secret
_SECRET_BYTES: Final = range(24, 65)


@dataclass(frozen=True)
class ReadReceiver:
    """A receiver with the contents of its files."""

    name: str
    section: NoticeReceiver
    url: str = field(repr=False)
    secrets: tuple[str, ...] = field(repr=False)
    ca: bytes | None = field(repr=False)
    hook: Webhook = field(repr=False, compare=False)


def read_receivers(loaded: Loaded, read: Read, faults: list[Fault]) -> Iterator[ReadReceiver]:
    """The receivers with the contents of their files.

    `read` gives the content of the file at a key, and records a fault if it cannot be read.
    """
    for name, section in loaded.config.notices.receivers.items():
        at: KeyPath = ("notices", "receivers", name)
        before = len(faults)
        url_key = "url" if section.url_file is None else "url_file"
        url = section.url or ""
        if section.url_file is not None:
            url = _checked(loaded, (*at, "url_file"), read((*at, "url_file"), section.url_file), receiver_url, faults)
        secrets = [
            _checked(loaded, (*at, "secret_files", index), read((*at, "secret_files", index), path), _secret, faults)
            for index, path in enumerate(section.secret_files)
        ]
        ca = None if section.ca is None else read((*at, "ca"), section.ca)
        if len(faults) > before:
            continue
        try:
            timeout_ms = to_ms(section.timeout)
            hook = Webhook(url, ca=ca, allow_link_local=section.allow_link_local, timeout_ms=timeout_ms)
        except ConfigError as error:
            part, _, message = str(error).partition(": ")
            faults.append(loaded.fault((*at, url_key if part == "`url`" else "ca"), message))
            continue
        yield ReadReceiver(name, section, url, tuple(secrets), ca, hook)


def plain_receivers(receivers: Iterable[ReadReceiver]) -> Iterator[str]:
    """Names of receivers whose messages travel in the clear to another machine."""
    for one in receivers:
        parts = urlsplit(one.url)
        if parts.scheme == "http" and not is_loopback(parts.hostname or ""):
            yield one.name


def _checked(loaded: Loaded, at: KeyPath, content: bytes, parse: Callable[[str], str], faults: list[Fault]) -> str:
    """The text of a file that was read; empty after a fault."""
    try:
        return parse(content[: 2 * LONGEST_URL].decode().strip())
    except ValueError as error:
        message = "expected UTF-8 text" if isinstance(error, UnicodeDecodeError) else str(error)
        # A file that could not be read is a fault already.
        if content:
            faults.append(loaded.fault(at, f"the file's content: {message}"))
        return ""


def _secret(text: str) -> str:
    """A secret of Standard Webhooks; the message never shows any of it."""
    try:
        key = base64.b64decode(text.removeprefix(_SECRET_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) not in _SECRET_BYTES:
        message = (
            f"expected a secret of {_SECRET_BYTES[0]} to {_SECRET_BYTES[-1]} bytes in base64 after `{_SECRET_PREFIX}`; "
            f"`echo {_SECRET_PREFIX}$(openssl rand -base64 32)` makes one"
        )
        raise ValueError(message)
    return text
