"""Findings about the tools that a scan has listed, with their places in the catalogue that it writes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from callgate.config.document import parse_document
from callgate.workbench.catalogue import write_catalogue
from callgate.workbench.classify.findings import catalogue_findings
from callgate.workbench.classify.sarif import place_of

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from callgate.workbench.catalogue import Catalogue
    from callgate.workbench.classify.findings import Finding


@dataclass(frozen=True)
class ScanFindings:
    """Findings of the levels error and warning."""

    findings: tuple[Finding, ...]
    places: tuple[tuple[int, int] | None, ...]
    """For each finding its line and column; None if no file has the catalogue."""
    file: Path | None = None

    def json(self) -> list[dict[str, Any]]:
        """The findings as `callgate classify` gives them."""
        return [finding.json(place) for finding, place in zip(self.findings, self.places, strict=True)]


def scan_findings(catalogue: Catalogue, servers: Collection[str], file: Path | None) -> ScanFindings:
    """Looks for findings about the tools of scanned servers.

    Args:
        catalogue: The catalogue after the scan; names are compared over all of its servers.
        servers: The servers that were scanned.
        file: The file that gets the catalogue, if one does.
    """
    found = tuple(one for one in catalogue_findings(catalogue, servers) if one.level != "note")
    if file is None or not found:
        return ScanFindings(found, (None,) * len(found))
    document = parse_document(str(file), write_catalogue(catalogue).encode())
    return ScanFindings(found, tuple(place_of(one, document, document.data) for one in found), file)
