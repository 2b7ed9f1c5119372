"""Lines of decision logs as other systems read them: CEF, and syslog of RFC 5424."""

from __future__ import annotations

import json
from enum import Enum
from typing import TYPE_CHECKING, Any, Final

from callgate.ledger.search import DECISION, moment_of

if TYPE_CHECKING:
    from collections.abc import Mapping

EXAMPLE_ENTERPRISE: Final = 32473
"""The number that RFC 5612 has set aside for documents: callgate has no enterprise number of its own."""

_SEVERITIES: Final = {"allow": 1, "rate_limited": 4, "approval_required": 4, "deny": 6}
"""Severities of CEF, from 0 to 10, by outcome."""

_ADMIN_SEVERITY: Final = 5
_LOG_SEVERITY: Final = 3

_FACILITY: Final = 13
"""`log audit` of RFC 5424."""

_WARNING, _NOTICE, _INFO = 4, 5, 6
_MOST_NAME: Final = 32
_MOST_HOST: Final = 255
_NIL: Final = "-"


_SYSLOG_FIELDS: Final = (
    *("index", "server", "grant", "session", "tool", "outcome", "rule", "policy", "policy_version", "approval"),
    *("number", "actor", "source", "action", "object_kind", "object_id", "reason", "count"),
)
"""Fields of decisions, and of the other kinds of lines, that are structured data of syslog."""


class Format(str, Enum):
    """The formats of lines for other systems."""

    CEF = "cef"
    RFC5424 = "rfc5424"


def cef(line: Mapping[str, Any], *, version: str, host: str) -> str:
    """A line as an event of CEF, version 0, without its end."""
    kind, outcome = line.get("kind", DECISION), str(line.get("outcome", ""))
    if kind == DECISION:
        event, name = f"decision:{outcome}", f"tool call {outcome}"
        severity = _SEVERITIES.get(outcome, _SEVERITIES["deny"])
    elif kind == "admin":
        event, name = f"admin:{line.get('action', '')}", f"{line.get('action', '')} {line.get('object_kind', '')}"
        severity = _ADMIN_SEVERITY
    else:
        event, name, severity = f"log:{kind}", f"decision log {kind}", _LOG_SEVERITY
    header = "|".join(["CEF:0", "callgate", "callgate", *map(_cef_header, (version, event, name)), str(severity)])
    pairs = " ".join(f"{key}={_cef_value(value)}" for key, value in _cef_fields(line, host) if value)
    return f"{header}|{pairs}"


def _cef_fields(line: Mapping[str, Any], host: str) -> list[tuple[str, str]]:
    """The extension: keys of CEF's dictionary where there is one for a field, and labelled strings for the others."""
    at = moment_of(line)
    fields = [
        ("rt", "" if at is None else str(int(at.timestamp() * 1000))),
        ("dvchost", host),
        ("app", _text(line.get("protocol"))),
        ("act", _text(line.get("tool", line.get("action")))),
        ("outcome", _text(line.get("outcome"))),
        ("suser", _text(line.get("grant", line.get("actor")))),
        ("src", _text(line.get("source"))),
        ("dproc", _text(line.get("server"))),
        ("reason", _text(line.get("rule", line.get("reason")))),
        ("externalId", _text(line.get("index"))),
    ]
    named = (
        ("session", "session"),
        ("policy", "policy"),
        ("policy_version", "policyVersion"),
        ("approval", "approval"),
    )
    for number, (name, label) in enumerate(named, 1):
        if value := _text(line.get(name)):
            fields += [(f"cs{number}", value), (f"cs{number}Label", label)]
    if line.get("object_kind"):
        thing = f"{_text(line.get('object_kind'))}/{_text(line.get('object_id'))}"
        fields += [("cs5", thing), ("cs5Label", "object")]
    return fields


def _cef_header(text: str) -> str:
    """A part of the header: only the pipe and the backslash have an escape there, and a line break has none."""
    return _on_one_line(text).replace("\\", "\\\\").replace("|", "\\|")


def _cef_value(text: str) -> str:
    """A value of the extension."""
    text = text.replace("\\", "\\\\").replace("=", "\\=").replace("\r", "\\r").replace("\n", "\\n")
    return _on_one_line(text)


def rfc5424(line: Mapping[str, Any], content: bytes, *, host: str, process: str, enterprise: int) -> str:
    """A line as a message of syslog, without its end: its fields as structured data, and the line as the text."""
    kind, outcome = line.get("kind", DECISION), str(line.get("outcome", ""))
    severity = _INFO if outcome == "allow" else _WARNING if outcome == "deny" else _NOTICE
    at = moment_of(line)
    time = _NIL if at is None else at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    message_id = _name(outcome or kind)
    head = f"<{8 * _FACILITY + severity}>1 {time} {_name(host, _MOST_HOST)} callgate {_name(process)} {message_id}"
    pairs = [f'{name}="{_parameter(_text(line[name]))}"' for name in _SYSLOG_FIELDS if name in line]
    data = f"[callgate@{enterprise}{''.join(' ' + pair for pair in pairs)}]"
    # A byte order mark says that the text is UTF-8.
    return f"{head} {data} \ufeff{_on_one_line(content.decode(errors='replace'))}"


def _parameter(text: str) -> str:
    """A value of structured data."""
    text = text.replace("\\", "\\\\").replace('"', '\\"').replace("]", "\\]")
    return _on_one_line(text)


def _name(text: str, most: int = _MOST_NAME) -> str:
    """A field of the header: printable ASCII without spaces."""
    shown = "".join(one if "!" <= one <= "~" else "_" for one in text)[:most]
    return shown or _NIL


def _text(value: object) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _on_one_line(text: str) -> str:
    """The text with a space for each control character: a line is one event, whatever callers have named."""
    shown = "".join(" " if one < " " or one in "\x7f\x85\u2028\u2029" else one for one in text)
    return shown.encode(errors="replace").decode()
