"""The admin API of a running `callgate serve`: what is changed there is in force."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import httpx
import pytest

from callgate._proto.callgate.admin.v1 import (
    decisions_pb2,
    freezes_pb2,
    grants_pb2,
    policies_pb2,
    servers_pb2,
    status_pb2,
)
from callgate.clock import now_us
from callgate.config.load import load
from callgate.control.admin_api import grpc_address
from callgate.identity.identities import Identities
from callgate.store.people import PersonEdit, Role
from callgate.store.place import in_folder
from callgate.store.store import open_store
from support.admin import BY, DAY_US, PASSWORD, Client, password_hash
from support.planes import wait_until
from support.replicas import Replica, replica

DENY = 'version: "1"\nname: managed\ndefault: deny\n'
KEY = "5a" * 32


def machine(one: Replica) -> str:
    """A machine token with every right, made in the store of a sidecar."""
    store = open_store(in_folder(one.folder / "state"))
    _, token = Identities(store).new_token("test", frozenset({Role.ADMIN}), None, now_us() + DAY_US, BY, "")
    store.close()
    return token


def test_what_is_managed_is_in_force(tmp_path: Path) -> None:
    (tmp_path / "grant.key").write_text(KEY)
    (tmp_path / "grant.key").chmod(0o600)
    with replica(tmp_path / "a", None, grants=[], grant_key_file=str(tmp_path / "grant.key")) as one:
        token = machine(one)
        client = Client(one.status["admin_grpc"]["listen"], token)
        client(
            policies_pb2.CreatePolicyRequest(policy={"id": "managed", "document": DENY}),
            policies_pb2.CreatePolicyResponse,
        )
        client(
            servers_pb2.CreateServerRequest(server={"id": "managed", "policy": "managed"}),
            servers_pb2.CreateServerResponse,
        )
        made = client(
            grants_pb2.CreateGrantRequest(grant={"id": "alice", "servers": {"managed": "managed"}}),
            grants_pb2.CreateGrantResponse,
        )

        def rule(word: str) -> bool:
            return one.client.check(grant_token=made.token, tool="t").rule == word

        wait_until(lambda: rule("(default deny)"))
        client(
            policies_pb2.UpdatePolicyRequest(policy={"id": "managed", "document": DENY.replace("deny", "allow")}),
            policies_pb2.UpdatePolicyResponse,
        )
        wait_until(lambda: rule(""))
        client(
            freezes_pb2.CreateFreezeRequest(freeze={"grant": "alice", "reason": "storm"}),
            freezes_pb2.CreateFreezeResponse,
        )
        wait_until(lambda: rule("(frozen)"))
        # One that was followed comes with the whole line of the log.
        stream = client.stream(
            decisions_pb2.TailDecisionsRequest(grants=["alice"]), decisions_pb2.TailDecisionsResponse
        )
        next(stream)
        one.client.check(grant_token=made.token, tool="t")
        [decision] = next(message for message in stream if message.decisions).decisions
        assert (decision.rule, decision.policy) == ("(frozen)", "managed")
        stream.cancel()
        client(grants_pb2.RevokeGrantRequest(id="alice"), grants_pb2.RevokeGrantResponse)
        replica_now = client(status_pb2.GetStatusRequest(), status_pb2.GetStatusResponse).replica
        assert replica_now.state == status_pb2.Replica.STATE_READY
        assert json.loads(replica_now.details_json)["store"]["state"] == "open"
        client.close()
        # The same over HTTP, by the same registry.
        headers = {"authorization": f"Bearer {token}"}
        answer = httpx.get(f"http://{one.running.admin}/admin/v1/policies/managed", headers=headers, timeout=30)
        assert answer.status_code == 200
        assert answer.json()["policy"]["version"] in {2, "2"}
        _, log = one.running.stop()
        assert made.token not in log
        assert token not in log


def test_a_person_logs_in(tmp_path: Path) -> None:
    with replica(tmp_path / "a", None) as one:
        store = open_store(in_folder(one.folder / "state"))
        store.people.put(PersonEdit("ann", frozenset({Role.VIEWER}), frozenset(), password_hash()), BY, "", now_us())
        session = Identities(store).log_in("ann", PASSWORD, "here")
        store.close()
        client = Client(one.status["admin_grpc"]["listen"], session)
        answer = client(status_pb2.GetCallerRequest(), status_pb2.GetCallerResponse)
        assert (answer.name, answer.machine) == ("ann (local)", False)
        client.close()


def test_a_port_in_use_stops_nothing(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with replica(tmp_path / "a", None, admin={"grpc_listen": address}) as one:
            assert one.rule() == ""
            assert one.status["admin_grpc"]["listen"] is None
            assert "the port is in use" in one.status["admin_grpc"]["failure"]


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("{}", "127.0.0.1:9194"),
        ("{admin: {listen: '0.0.0.0:9300'}}", "127.0.0.1:9301"),
        ("{admin: {listen: '127.0.0.1:0'}}", "127.0.0.1:0"),
        ("{admin: {listen: '127.0.0.1:65535'}}", "127.0.0.1:65534"),
        ("{admin: {grpc_listen: '[::1]:1'}}", "[::1]:1"),
        ("{admin: {grpc_listen: null}}", None),
    ],
)
def test_the_address_is_beside_the_admin_port(tmp_path: Path, text: str, address: str | None) -> None:
    path = tmp_path / "callgate.yaml"
    path.write_text(text)
    assert grpc_address(load(path)) == address
