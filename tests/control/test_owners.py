"""The people to whom grants belong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from callgate.config.bundle import read_bundle
from callgate.control.owners import Owners
from callgate.store.documents import Edit
from callgate.store.model import Actor, Person
from callgate.store.place import in_folder
from callgate.store.store import open_store

CORP, LAB = "https://corp.example", "https://lab.example"
OWNED = {"id": "owned", "server": "s", "owner": {"issuer": "local", "subject": "ann"}}


def owners(folder: Path, *oauth: dict[str, Any]) -> Owners:
    path = folder / "callgate.yaml"
    gateway = {"public_url": "https://gate.example", "oauth": list(oauth)} if oauth else {}
    servers = {"s": {"upstream": {"url": "https://tools.example/mcp"}}}
    grants = [OWNED, {**OWNED, "id": "corp:bob"}]
    path.write_text(json.dumps({"servers": servers, "gateway": gateway, "grants": grants}))
    bundle = read_bundle(path)
    return Owners(lambda: bundle)


def test_the_owner_of_an_issuers_caller_is_the_caller(tmp_path: Path) -> None:
    found = owners(
        tmp_path,
        {"issuer": CORP, "prefix": "corp:"},
        {"issuer": LAB, "prefix": "lab:", "grant": "email"},
    )
    assert found.of("corp:alice") == Person(CORP, "alice")
    assert found.of("corp:bob") == Person("local", "ann"), "a configured owner comes first"
    assert found.of("owned") == Person("local", "ann")
    # Another claim does not tell the person.
    assert found.of("lab:carol@lab.example") is None
    assert found.of("somebody") is None
    assert found.of("corp:") is None


def test_without_a_prefix_every_other_grant_is_the_issuers(tmp_path: Path) -> None:
    found = owners(tmp_path, {"issuer": CORP})
    assert found.of("alice") == Person(CORP, "alice")
    store = open_store(in_folder(tmp_path / "state"))
    try:
        managed = {**OWNED, "id": "managed", "owner": {"issuer": LAB, "subject": "carol"}}
        edits = [Edit("managed", json.dumps(managed)), Edit("bare", json.dumps({"id": "bare", "server": "s"}))]
        store.grants.put(edits, Actor("test", "here"), "", 1)
        found.use(store)
        assert found.of("managed") == Person(LAB, "carol")
        assert found.of("bare") == Person(CORP, "bare")
    finally:
        store.close()


@pytest.mark.parametrize("grant", ["alice", "corp:alice"])
def test_without_an_issuer_nobody_owns_a_grant_that_does_not_say_so(tmp_path: Path, grant: str) -> None:
    assert owners(tmp_path).of(grant) is None
