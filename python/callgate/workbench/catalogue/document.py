"""The file of a catalogue: its schema (`callgate schema catalogue`) says its form, the engine's reader its faults."""

from __future__ import annotations

from dataclasses import fields
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from callgate._callgate import catalogue_faults
from callgate.config.document import parse_document, read_bytes
from callgate.config.faults import Fault, InvalidConfigError
from callgate.exact_json import write_json
from callgate.workbench.catalogue.tools import Attributes, Catalogue, CatalogueServer, Correction, Tool

if TYPE_CHECKING:
    from collections.abc import Mapping


def read_catalogue(path: Path) -> Catalogue:
    """Reads the file of a catalogue.

    Raises:
        ConfigError: It cannot be read.
        InvalidConfigError: It has faults; all of them are named.
    """
    return parse_catalogue(str(path), read_bytes(path))


def parse_catalogue(file: str, content: bytes) -> Catalogue:
    """Works like `read_catalogue`, on bytes that were read before; the suffix of `file` gives the format."""
    with TemporaryDirectory(prefix="callgate-catalogue-") as folder:
        # The engine's reader takes paths alone.
        path = Path(folder) / f"catalogue{Path(file).suffix}"
        path.write_bytes(content)
        faults = [Fault(message, file, line, column) for line, column, message in catalogue_faults(path)]
    if faults:
        raise InvalidConfigError(faults)
    data = parse_document(file, content).data
    return Catalogue(
        servers={name: _server(server) for name, server in data["servers"].items()},
        overrides={
            server: {name: _correction(correction) for name, correction in tools.items()}
            for server, tools in data.get("overrides", {}).items()
        },
        extra=_extra(data),
    )


def write_catalogue(catalogue: Catalogue) -> str:
    """The text of a catalogue's file, as JSON that ends with a line break; what is empty or not known is left out."""
    document: dict[str, Any] = {
        "version": "1",
        "servers": {name: _server_fields(server) for name, server in catalogue.servers.items()},
    }
    if catalogue.overrides:
        document["overrides"] = {
            server: {name: _known(correction) for name, correction in tools.items()}
            for server, tools in catalogue.overrides.items()
        }
    return write_json({**document, **catalogue.extra}, indent=2) + "\n"


def _server(data: Mapping[str, Any]) -> CatalogueServer:
    return CatalogueServer(
        tools={name: _tool(name, tool) for name, tool in data.get("tools", {}).items()},
        title=data.get("title", ""),
        version=data.get("version", ""),
        source=data.get("source", {}),
        scanned_at=data.get("scanned_at", ""),
        extra=_extra(data),
    )


def _tool(name: str, data: Mapping[str, Any]) -> Tool:
    confidence = data.get("confidence")
    return Tool(
        name=name,
        confidence=None if confidence is None else float(confidence),
        attributes=Attributes(**_plain(data.get("attributes", {}))),
        extra=_extra(data),
        **{key: value for key, value in _plain(data).items() if key not in ("confidence", "attributes")},
    )


def _correction(data: Mapping[str, Any]) -> Correction:
    given = _plain(data)
    attributes = Attributes(**_plain(given.pop("attributes", {})))
    return Correction(attributes=attributes, extra=_extra(data), **given)


def _server_fields(server: CatalogueServer) -> dict[str, Any]:
    tools = {name: _known(tool) for name, tool in server.tools.items()}
    return {**_known(server), "tools": tools}


def _known(item: Tool | Correction | CatalogueServer) -> dict[str, Any]:
    """The fields of an item that say something; of a server, all but its tools."""
    found: dict[str, Any] = {}
    for one in fields(item):
        value = getattr(item, one.name)
        if one.name in ("name", "extra", "tools"):
            continue
        if isinstance(value, Attributes):
            value = value.known()
        elif isinstance(value, float):
            # Written as people would write it, not with the digits of a binary fraction.
            value = Decimal(repr(value))
        if value or (one.name == "input_schema" and value is not None):
            found[one.name] = value
    return {**found, **item.extra}


def _plain(data: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in data.items() if not _is_extra(key)}


def _extra(data: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in data.items() if _is_extra(key)}


def _is_extra(key: str) -> bool:
    return key.startswith("x-") or key == "$schema"
