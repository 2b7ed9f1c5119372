"""A catalogue, classified, with every finding: what `callgate classify` prints and writes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from callgate.config.document import parse_document, read_bytes
from callgate.errors import ConfigError
from callgate.workbench.catalogue import parse_catalogue, write_catalogue
from callgate.workbench.classify.classification import classified
from callgate.workbench.classify.findings import catalogue_findings
from callgate.workbench.classify.grants import grant_of_policy, grants_of_config
from callgate.workbench.classify.leaks import leak_findings
from callgate.workbench.classify.sarif import place_of
from callgate.workbench.replace import replace

if TYPE_CHECKING:
    from pathlib import Path

    from callgate.config.document import Document
    from callgate.workbench.catalogue import Catalogue, Tool
    from callgate.workbench.classify.findings import Finding
    from callgate.workbench.classify.leaks import Grant


@dataclass(frozen=True)
class Report:
    """The result for one catalogue."""

    path: Path
    document: Document
    before: Catalogue
    """As the file has it."""
    catalogue: Catalogue
    """With the classification."""
    findings: tuple[Finding, ...]
    grants: tuple[Grant, ...] | None
    """Grants whose tools were looked at together; None if neither a policy nor a configuration was given."""

    def place(self, finding: Finding) -> tuple[int, int]:
        """Line and column of a finding in the file."""
        return place_of(finding, self.document, self.document.data)

    def json(self) -> dict[str, Any]:
        """The result as JSON: tools as decisions see them, corrections included, and findings."""
        return {
            "version": "1",
            "tools": [_tool(server, tool, self.catalogue) for server, tool in self.catalogue.tools()],
            "findings": [finding.json(self.place(finding)) for finding in self.findings],
            "grants": None if self.grants is None else [grant.name for grant in self.grants],
        }

    def write(self) -> bool:
        """Writes the classification into the catalogue's file in one step; False if it has it already.

        Raises:
            ConfigError: The file is not JSON, has changed meanwhile or cannot be written; it is unchanged then.
        """
        if self.path.suffix != ".json":
            message = (
                f"`{self.path}` is not replaced, since a catalogue is written as JSON: its name must end with `.json`"
            )
            raise ConfigError(message)
        after = write_catalogue(self.catalogue).encode()
        if after == self.document.content:
            return False
        replace(self.path, self.document.content, after)
        return True


def report(path: Path, policy: Path | None = None, config: Path | None = None) -> Report:
    """Classifies a catalogue and looks for findings; grants come from a policy, or from a configuration.

    Raises:
        ConfigError: A file cannot be read.
        InvalidConfigError: A file has faults.
    """
    content = read_bytes(path)
    before = parse_catalogue(str(path), content)
    catalogue = classified(before)
    grants: tuple[Grant, ...] | None = None
    if policy is not None:
        grants = (grant_of_policy(catalogue, policy),)
    elif config is not None:
        grants = tuple(grants_of_config(catalogue, config))
    findings = (*catalogue_findings(catalogue), *leak_findings(catalogue, grants or ()))
    return Report(path, parse_document(str(path), content), before, catalogue, findings, grants)


def _tool(server: str, tool: Tool, catalogue: Catalogue) -> dict[str, Any]:
    found: dict[str, Any] = {
        "server": server,
        "tool": tool.name,
        "category": tool.category,
        "risk": tool.risk,
        "confidence": tool.confidence,
        "evidence": tool.evidence,
        "attributes": tool.attributes.known(),
    }
    correction = catalogue.overrides.get(server, {}).get(tool.name)
    is_corrected = correction is not None and correction.has_effect
    return {**found, "corrected": True} if is_corrected else found
