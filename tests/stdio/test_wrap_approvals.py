"""Calls that need a person's approval, over `callgate wrap` with a state folder: a real client, server and person."""

from __future__ import annotations

from pathlib import Path

from support.proxies.people import admits_one_call
from support.proxies.ways import KEYS, Way, wrapped
from support.stdio.pinning import rule
from support.stdio.wrapped import Talk, script, wrapping


def test_a_person_admits_one_call(tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    notes.touch()
    admits_one_call(Way("wrap", wrapped, None), tmp_path, notes, 0)


def test_the_first_call_waits_for_the_store(tmp_path: Path) -> None:
    """A client that calls at once would be told that the store does not answer."""
    asks = {"version": "1", "default": "deny", "tools": {"risky": {"action": "require_approval"}}}
    state, server = tmp_path / "state", script("import sys; sys.stdin.read()")
    command = wrapping(tmp_path, server, "--state", state, "--pinning", "off", policy=asks)
    with Talk(command, {"CALLGATE_APPROVALS__DEADLINE": KEYS["approvals"]["deadline"]}) as talk:
        assert rule(talk, "risky") == "/tools/risky/approval"
