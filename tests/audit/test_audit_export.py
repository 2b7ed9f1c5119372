"""Exported lines, against the grammars of their formats."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callgate.ledger.export import cef, rfc5424

DECISION: dict[str, Any] = {
    "time": "2026-11-21T11:04:25.123456Z",
    "protocol": "grpc",
    "server": "srv",
    "grant": "ci",
    "session": "s=1",
    "tool": "create-ami",
    "outcome": "deny",
    "rule": "(default deny)",
    "policy": "p|q",
    "index": 7,
}
ADMIN: dict[str, Any] = {
    "kind": "admin",
    "number": 3,
    "time": "2026-11-21T11:04:25.123456Z",
    "actor": "ann",
    "source": "10.0.0.1",
    "action": "create",
    "object_kind": "grants",
    "object_id": "ci",
    "reason": "on call",
}


def read_cef(line: str) -> tuple[list[str], dict[str, str]]:
    """Reads an event as the format's implementation standard describes it.

    Seven fields of a header end at a pipe without a backslash. Keys of the extension are letters and digits, and a
    value ends before the next ` key=`.
    """
    fields, held, rest = [], "", iter(line)
    for one in rest:
        if one == "\\":
            held += next(rest)
        elif one == "|":
            fields.append(held)
            held = ""
        else:
            held += one
        if len(fields) == 7:
            break
    assert len(fields) == 7
    extension = "".join(rest)
    parts = re.split(r"(?:^| )([A-Za-z0-9]+)(?<!\\)=", extension)
    assert parts[0] == ""
    found = {}
    for key, value in zip(parts[1::2], parts[2::2], strict=True):
        assert not re.search(r"(?<!\\)(?:\\\\)*=", value), value
        found[key] = re.sub(r"\\(.)", lambda one: {"n": "\n", "r": "\r"}.get(one[1], one[1]), value)
    return fields, found


def test_a_decision_in_cef() -> None:
    header, found = read_cef(cef(DECISION, version="1.2", host="web-1"))
    assert header == ["CEF:0", "callgate", "callgate", "1.2", "decision:deny", "tool call deny", "6"]
    assert found == {
        "rt": "1795259065123",
        "dvchost": "web-1",
        "app": "grpc",
        "act": "create-ami",
        "outcome": "deny",
        "suser": "ci",
        "dproc": "srv",
        "reason": "(default deny)",
        "externalId": "7",
        "cs1": "s=1",
        "cs1Label": "session",
        "cs2": "p|q",
        "cs2Label": "policy",
    }


def test_an_admin_change_in_cef() -> None:
    header, found = read_cef(cef(ADMIN, version="1", host="web-1"))
    assert header[4:] == ["admin:create", "create grants", "5"]
    assert (found["suser"], found["src"], found["cs5"], found["reason"]) == ("ann", "10.0.0.1", "grants/ci", "on call")


# RFC 5424, section 6, as a regular expression.
PRINTABLE = r"[!-~]"
NAME = r"[!#-<>-\\^-~]{1,32}"
PARAMETER = rf'{NAME}="(?:[^"\\\]]|\\["\\\]])*"'
ELEMENT = rf"\[(?P<id>{NAME})(?P<parameters>(?: {PARAMETER})*)\]"
SYSLOG = re.compile(
    r"<(?P<priority>[1-9][0-9]{0,2})>1"
    r" (?P<time>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,6})?Z|-)"
    rf" (?P<host>{PRINTABLE}{{1,255}}) (?P<application>{PRINTABLE}{{1,48}}) (?P<process>{PRINTABLE}{{1,128}})"
    rf" (?P<message_id>{PRINTABLE}{{1,32}}) {ELEMENT} \ufeff(?P<message>.*)",
    re.DOTALL,
)


def read_syslog(line: str) -> tuple[re.Match[str], dict[str, str]]:
    found = SYSLOG.fullmatch(line)
    assert found is not None, line
    pairs = re.findall(rf'({NAME})="((?:[^"\\\]]|\\["\\\]])*)"', found["parameters"])
    return found, {name: re.sub(r'\\(["\\\]])', r"\1", value) for name, value in pairs}


def exported(line: dict[str, Any]) -> str:
    return rfc5424(line, json.dumps(line).encode(), host="web 1", process="-", enterprise=32473)


def test_lines_in_syslog() -> None:
    found, values = read_syslog(exported(DECISION))
    head = (found["priority"], found["time"], found["host"], found["application"], found["message_id"], found["id"])
    assert head == ("108", "2026-11-21T11:04:25.123456Z", "web_1", "callgate", "deny", "callgate@32473")
    assert (values["session"], values["policy"], values["index"]) == ("s=1", "p|q", "7")
    assert json.loads(found["message"]) == DECISION
    found, values = read_syslog(exported(ADMIN))
    assert (found["message_id"], values["actor"], values["object_kind"]) == ("admin", "ann", "grants")


@pytest.mark.parametrize("form", ["cef", "rfc5424"])
def test_a_line_without_a_time(form: str) -> None:
    line = {"kind": "checkpoint", "note": "x\n", "index": 1}
    if form == "cef":
        assert "rt" not in read_cef(cef(line, version="1", host="h"))[1]
    else:
        assert read_syslog(exported(line))[0]["time"] == "-"


HOSTILE = st.text(st.one_of(st.sampled_from('|\\="][\r\n \u2028\x00\x7f\x85'), st.characters()), max_size=12)


@given(HOSTILE, HOSTILE, HOSTILE)
def test_no_name_can_begin_a_line_or_a_field(tool: str, rule: str, grant: str) -> None:
    line = {**DECISION, "tool": tool, "rule": rule, "grant": grant, "outcome": grant}
    for text in (cef(line, version=tool, host="h"), exported(line)):
        assert len(text.splitlines()) == 1
        text.encode()
    plain = {"\r", "\n"}

    def shown(text: str, *, keeps_breaks: bool = False) -> str:
        kept = plain if keeps_breaks else set()
        text = text.encode(errors="replace").decode()
        return "".join(" " if one not in kept and (one < " " or one in "\x7f\x85\u2028\u2029") else one for one in text)

    header, found = read_cef(cef(line, version=tool, host="h"))
    assert header[3] == shown(tool)
    assert found.get("act", "") == shown(tool, keeps_breaks=True)
    assert found.get("reason", "") == shown(rule, keeps_breaks=True)
    assert found.get("suser", "") == shown(grant, keeps_breaks=True)
    _, values = read_syslog(exported(line))
    assert (values["tool"], values["rule"], values["grant"]) == (shown(tool), shown(rule), shown(grant))
