"""Calls that need a person's approval, over `callgate wrap` with a state folder: a real client, server and person."""

from __future__ import annotations

from pathlib import Path

from support.proxies.people import admits_one_call
from support.proxies.ways import Way, wrapped


def test_a_person_admits_one_call(tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    notes.touch()
    admits_one_call(Way("wrap", wrapped, None), tmp_path, notes, 0)
