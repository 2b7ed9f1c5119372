"""Sidecars that share a store: a change by anybody is obeyed by all of them, and after a restart."""

from __future__ import annotations

import json
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from callgate import hash_token, new_token
from callgate.clock import now_us
from callgate.identity.identities import Identities
from callgate.store.documents import Edit
from callgate.store.freezes import Target
from callgate.store.model import Actor
from callgate.store.people import Role
from callgate.store.place import Place, in_folder
from callgate.store.store import open_store
from support.approvals import new_id
from support.planes import wait_until
from support.replicas import ALLOW, DENY, Replica, replica

BY = Actor("ann", "test")
DAY_US = 24 * 3_600 * 1_000_000


def obeys(one: Replica, rule: str) -> bool:
    return one.rule() == rule


def has_freezes(one: Replica, count: int) -> bool:
    return len(one.status["freezes"]) == count


def two(stack: ExitStack, tmp_path: Path, place: Place, **keys: Any) -> list[Replica]:
    return [stack.enter_context(replica(tmp_path / name, place, **keys)) for name in ("a", "b")]


def test_a_freeze_is_obeyed_by_all_and_after_a_restart_without_the_store(empty_place: Place, tmp_path: Path) -> None:
    store = open_store(empty_place)
    with ExitStack() as stack:
        replicas = two(stack, tmp_path, empty_place)
        assert [one.rule() for one in replicas] == ["", ""]
        made = store.freezes.freeze(new_id(), Target(server="s"), "incident 7", BY, now_us())
        store.freezes.freeze(new_id(), Target(grant="h"), "", BY, now_us())
        for one in replicas:
            wait_until(partial(obeys, one, "(frozen)"))
            wait_until(partial(has_freezes, one, 2))
            first = one.status["freezes"][0]
            assert (first["server"], first["reason"], first["source"]) == ("s", "incident 7", "store")
            assert 'callgate_freezes{scope="server"} 1.0' in one.metrics()
        replicas[0].running.process.kill()
        replicas[0].running.process.wait()
        # The store is out of reach now; the freezes that were read last hold from the first call on.
        nowhere = Place("postgresql+psycopg://u@/x?host=/nowhere")
        with replica(tmp_path / "a", nowhere, waits=False) as again:
            assert again.rule() == "(frozen)"
        store.freezes.thaw(made.id, BY, "over", now_us())
        wait_until(lambda: replicas[1].rule() == "")
        # And while it stood still, it missed the end.
        with replica(tmp_path / "a", empty_place) as again:
            wait_until(lambda: again.rule() == "")
            assert again.rule(grant="h") == "(frozen)"
    store.close()


def test_a_freeze_that_the_engine_does_not_take_stops_more_and_not_less(tmp_path: Path, empty_place: Place) -> None:
    store = open_store(empty_place)
    with replica(tmp_path / "a", empty_place) as one:
        store.freezes.freeze(new_id(), Target(server="s", tool="a\\"), "many\nlines", BY, now_us())
        wait_until(lambda: one.rule() == "(frozen)")
        assert one.status["freezes"][0]["reason"] == "many lines"
    store.close()


def test_managed_documents_are_in_force_on_all_replicas(tmp_path: Path, empty_place: Place) -> None:
    store, key = open_store(empty_place), bytes(32)
    token = new_token()
    grant = {"id": "ci", "server": "m", "policy": "team", "token_hash": hash_token(key, token)}
    with ExitStack() as stack:
        for name in ("a", "b"):
            (tmp_path / name).mkdir()
            (tmp_path / name / "key").write_text(key.hex())
        replicas = two(stack, tmp_path, empty_place, grants=[], grant_key_file="key")

        def rule(one: Replica) -> str:
            return one.client.check(grant_token=token, server="m", tool="t").rule

        def obey(wanted: str) -> None:
            for one in replicas:
                wait_until(partial(lambda one: rule(one) == wanted, one))

        assert all(rule(one) for one in replicas)
        store.policies.put([Edit("team", json.dumps({**ALLOW, "name": "team"}), 0)], BY, "", now_us())
        store.servers.put([Edit("m", "{}", 0)], BY, "", now_us())
        store.grants.put([Edit("ci", json.dumps(grant), 0)], BY, "", now_us())
        obey("")
        assert [one.status["grants"] for one in replicas] == [1, 1]
        # Another version, and then the one before.
        store.policies.put([Edit("team", "version: '1'\nname: team\ndefault: deny\n", 1)], BY, "", now_us())
        obey("(default deny)")
        store.policies.put([Edit("team", store.policies.get("team", 1).content, 2)], BY, "", now_us())
        obey("")
        # It starts with what it has read last, without the store.
        replicas[0].running.process.kill()
        replicas[0].running.process.wait()
        nowhere = Place("postgresql+psycopg://u@/x?host=/nowhere")
        with replica(tmp_path / "a", nowhere, waits=False, grants=[], grant_key_file="key") as again:
            assert rule(again) == ""
        # Revoked, and then gone.
        store.grants.put([Edit("ci", json.dumps({**grant, "revoked": True}), 1)], BY, "", now_us())
        wait_until(lambda: rule(replicas[1]) not in {"", "(default deny)"})
        store.grants.put([Edit("ci", None, 2)], BY, "", now_us())
        wait_until(lambda: replicas[1].status["grants"] == 0)
        assert rule(replicas[1]) != ""
    store.close()


@pytest.mark.parametrize(
    ("kind", "name", "content", "message"),
    [
        ("policies", "bad", '{"version": "1",\n "defualt": "deny"}', "store:policies/bad.json:2:2: unknown field"),
        ("policies", "bad", '{"version": "1",\n "defualt": "deny", "x": 1}', "(and 1 more)"),
        ("policies", "allow", json.dumps(DENY), "allow.json:1:1: the policy `allow` stands here and in the store"),
        ("servers", "s", "{}", "callgate.json:1:"),
        ("servers", "x", '{"policy": "nope"}', "unknown policy `nope`"),
        ("servers", "x", '{"upstream": {"url": "http://127.0.0.1:1", "ca": "/etc/x"}}', "stand in files alone"),
        ("servers", "x", '{"polciy": "allow"}', "store:servers/x.json:1:2: unknown key `polciy`"),
        ("grants", "g", '{"id": "h", "server": "s"}', "store:grants/g.json:1:8: expected the id `g`"),
        ("grants", "g", '{"id": "g", "server": "z"}', "unknown server `z`"),
        (
            "grants",
            "g",
            '{"id": "g", "server": "s"}',
            "no grants are configured, so every caller may name one; write `grants: []`",
        ),
    ],
)
def test_a_document_that_cannot_be_served_is_told_and_changes_nothing(
    tmp_path: Path, kind: str, name: str, content: str, message: str
) -> None:
    keys: dict[str, Any] = {} if kind == "grants" and "z" not in content and '"h"' not in content else {"grants": []}
    with replica(tmp_path / "a", None, **keys) as one:
        before = one.client.check(grant="g", server="s", tool="t")
        store = open_store(in_folder(tmp_path / "a" / "state"))
        documents = getattr(store, kind)
        documents.put([Edit(name, content, 0)], BY, "", now_us())
        wait_until(lambda: one.status["configuration"]["store_refused"] is not None)
        assert message in one.status["configuration"]["store_refused"]
        after = one.client.check(grant="g", server="s", tool="t")
        assert (after.rule, after.policy) == (before.rule, before.policy)
        documents.put([Edit(name, None, 1)], BY, "", now_us())
        wait_until(lambda: one.status["configuration"]["store_refused"] is None)
        store.close()


def test_a_file_that_adds_an_id_of_the_store_is_refused(tmp_path: Path) -> None:
    with replica(tmp_path / "a", None, watch=True) as one:
        store = open_store(in_folder(tmp_path / "a" / "state"))
        store.servers.put([Edit("m", '{"policy": "allow"}', 0)], BY, "", now_us())
        wait_until(lambda: one.rule(server="m") == "")
        file = tmp_path / "a" / "callgate.json"
        document = json.loads(file.read_text())
        file.write_text(json.dumps({**document, "servers": {**document["servers"], "m": {}}}))
        wait_until(lambda: one.status["configuration"]["newer_refused"] is not None)
        refused = one.status["configuration"]["newer_refused"]
        assert "callgate.json:1:" in refused
        assert "(store:servers/m.json, version 1)" in refused
        assert one.rule(server="m") == ""
        store.close()
    # At the start the files win: nobody could change the store while nothing runs.
    (tmp_path / "a" / "deny.json").write_text(json.dumps(DENY))
    servers = {"s": {"policy": "allow"}, "m": {"policy": "deny"}}
    policies = {"allow": "allow.json", "deny": "deny.json"}
    with replica(tmp_path / "a", None, servers=servers, policies=policies) as again:
        assert again.rule(server="m") == "(default deny)"
        wait_until(lambda: again.status["configuration"]["store_refused"] is not None)
        assert "callgate_documents_refused 1.0" in again.metrics()
        code, log = again.running.stop()
    assert (code, "store_documents_refused" in log) == (0, True)


def test_neither_a_faulty_document_nor_a_broken_file_keeps_the_others_from_being_served(tmp_path: Path) -> None:
    with replica(tmp_path / "a", None) as one:
        store = open_store(in_folder(tmp_path / "a" / "state"))
        good, bad = json.dumps({**ALLOW, "name": "team"}), '{"version": "1"}'
        store.policies.put([Edit("team", good, 0)], BY, "", now_us())
        store.servers.put([Edit("m", '{"policy": "team"}', 0)], BY, "", now_us())
        wait_until(lambda: one.rule(server="m") == "")
        # The version before stays, also if it is of another format, and another server is served meanwhile.
        store.policies.put([Edit("team", "version: '1'\n", 1)], BY, "", now_us())
        store.servers.put([Edit("n", '{"policy": "team"}', 0), Edit("x", '{"policy": "y"}', 0)], BY, "", now_us())
        wait_until(lambda: one.rule(server="n") == "")
        assert one.rule(server="m") == ""
        wait_until(lambda: "unknown policy `y`" in (one.status["configuration"]["store_refused"] or ""))
        assert "store:policies/team.yaml:1:1: " in one.status["configuration"]["store_refused"]
        # A file with a fault is refused by itself.
        (tmp_path / "a" / "allow.json").write_text(bad)
        wait_until(lambda: one.status["configuration"]["newer_refused"] is not None)
        store.servers.put([Edit("n", None), Edit("o", '{"policy": "team"}', 0)], BY, "", now_us())
        wait_until(lambda: one.rule(server="o") == "")
        assert one.rule(server="n") != ""
        (tmp_path / "a" / "allow.json").write_text(json.dumps(ALLOW))
        wait_until(lambda: one.status["configuration"]["newer_refused"] is None)
        assert [one.rule(server=name) for name in ("m", "o")] == ["", ""]
        store.policies.put([Edit("team", good, 2)], BY, "", now_us())
        store.servers.put([Edit("x", None)], BY, "", now_us())
        wait_until(lambda: one.status["configuration"]["store_refused"] is None)
        store.close()


def test_changes_over_the_admin_api_of_one_replica_are_obeyed_by_the_other(tmp_path: Path, empty_place: Place) -> None:
    store = open_store(empty_place)
    roles = frozenset({Role.ADMIN})
    _, token = Identities(store).new_token("ci", roles, None, now_us() + DAY_US, BY, "")
    with ExitStack() as stack:
        for name in ("a", "b"):
            (tmp_path / name).mkdir()
            (tmp_path / name / "key").write_text(bytes(32).hex())
        one, other = two(stack, tmp_path, empty_place, grants=[], grant_key_file="key")
        client = stack.enter_context(
            httpx.Client(
                base_url=f"http://{one.running.admin}/admin/v1",
                headers={"Authorization": f"Bearer {token}"},
                timeout=30,
            )
        )

        def done(answer: httpx.Response) -> dict[str, Any]:
            assert answer.status_code == 200, answer.text
            document: dict[str, Any] = answer.json()
            return document

        wait_until(lambda: client.get("/servers").status_code == 200)
        # Counts are kept by policy name, and a file has this one.
        taken = client.post("/policies", json={"policy": {"id": "team", "document": json.dumps(ALLOW)}})
        assert (taken.status_code, "policy name `allow` is taken by" in taken.text) == (400, True), taken.text
        team = json.dumps({**ALLOW, "name": "team"})
        done(client.post("/policies", json={"policy": {"id": "team", "document": team}}))
        done(client.post("/servers", json={"server": {"id": "m", "policy": "team"}}))
        made = done(client.post("/grants", json={"grant": {"id": "ci", "servers": {"m": "team"}}}))

        def rule(each: Replica) -> str:
            return each.client.check(grant_token=made["token"], server="m", tool="t").rule

        for each in (one, other):
            wait_until(partial(lambda each: rule(each) == "", each))
        done(client.post("/freezes", json={"freeze": {"grant": "ci", "reason": "stop"}}))
        wait_until(lambda: rule(other) == "(frozen)")
        [freeze] = done(client.get("/freezes"))["freezes"]
        done(client.post(f"/freezes/{freeze['id']}:thaw", json={"reason": "over"}))
        wait_until(lambda: rule(other) == "")
        done(client.post("/grants/ci:revoke", json={"reason": "lost"}))
        for each in (one, other):
            wait_until(partial(lambda each: rule(each) != "", each))
        # What files hold belongs to them, and what could not be served is refused.
        assert client.post("/servers", json={"server": {"id": "s"}}).status_code == 409
        assert client.post("/policies", json={"policy": {"id": "x", "document": "{}"}}).status_code == 400
    store.close()
