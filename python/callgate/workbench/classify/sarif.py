"""Findings as SARIF 2.1.0, for code scanning: rules with their OWASP identifiers, and the place of each finding."""

from __future__ import annotations

import hashlib
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from callgate.workbench.classify.findings import KINDS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from callgate.config.document import KeyPath, Positions
    from callgate.workbench.classify.findings import Finding

SCHEMA: Final = "https://json.schemastore.org/sarif-2.1.0.json"
OWASP: Final = {
    "MCP01:2025": "Token Mismanagement & Secret Exposure",
    "MCP02:2025": "Privilege Escalation via Scope Creep",
    "MCP03:2025": "Tool Poisoning",
    "MCP04:2025": "Software Supply Chain Attacks & Dependency Tampering",
    "MCP05:2025": "Command Injection & Execution",
    "MCP06:2025": "Prompt Injection via Contextual Payloads",
    "MCP07:2025": "Insufficient Authentication & Authorization",
    "MCP08:2025": "Lack of Audit and Telemetry",
    "MCP09:2025": "Shadow MCP Servers",
    "MCP10:2025": "Context Injection & Over-Sharing",
}
"""The OWASP MCP Top 10 of 2025 (https://owasp.org/www-project-mcp-top-10/)."""
_TAXONOMY: Final = "OWASP MCP Top 10"


def sarif(findings: Sequence[Finding], positions: Positions, version: str) -> dict[str, Any]:
    """The log of one run over a catalogue's file."""
    codes = list(KINDS)
    return {
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {
                    "driver": {
                        "name": "callgate",
                        "version": version,
                        "informationUri": "https://github.com/callgate/callgate",
                        "rules": [_rule(code) for code in codes],
                        "supportedTaxonomies": [{"name": _TAXONOMY, "index": 0}],
                    }
                },
                "taxonomies": [_taxonomy()],
                "columnKind": "unicodeCodePoints",
                "results": [_result(finding, codes.index(finding.code), positions) for finding in findings],
            }
        ],
    }


def place_of(finding: Finding, positions: Positions, data: Any) -> tuple[int, int]:  # noqa: ANN401  a document's data
    """Line and column of the text that a finding is about, or of the nearest value around it."""
    path: list[str | int] = []
    value = data
    for step in finding.path:
        if isinstance(value, dict) and step in value:
            path.append(step)
            value = value[step]
        elif isinstance(value, list) and step.isdecimal() and int(step) < len(value):
            path.append(int(step))
            value = value[int(step)]
        else:
            break
    found: KeyPath = tuple(path)
    return positions.place(found, of_key=isinstance(value, dict) and bool(found))


def _rule(code: str) -> dict[str, Any]:
    kind = KINDS[code]  # type: ignore[index]
    return {
        "id": code,
        "shortDescription": {"text": kind.summary},
        "defaultConfiguration": {"level": kind.level},
        "properties": {"tags": ["security", *kind.owasp]},
        "relationships": [
            {
                "target": {
                    "id": one,
                    "index": list(OWASP).index(one),
                    "toolComponent": {"name": _TAXONOMY, "index": 0},
                },
                "kinds": ["relevant"],
            }
            for one in kind.owasp
        ],
    }


def _taxonomy() -> dict[str, Any]:
    return {
        "name": _TAXONOMY,
        "version": "2025",
        "organization": "OWASP",
        "informationUri": "https://owasp.org/www-project-mcp-top-10/",
        "isComprehensive": True,
        "taxa": [{"id": one, "name": name, "shortDescription": {"text": name}} for one, name in OWASP.items()],
    }


def _result(finding: Finding, rule: int, positions: Positions) -> dict[str, Any]:
    line, column = place_of(finding, positions, getattr(positions, "data", {}))
    subject = f"{finding.server}/{finding.tool}" if finding.tool else finding.server
    said = f"grant `{finding.grant}`: {finding.message}" if finding.grant else f"{subject}: {finding.message}"
    # Neither line nor text: a finding stays the same one when the file is written anew.
    identity = "\0".join((finding.code, finding.grant, finding.server, finding.tool, *finding.path, finding.message))
    return {
        "ruleId": finding.code,
        "ruleIndex": rule,
        "level": finding.level,
        "message": {"text": said},
        "locations": [
            {
                "physicalLocation": {
                    "artifactLocation": {"uri": _uri(positions.file)},
                    "region": {"startLine": line, "startColumn": column},
                },
                "logicalLocations": [{"name": finding.tool, "fullyQualifiedName": subject, "kind": "function"}],
            }
        ],
        "partialFingerprints": {"callgate/v1": hashlib.sha256(identity.encode("utf-8", "surrogatepass")).hexdigest()},
        "properties": {"owasp": list(finding.owasp)},
    }


def _uri(file: str) -> str:
    path = PurePath(file)
    return path.as_uri() if path.is_absolute() else quote(path.as_posix())
