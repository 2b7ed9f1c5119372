"""Grants: tokens that are shown once, rotation, revocation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import grpc
import pytest

from callgate._callgate import Engine, hash_token
from callgate._proto.callgate.admin.v1 import audit_pb2, grants_pb2, policies_pb2, servers_pb2
from callgate.admin.calls.errors import AdminError
from callgate.admin.documents.uses import uses_of_policy
from callgate.clock import now_us
from callgate.config.grants import Grant
from callgate.store.model import Used
from callgate.store.place import in_folder
from callgate.store.store import open_store
from support.admin import POLICY, Admin, CallError, Client, request_id, running_admin
from support.approvals import ask

KEY = bytes.fromhex("5a" * 32)


def create(client: Client, name: str = "alice", **more: Any) -> grants_pb2.CreateGrantResponse:
    fields = {"servers": {"filed-server": "filed-policy"}, **more}
    request = grants_pb2.CreateGrantRequest(grant={"id": name, **fields})
    return client(request, grants_pb2.CreateGrantResponse)


def stored(admin: Admin, name: str = "alice") -> Grant:
    content = admin.store.grants.get(name).content
    assert content is not None
    return Grant.model_validate_json(content)


def test_a_grant_has_a_token_that_works(admin: Admin) -> None:
    made = create(admin.admin, labels={"team": "a"}, owner={"issuer": "https://i.example.com", "subject": "ann"})
    assert made.token.startswith("cgt_")
    assert [hash_token(KEY, made.token)] == [token.hash for token in stored(admin).tokens]
    assert (dict(made.grant.labels), made.grant.owner.subject, len(made.grant.tokens)) == ({"team": "a"}, "ann", 1)
    engine = Engine.from_config(
        policies={"filed-policy": ("p.yaml", b'version: "1"\ndefault: allow\n')},
        servers={"filed-server": None},
        grants=[stored(admin).server_keywords()],
        grant_key=KEY,
    )
    assert engine.check(grant_token=made.token, tool="t")


def test_a_token_is_nowhere_but_in_the_first_answer(both: Admin) -> None:
    request = grants_pb2.CreateGrantRequest(request_id=request_id())
    request.grant.id = "alice"
    request.grant.servers["filed-server"] = "filed-policy"
    first = both.admin(request, grants_pb2.CreateGrantResponse)
    again = both.admin(request, grants_pb2.CreateGrantResponse)
    assert first.token
    assert not again.token
    assert again.grant == first.grant
    if both.store.place.path is not None:
        for file in both.store.place.path.parent.iterdir():
            assert first.token.encode() not in file.read_bytes()


def test_rotation_lets_the_old_token_work_for_a_while(admin: Admin) -> None:
    first = create(admin.admin)
    request = grants_pb2.RotateGrantTokenRequest(id="alice", etag=first.grant.etag)
    request.keep_duration.FromSeconds(60)
    second = admin.admin(request, grants_pb2.RotateGrantTokenResponse)
    hashes = [hash_token(KEY, first.token), hash_token(KEY, second.token)]
    assert [token.hash for token in stored(admin).tokens] == hashes
    assert [token.HasField("expire_time") for token in second.grant.tokens] == [True, False]
    left_s = second.grant.tokens[0].expire_time.seconds - now_us() // 1_000_000
    assert 0 < left_s <= 61
    at_once = grants_pb2.RotateGrantTokenRequest(id="alice", keep_duration={"seconds": 0})
    third = admin.admin(at_once, grants_pb2.RotateGrantTokenResponse)
    assert [token.hash for token in stored(admin).tokens] == [hash_token(KEY, third.token)]
    with pytest.raises(CallError) as told:
        admin.admin(request, grants_pb2.RotateGrantTokenResponse)
    assert told.value.reason == "ETAG_MISMATCH"


def test_only_masked_fields_change(admin: Admin) -> None:
    made = create(admin.admin, labels={"team": "a"})
    request = grants_pb2.UpdateGrantRequest(grant={"id": "alice", "etag": made.grant.etag})
    request.grant.owner.issuer, request.grant.owner.subject = "https://i.example.com", "ben"
    after = admin.admin(request, grants_pb2.UpdateGrantResponse).grant
    assert (dict(after.labels), after.owner.subject) == ({"team": "a"}, "ben")
    assert len(stored(admin).tokens) == 1
    request = grants_pb2.UpdateGrantRequest(grant={"id": "alice"}, update_mask={"paths": ["owner", "labels"]})
    after = admin.admin(request, grants_pb2.UpdateGrantResponse).grant
    assert not after.labels
    assert not after.HasField("owner")
    assert after.servers == made.grant.servers


def test_several_servers(admin: Admin) -> None:
    with pytest.raises(CallError, match="there is no server `other`"):
        create(admin.admin, servers={"filed-server": "filed-policy", "other": "filed-policy"})
    with pytest.raises(CallError, match="there is no policy `other`"):
        create(admin.admin, servers={"filed-server": "other"})
    with pytest.raises(CallError, match="at least one server"):
        create(admin.admin, servers={})
    assert dict(create(admin.admin, servers={"filed-server": ""}).grant.servers) == {"filed-server": ""}


def test_a_revoked_grant_is_revoked_for_good(both: Admin) -> None:
    create(both.admin)
    now = now_us()
    [waiting] = both.store.approvals.ask([ask("f", grant="alice")], now)
    assert not isinstance(waiting, Used)
    request = grants_pb2.RevokeGrantRequest(id="alice", reason="left")
    answer = both.admin(request, grants_pb2.RevokeGrantResponse)
    assert (answer.grant.revoked, answer.ended_approval_count) == (True, 1)
    [ended] = both.store.approvals.page(now_us()).items
    assert (ended.state.value, ended.cause) == ("ended", "the grant was revoked: left")
    for change in (
        request,
        grants_pb2.UpdateGrantRequest(grant={"id": "alice"}),
        grants_pb2.RotateGrantTokenRequest(id="alice"),
    ):
        with pytest.raises(CallError) as told:
            both.admin(change, grants_pb2.RevokeGrantResponse)
        assert told.value.reason == "REVOKED"
    with pytest.raises(CallError) as told:
        create(both.admin)
    assert told.value.code is grpc.StatusCode.ALREADY_EXISTS
    records = both.admin(audit_pb2.ListAuditRecordsRequest(kind="grants"), audit_pb2.ListAuditRecordsResponse)
    assert [(one.action, one.reason) for one in records.audit_records] == [("change", "left"), ("create", "")]


def test_a_file_owns_its_grants(admin: Admin) -> None:
    request = grants_pb2.GetGrantRequest(id="filed-grant")
    grant = admin.admin(request, grants_pb2.GetGrantResponse).grant
    line = next(
        number for number, text in enumerate(admin.config.read_text().splitlines(), 1) if '"id": "filed-grant"' in text
    )
    assert grant.configured_at.startswith(f"{admin.config}:{line - 1}:") or grant.configured_at.startswith(
        f"{admin.config}:{line}:"
    )
    with pytest.raises(CallError) as told:
        admin.admin(grants_pb2.RevokeGrantRequest(id="filed-grant"), grants_pb2.RevokeGrantResponse)
    assert (told.value.reason, grant.configured_at in told.value.message) == ("FILE_OWNED", True)


def test_grants_that_cannot_be(admin: Admin) -> None:
    with pytest.raises(CallError) as told:
        create(admin.admin, expire_time={"seconds": 1})
    assert list(told.value.fields) == ["grant.expire_time"]
    with pytest.raises(CallError) as told:
        create(admin.admin, owner={"issuer": "x", "subject": ""})
    assert told.value.code is grpc.StatusCode.INVALID_ARGUMENT


def test_a_document_of_a_file_is_not_deleted_though_it_is_used(admin: Admin) -> None:
    """To change what uses it, as advised for documents of the store, would not help."""
    client = admin.admin
    create(client, servers={"filed-server": "filed-policy"})
    server = servers_pb2.DeleteServerRequest(id="filed-server")
    with pytest.raises(CallError) as told:
        client(server, servers_pb2.DeleteServerResponse)
    assert told.value.reason == "FILE_OWNED"
    with pytest.raises(CallError) as told:
        client(policies_pb2.DeletePolicyRequest(id="filed-policy"), policies_pb2.DeletePolicyResponse)
    assert told.value.reason == "FILE_OWNED"


def test_what_is_in_use_is_not_deleted(both: Admin) -> None:
    """The sidecar could not serve the rest, and would refuse every later change too."""
    client = both.admin
    policy = policies_pb2.CreatePolicyRequest(policy={"id": 'p%_"', "document": POLICY})
    client(policy, policies_pb2.CreatePolicyResponse)
    server = servers_pb2.CreateServerRequest(server={"id": "s", "policy": 'p%_"'})
    client(server, servers_pb2.CreateServerResponse)
    create(client, servers={"s": ""})
    create(client, "bob", servers={"filed-server": 'p%_"'}, labels={"x": "s"})
    delete_policy = policies_pb2.DeletePolicyRequest(id='p%_"')
    with pytest.raises(CallError) as told:
        client(delete_policy, policies_pb2.DeletePolicyResponse)
    assert (told.value.reason, "the server `s` names" in told.value.message) == ("IN_USE", True)
    delete_server = servers_pb2.DeleteServerRequest(id="s")
    with pytest.raises(CallError, match="the grant `alice` names"):
        client(delete_server, servers_pb2.DeleteServerResponse)
    moved = grants_pb2.UpdateGrantRequest(grant={"id": "alice", "servers": {"filed-server": ""}})
    client(moved, grants_pb2.UpdateGrantResponse)
    client(delete_server, servers_pb2.DeleteServerResponse)
    with pytest.raises(CallError, match="the grant `bob` names"):
        client(delete_policy, policies_pb2.DeletePolicyResponse)


def test_a_grant_that_would_have_no_effect_is_refused(tmp_path: Path) -> None:
    store = open_store(in_folder(tmp_path / "store"))
    with running_admin(store, tmp_path / "files", grants=None) as admin, pytest.raises(CallError) as told:
        create(admin.admin)
    assert (told.value.reason, "`grants: []`" in told.value.message) == ("UNUSED", True)
    store.close()


def batch(*names: str, **more: Any) -> grants_pb2.BatchCreateGrantsRequest:
    requests = [{"grant": {"id": name, "servers": {"filed-server": "filed-policy"}}} for name in names]
    return grants_pb2.BatchCreateGrantsRequest(requests=requests, **more)


def test_an_import_is_whole_or_nothing(both: Admin) -> None:
    names = [f"g{number:03}" for number in range(300)]
    client, one = both.admin, batch(*names, request_id=request_id(), reason="import")
    first = client(one, grants_pb2.BatchCreateGrantsResponse).responses
    assert len({response.token for response in first}) == 300
    assert [response.grant.id for response in first] == names
    again = client(one, grants_pb2.BatchCreateGrantsResponse).responses
    assert [response.grant for response in again] == [response.grant for response in first]
    assert not any(response.token for response in again)
    for bad in (batch("new", "g007"), batch("new", "filed-grant")):
        with pytest.raises(CallError) as told:
            client(bad, grants_pb2.BatchCreateGrantsResponse)
        assert told.value.code is grpc.StatusCode.ALREADY_EXISTS
    with pytest.raises(CallError) as told:
        client(grants_pb2.GetGrantRequest(id="new"), grants_pb2.GetGrantResponse)
    assert told.value.code is grpc.StatusCode.NOT_FOUND


def test_imports_that_cannot_be(admin: Admin) -> None:
    own = batch("a")
    own.requests[0].reason = "x"
    nowhere = batch("a", "b")
    nowhere.requests[1].grant.servers["other"] = "filed-policy"
    for bad, field in (
        (grants_pb2.BatchCreateGrantsRequest(), "requests"),
        (batch("a", "a"), "requests[1].grant.id"),
        (batch("a", " "), "requests[1].grant.id"),
        (own, "requests[0]"),
        (nowhere, "grant.servers"),
        (batch(*map(str, range(1_001))), "requests"),
    ):
        with pytest.raises(CallError) as told:
            admin.admin(bad, grants_pb2.BatchCreateGrantsResponse)
        assert list(told.value.fields) == [field]
    assert admin.store.grants.page() == []


def test_what_comes_into_use_meanwhile_is_not_deleted(admin: Admin) -> None:
    policy = policies_pb2.CreatePolicyRequest(policy={"id": "p", "document": POLICY})
    admin.admin(policy, policies_pb2.CreatePolicyResponse)
    uses = uses_of_policy(admin.store, "p")
    uses.check_again()
    create(admin.admin, servers={"filed-server": "p"})
    with pytest.raises(AdminError, match="the grant `alice` names the policy `p`"):
        uses.check_again()
