"""The gRPC server itself: health, reflection, TLS, bounds, deadlines."""

from __future__ import annotations

import socket
import time
from contextlib import suppress
from pathlib import Path
from threading import Thread
from typing import Any

import grpc
import pytest
import trustme
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from callgate._proto.callgate.admin.v1 import (
    approvals_pb2,
    policies_pb2,
    servers_pb2,
    status_pb2,
)
from callgate.admin.calls.call import Call
from callgate.admin.calls.errors import AdminError
from callgate.admin.documents import policies as policy_check
from callgate.admin.documents.files import PlanFiles
from callgate.admin.face import AdminFace
from callgate.admin.grpc import handlers as grpc_handlers
from callgate.admin.grpc.face import GrpcFace
from callgate.admin.services import approvals_watch
from callgate.admin.services.all import SERVICES
from callgate.admin.services.servers import ServersService
from callgate.clock import now_us
from callgate.errors import ConfigError
from callgate.identity.identities import Identities
from callgate.identity.principal import Principal
from callgate.store.people import Role
from callgate.store.tokens import Scope
from support.admin import BY, DAY_US, POLICY, Admin, CallError, Client, failure_of
from support.setup import until


def test_health_is_for_everybody(admin: Admin) -> None:
    stub: Any = health_pb2_grpc.HealthStub(admin.client(None).channel)
    for name in ("", "callgate.admin.v1.PoliciesService", "grpc.health.v1.Health"):
        answer = stub.Check(health_pb2.HealthCheckRequest(service=name), timeout=10)
        assert answer.status == health_pb2.HealthCheckResponse.SERVING


def test_a_stream_of_health_takes_a_token(admin: Admin) -> None:
    """Without a token, any client could keep a thread busy."""
    stub: Any = health_pb2_grpc.HealthStub(admin.client(None).channel)
    with pytest.raises(grpc.RpcError) as told:
        next(stub.Watch(health_pb2.HealthCheckRequest(), timeout=10))
    assert told.value.code() is grpc.StatusCode.UNAUTHENTICATED


def test_streams_of_other_services_are_streams_of_their_caller(admin: Admin, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each keeps a thread: a viewer could take all of them, and nobody else would be answered."""
    monkeypatch.setattr(grpc_handlers, "STREAMS_OF_CALLER", 1)
    token = admin.session("vic", Role.VIEWER)
    metadata = (("authorization", f"Bearer {token}"),)
    stub: Any = health_pb2_grpc.HealthStub(admin.client(None).channel)
    held = stub.Watch(health_pb2.HealthCheckRequest(), metadata=metadata, timeout=30)
    next(held)
    request = reflection_pb2.ServerReflectionRequest(list_services="")
    for further in (
        stub.Watch(health_pb2.HealthCheckRequest(), metadata=metadata, timeout=30),
        reflected(admin.client(None), request, metadata),
    ):
        with pytest.raises(grpc.RpcError) as told:
            next(further)
        assert told.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert failure_of(told.value).reason == "STREAMS"
    # It ends with the right of its caller, and makes room.
    admin.store.people.remove("vic", BY, "", now_us())
    with pytest.raises(grpc.RpcError) as told:
        next(held)
    assert told.value.code() is grpc.StatusCode.CANCELLED


def test_reflection_names_all_services_to_those_who_may_call(admin: Admin) -> None:
    request = reflection_pb2.ServerReflectionRequest(list_services="")
    with pytest.raises(grpc.RpcError) as told:
        next(reflected(admin.client(None), request, ()))
    assert told.value.code() is grpc.StatusCode.UNAUTHENTICATED
    token = admin.session("vic", Role.VIEWER)
    answer = next(reflected(admin.client(None), request, (("authorization", f"Bearer {token}"),)))
    names = {one.name for one in answer.list_services_response.service}
    assert {service.DESCRIPTOR.full_name for service in SERVICES} <= names


def reflected(client: Client, request: Any, metadata: Any) -> Any:
    stub: Any = reflection_pb2_grpc.ServerReflectionStub(client.channel)
    return stub.ServerReflectionInfo(iter([request]), metadata=metadata, timeout=10)


def test_two_tokens_are_none(admin: Admin) -> None:
    token = admin.session("vic", Role.VIEWER)
    method: Any = admin.client(None).channel.unary_unary("/callgate.admin.v1.StatusService/GetCaller")
    with pytest.raises(grpc.RpcError) as told:
        method(b"", metadata=(("authorization", f"Bearer {token}"),) * 2, timeout=10)
    assert told.value.code() is grpc.StatusCode.UNAUTHENTICATED


def test_a_token_ends_for_open_clients_too(admin: Admin) -> None:
    client = admin.person("vic", Role.VIEWER)
    client(status_pb2.GetCallerRequest(), status_pb2.GetCallerResponse)
    admin.store.people.remove("vic", principal().actor("x"), "", 1)
    with pytest.raises(CallError) as told:
        client(status_pb2.GetCallerRequest(), status_pb2.GetCallerResponse)
    assert told.value.code is grpc.StatusCode.UNAUTHENTICATED


def test_a_request_has_a_largest_size(admin: Admin) -> None:
    for size, code in ((5 << 20, grpc.StatusCode.RESOURCE_EXHAUSTED), (2 << 20, grpc.StatusCode.INVALID_ARGUMENT)):
        request = policies_pb2.ValidatePolicyRequest(document="#" * size)
        with pytest.raises(CallError) as told:
            admin.admin(request, policies_pb2.ValidatePolicyResponse)
        assert told.value.code is code


@pytest.mark.parametrize("method", ["StatusService/GetCaller", "ApprovalsService/WatchApprovals"])
def test_bytes_that_are_no_message(admin: Admin, method: str) -> None:
    channel = admin.client(None).channel
    known = (("authorization", f"Bearer {admin.session('vic', Role.VIEWER)}"),)
    _, token = Identities(admin.store).new_token(
        "m", frozenset({Role.VIEWER}), frozenset({Scope.AUDIT}), now_us() + DAY_US, BY, ""
    )
    elsewhere = (("authorization", f"Bearer {token}"),)
    for metadata, code in (
        ((), grpc.StatusCode.UNAUTHENTICATED),
        (elsewhere, grpc.StatusCode.PERMISSION_DENIED),
        (known, grpc.StatusCode.INVALID_ARGUMENT),
    ):
        call: Any = channel.unary_stream(f"/callgate.admin.v1.{method}")
        with pytest.raises(grpc.RpcError) as told:
            next(call(b"\xff\xff\xff", metadata=metadata, timeout=10))
        assert told.value.code() is code
        assert ("is no message `callgate.admin.v1." in str(told.value.details())) is (metadata == known)


def test_one_caller_leaves_streams_for_others(admin: Admin, monkeypatch: pytest.MonkeyPatch) -> None:
    assert grpc_handlers.STREAMS_OF_CALLER == 32
    monkeypatch.setattr(grpc_handlers, "STREAMS_OF_CALLER", 1)
    request = approvals_pb2.WatchApprovalsRequest()
    viewer = admin.person("vic", Role.VIEWER)
    first = viewer.stream(request, approvals_pb2.WatchApprovalsResponse)
    assert next(first).synced
    with pytest.raises(grpc.RpcError) as told:
        next(viewer.stream(request, approvals_pb2.WatchApprovalsResponse))
    assert told.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    other = admin.admin.stream(request, approvals_pb2.WatchApprovalsResponse)
    assert next(other).synced
    for stream in (first, other):
        stream.cancel()


def test_a_thread_that_cannot_be_started_ends_nothing(admin: Admin, monkeypatch: pytest.MonkeyPatch) -> None:
    viewer, start = admin.person("vic", Role.VIEWER), Thread.start
    refused: list[str] = []

    def starting(thread: Thread) -> None:
        if thread.name.startswith("callgate-admin-grpc") and len(refused) < 2:
            refused.append(thread.name)
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(Thread, "start", starting)
    first = [call_of_caller(viewer) for _ in range(2)]
    until(lambda: len(refused) == 2)
    # They were only late.
    for call in (*first, call_of_caller(viewer)):
        assert status_pb2.GetCallerResponse.FromString(call.result()).name == "vic (local)"


def call_of_caller(client: Client) -> Any:
    method: Any = client.channel.unary_unary("/callgate.admin.v1.StatusService/GetCaller")
    return method.future(b"", metadata=client.metadata, timeout=30)


def test_one_policy_is_checked_at_a_time(admin: Admin, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(policy_check, "_TURN_S", 0.01)
    requests: list[Any] = [
        (policies_pb2.ValidatePolicyRequest(document=POLICY), policies_pb2.ValidatePolicyResponse),
        (
            policies_pb2.DryRunPolicyRequest(document=POLICY, calls=[{"grant": "g", "tool": "t"}]),
            policies_pb2.DryRunPolicyResponse,
        ),
    ]
    with policy_check.checking():
        for request, kind in requests:
            with pytest.raises(CallError) as told:
                admin.admin(request, kind)
            assert (told.value.code, told.value.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "CHECKING")
    for request, kind in requests:
        admin.admin(request, kind)


def test_streams_are_bounded_and_others_go_on(admin: Admin, monkeypatch: pytest.MonkeyPatch) -> None:
    assert grpc_handlers.STREAMS == 128
    admin.face.stop()
    monkeypatch.setattr(grpc_handlers, "STREAMS", 2)
    admin.face.start(admin.store)
    request = approvals_pb2.WatchApprovalsRequest()
    streams = [admin.admin.stream(request, approvals_pb2.WatchApprovalsResponse) for _ in range(2)]
    for stream in streams:
        assert next(stream).synced
    with pytest.raises(grpc.RpcError) as told:
        next(admin.admin.stream(request, approvals_pb2.WatchApprovalsResponse))
    assert told.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    admin.admin(status_pb2.GetCallerRequest(), status_pb2.GetCallerResponse)
    for stream in streams:
        stream.cancel()
    # A place that was given back is noticed within a second or so.
    for _ in range(100):
        stream = admin.admin.stream(request, approvals_pb2.WatchApprovalsResponse)
        try:
            assert next(stream).synced
        except grpc.RpcError:
            time.sleep(0.1)
        else:
            stream.cancel()
            return
    pytest.fail("no stream ended")


def test_a_stop_ends_streams(admin: Admin) -> None:
    request = approvals_pb2.WatchApprovalsRequest()
    stream = admin.admin.stream(request, approvals_pb2.WatchApprovalsResponse)
    assert next(stream).synced
    admin.face.stop()
    # Either without an error, or with that of the connection.
    with suppress(grpc.RpcError):
        list(stream)
    assert admin.face.registry is None


def principal() -> Principal:
    return Principal("ann", None, frozenset({Role.ADMIN}))


def test_what_is_late_is_not_done(admin: Admin) -> None:
    assert admin.face.registry is not None
    method = admin.face.registry.methods["callgate.admin.v1.ServersService/CreateServer"]
    request = servers_pb2.CreateServerRequest(server={"id": "s"})
    with pytest.raises(AdminError) as told:
        method.run(principal(), request, Call("here", deadline_s=time.monotonic()))
    assert told.value.code is grpc.StatusCode.DEADLINE_EXCEEDED
    assert admin.store.servers.page() == []


def test_an_error_that_nobody_expected_shows_nothing(admin: Admin, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_arguments: object) -> None:
        raise RuntimeError("a secret")

    monkeypatch.setattr(ServersService, "get_server", fail)
    admin.face.stop()
    admin.face.start(admin.store)
    with pytest.raises(CallError) as told:
        admin.admin(servers_pb2.GetServerRequest(id="x"), servers_pb2.GetServerResponse)
    assert (told.value.code, told.value.message) == (grpc.StatusCode.INTERNAL, "internal error: RuntimeError")
    level, event, fields = admin.events[-1]
    assert (level, event, fields["method"]) == (
        "error",
        "admin_method_failed",
        "callgate.admin.v1.ServersService/GetServer",
    )
    assert "secret" not in str(admin.events)


def test_without_tls_only_loopback_is_served(admin: Admin) -> None:
    assert admin.face.registry is not None
    for address in ("0.0.0.0:0", "[::]:0", "192.0.2.1:0"):
        with pytest.raises(ConfigError, match="without TLS"):
            GrpcFace(admin.face.registry, Identities(admin.store), address)


def test_a_port_in_use_is_told_and_the_store_stays_open(admin: Admin) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        face = AdminFace(admin.sidecar, PlanFiles(admin.sidecar.plan), NoChanges(), listen=address)
        face.start(admin.store)
    assert face.failure is not None
    assert "the port is in use" in face.failure
    assert face.registry is not None
    face.stop()


class NoChanges:
    def listen(self, listener: object, kinds: object) -> None:
        """Tells of nothing."""

    def forget(self, listener: object) -> None:
        """Likewise."""


def test_tls_follows_the_files(admin: Admin, tmp_path: Path) -> None:
    authority = trustme.CA()
    first, second = authority.issue_cert("localhost"), authority.issue_cert("localhost", common_name="second")
    files = [pem(first)]
    assert admin.face.registry is not None
    assert admin.face.identities is not None
    face = GrpcFace(admin.face.registry, admin.face.identities, "127.0.0.1:0", lambda: files[-1])
    face.start()
    roots = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(roots))
    port = face.address.rpartition(":")[2]
    token = admin.session("vic", Role.VIEWER)
    try:
        for _ in range(2):
            credentials = grpc.ssl_channel_credentials(roots.read_bytes())
            client = Client(f"localhost:{port}", token, credentials)
            client(status_pb2.GetCallerRequest(), status_pb2.GetCallerResponse)
            client.close()
            files.append(pem(second))
        plain = Client(f"127.0.0.1:{port}", token)
        with pytest.raises(CallError) as told:
            plain(status_pb2.GetCallerRequest(), status_pb2.GetCallerResponse, timeout=5)
        assert told.value.code is not grpc.StatusCode.OK
        plain.close()
    finally:
        face.stop()


def pem(certificate: trustme.LeafCert) -> dict[str, bytes]:
    chain = b"".join(blob.bytes() for blob in certificate.cert_chain_pems)
    return {"certificate": chain, "key": certificate.private_key_pem.bytes()}


def test_a_certificate_without_its_key_is_told(admin: Admin) -> None:
    authority = trustme.CA()
    mixed = {**pem(authority.issue_cert("localhost")), "key": b"no key"}
    assert admin.face.registry is not None
    with pytest.raises(ConfigError, match="do not fit"):
        GrpcFace(admin.face.registry, Identities(admin.store), "127.0.0.1:0", lambda: mixed)


def test_a_stream_ends_with_its_session(admin: Admin, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grpc_handlers, "_CHECK_S", 0.0)
    monkeypatch.setattr(approvals_watch, "BEAT_S", 0.2)
    stream = admin.person("vic", Role.VIEWER).stream(
        approvals_pb2.WatchApprovalsRequest(), approvals_pb2.WatchApprovalsResponse
    )
    assert next(stream).synced
    admin.store.people.remove("vic", principal().actor("x"), "", 1)
    with pytest.raises(grpc.RpcError) as told:
        list(stream)
    assert told.value.code() is grpc.StatusCode.UNAUTHENTICATED
