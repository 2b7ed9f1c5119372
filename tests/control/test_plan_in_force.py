"""The configuration in force, as housekeeping asks about it."""

from __future__ import annotations

import hashlib
import json
import time
from pathlib import Path

import pytest

from callgate._callgate import pins_accept, pins_read, pins_record, pins_reset
from callgate.config.files import Files
from callgate.control.in_force import PlanInForce
from callgate.control.sidecar import Source

URL = "http://127.0.0.1:1/mcp"


def in_force(folder: Path, pinning: str) -> PlanInForce:
    (folder / "p.json").write_text('{"version": "1", "default": "allow"}')
    document = {
        "state": str(folder),
        "servers": {"s": {"policy": "p", "upstream": {"url": URL, "pinning": pinning}}, "plain": {"policy": "p"}},
        "policies": {"p": "p.json"},
        "grants": [{"id": "a", "server": "s"}, {"id": "b", "server": "s", "revoked": True}],
        "counters": "memory",
    }
    (folder / "callgate.json").write_text(json.dumps(document))
    plan = Source(folder / "callgate.json", None).read(Files())
    return PlanInForce(plan.engine(), lambda: plan)


def digest(*forms: str) -> str:
    return hashlib.sha256(b"".join(sorted(map(bytes.fromhex, forms)))).hexdigest()


def listed(folder: Path, description: str) -> str:
    """The digest of a form that a server has listed."""
    tool = {"name": "t", "description": description, "inputSchema": {"type": "object"}}
    pins_record(folder / "pins", "s", URL, None, json.dumps({"tools": [tool]}).encode())
    [one] = pins_read(folder / "pins", "s")[0]["tools"]
    return str([*one["pinned"], *one["listed"]][-1]["digest"])


@pytest.mark.parametrize("pinning", ["enforce", "report", "off"])
def test_pinned_forms(tmp_path: Path, pinning: str) -> None:
    facts = in_force(tmp_path, pinning)
    assert facts.pin_digests("s", ["t"]) == {}
    first, second = listed(tmp_path, "one"), listed(tmp_path, "two")
    wanted = {"enforce": {"t": digest(first)}, "report": {"t": digest(second)}, "off": {}}[pinning]
    assert facts.pin_digests("s", ["t"]) == wanted
    pins_accept(tmp_path / "pins", "s", ["t"], None, True)
    wanted = {"enforce": {"t": digest(first, second)}, "report": {"t": digest(second)}, "off": {}}[pinning]
    assert facts.pin_digests("s", ["t"]) == wanted
    assert facts.pin_digests("plain", ["t"]) == facts.pin_digests("gone", ["t"]) == {}
    if pinning != "off":
        assert facts.pin_digests("s", ["u"]) == {"u": digest()}


def test_the_stamp_changes_with_the_files_of_pins(tmp_path: Path) -> None:
    facts = in_force(tmp_path, "enforce")
    stamps = [facts.pins_stamp()]
    assert stamps == [None]
    changes = (
        lambda: listed(tmp_path, "one"),
        lambda: listed(tmp_path, "two"),
        lambda: pins_accept(tmp_path / "pins", "s", ["t"], None, False),
        lambda: pins_reset(tmp_path / "pins", "s"),
    )
    for change in changes:
        # The clock of a file system has steps of some milliseconds.
        time.sleep(0.02)
        change()
        assert facts.pins_stamp() == facts.pins_stamp()
        stamps.append(facts.pins_stamp())
    assert len(set(stamps)) == len(stamps)


def test_grants_and_policies(tmp_path: Path) -> None:
    facts = in_force(tmp_path, "off")
    assert facts.configured_grants(["a", "b", "c"]) == {"a": False, "b": True}
    assert facts.configured_grants([]) == {}
    assert all(len(version) == 12 for version in facts.policy_versions())
