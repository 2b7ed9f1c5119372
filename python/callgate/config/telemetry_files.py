"""The files of the collector of spans and logs."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import TYPE_CHECKING, Final

from callgate.config.shared_keys import checked_authorities
from callgate.config.telemetry import OtlpProtocol, Telemetry
from callgate.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from callgate.config.document import KeyPath
    from callgate.config.faults import Fault
    from callgate.config.load import Loaded

_FIELD: Final = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}): *([\x20-\x7e]*)")
_LIBRARIES: Final = {
    OtlpProtocol.GRPC: "opentelemetry.exporter.otlp.proto.grpc",
    OtlpProtocol.HTTP: "opentelemetry.exporter.otlp.proto.http",
}
_MISSING: Final = "`telemetry` needs the packages of OpenTelemetry; install them with `pip install 'callgate[otlp]'`"


@dataclass(frozen=True)
class ReadCollector:
    """The collector with the contents of its files."""

    section: Telemetry
    headers: Mapping[str, str] = field(repr=False)
    ca: bytes | None = field(repr=False)


def read_collector(loaded: Loaded, read: Callable[[KeyPath, Path], bytes], faults: list[Fault]) -> ReadCollector | None:
    """The collector with the contents of its files; None without one, and after a fault.

    `read` gives the content of the file at a key, and records a fault if it cannot be read.
    """
    section = loaded.config.telemetry
    if section is None:
        return None
    before = len(faults)
    if not _is_installed(section.protocol):
        faults.append(loaded.fault(("telemetry",), _MISSING))
    headers: Mapping[str, str] = {}
    if section.headers_file is not None:
        at: KeyPath = ("telemetry", "headers_file")
        content = read(at, section.headers_file)
        try:
            headers = _headers(content, f"`{section.headers_file}`")
        except ConfigError as error:
            faults.append(loaded.fault(at, str(error)))
    ca = None
    if section.ca is not None:
        at = ("telemetry", "ca")
        if section.endpoint.startswith("http:"):
            faults.append(loaded.fault(at, "`ca` has no effect without an `endpoint` that begins with `https`"))
        ca = read(at, section.ca)
        try:
            checked_authorities(ca, f"`{section.ca}`")
        except ConfigError as error:
            # A file that could not be read is a fault already.
            if len(faults) == before:
                faults.append(loaded.fault(at, str(error)))
    return None if len(faults) > before else ReadCollector(section, headers, ca)


def _is_installed(protocol: OtlpProtocol) -> bool:
    """True if the library of a protocol is there, which is not imported for this."""
    try:
        return find_spec("opentelemetry.sdk") is not None and find_spec(_LIBRARIES[protocol]) is not None
    except ModuleNotFoundError:
        return False


def _headers(content: bytes, where: str) -> dict[str, str]:
    """The header fields of a file; messages never show their values.

    Raises:
        ConfigError: A line has another form.
    """
    headers = dict[str, str]()
    for number, line in enumerate(content.decode("utf-8", "replace").splitlines(), 1):
        if not line.strip():
            continue
        found = _FIELD.fullmatch(line.rstrip())
        if found is None:
            raise ConfigError(f"{where}, line {number}: expected the name of a header, a colon, and its value in ASCII")
        # gRPC takes names in lower case alone.
        headers[found[1].lower()] = found[2]
    return headers
