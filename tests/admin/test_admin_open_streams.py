"""Open streams end as soon as their callers may not read them any more."""

from __future__ import annotations

from collections.abc import Callable
from threading import Thread
from typing import Any

import grpc
import pytest

from callgate._proto.callgate.admin.v1 import approvals_pb2, decisions_pb2, people_pb2
from callgate.admin.calls.authorise import Rights
from callgate.admin.calls.errors import AdminError
from callgate.admin.calls.open_streams import OpenStreams
from callgate.clock import now_us
from callgate.errors import StoreError
from callgate.identity.identities import Identities
from callgate.store.people import PersonEdit, Role
from support.admin import BY, Admin, failure_of, password_hash
from support.setup import until

STREAMS: tuple[Any, ...] = (
    (approvals_pb2.WatchApprovalsRequest, approvals_pb2.WatchApprovalsResponse),
    (decisions_pb2.TailDecisionsRequest, decisions_pb2.TailDecisionsResponse),
)


def remove(admin: Admin, _token: str) -> None:
    admin.store.people.remove("vic", BY, "", now_us())


def change_roles(admin: Admin, _token: str) -> None:
    admin.store.people.put(PersonEdit("vic", frozenset({Role.APPROVER}), frozenset(), None), BY, "", now_us())


def deactivate(admin: Admin, _token: str) -> None:
    edit = PersonEdit("vic", frozenset({Role.VIEWER}), frozenset(), None, is_active=False)
    admin.store.people.put(edit, BY, "", now_us())


def log_out(admin: Admin, token: str) -> None:
    identities(admin).log_out(token)


def log_in_often(admin: Admin, _token: str) -> None:
    """Twenty later sessions end the oldest one."""
    for _ in range(20):
        identities(admin).log_in("vic", "correct horse battery", "here")


def identities(admin: Admin) -> Identities:
    assert admin.face.identities is not None
    return admin.face.identities


@pytest.fixture(autouse=True)
def no_signs_of_life(monkeypatch: pytest.MonkeyPatch) -> None:
    """Their check would end the stream too, some time later."""
    for name in ("services.approvals_watch.BEAT_S", "services.decisions.BEAT_S"):
        monkeypatch.setattr(f"callgate.admin.{name}", 3_600.0)


@pytest.mark.parametrize("kinds", STREAMS, ids=("approvals", "decisions"))
@pytest.mark.parametrize("end", [remove, change_roles, deactivate, log_out, log_in_often])
def test_a_stream_ends_with_the_right_of_its_person(both: Admin, end: Callable[[Admin, str], None], kinds: Any) -> None:
    token = both.session("vic", Role.VIEWER)
    request, answer = kinds
    stream, other = both.client(token).stream(request(), answer), both.admin.stream(request(), answer)
    next(stream)
    next(other)
    end(both, token)
    with pytest.raises(grpc.RpcError) as told:
        list(stream)
    assert told.value.code() is grpc.StatusCode.UNAUTHENTICATED
    assert failure_of(told.value).reason == "TOKEN"
    assert other.is_active()
    other.cancel()


@pytest.mark.parametrize("kinds", STREAMS, ids=("approvals", "decisions"))
def test_a_stream_ends_with_its_token(both: Admin, kinds: Any) -> None:
    token, text = identities(both).new_token("m", frozenset({Role.VIEWER}), None, now_us() + 10**9, BY, "")
    request, answer = kinds
    stream = both.client(text).stream(request(), answer)
    next(stream)
    both.store.tokens.revoke(token.id, BY, "", now_us())
    with pytest.raises(grpc.RpcError) as told:
        list(stream)
    assert told.value.code() is grpc.StatusCode.UNAUTHENTICATED


def test_a_change_over_the_api_ends_streams_too(admin: Admin) -> None:
    stream = admin.person("vic", Role.VIEWER).stream(STREAMS[0][0](), STREAMS[0][1])
    next(stream)
    admin.admin(people_pb2.DeletePersonRequest(name="vic"), people_pb2.DeletePersonResponse)
    with pytest.raises(grpc.RpcError):
        list(stream)


def test_checks_are_made_when_something_has_changed_and_not_more_often() -> None:
    streams, checks, faults = OpenStreams(), list[str](), list[AdminError]()
    refused = AdminError(grpc.StatusCode.PERMISSION_DENIED, "no")

    def check() -> None:
        checks.append("")
        if len(checks) == 3:
            raise refused

    with streams.checked(check, faults.append):
        until(lambda: len(checks) == 1)
        streams.look_again({"approvals", "grants"})
        streams.look_again({"tokens"})
        until(lambda: len(checks) == 2)
        streams.look_again({"people", "approvals"})
        until(lambda: faults == [refused])
    streams.look_again({"people"})
    streams.stop()
    assert len(checks) == 3


def test_a_store_that_does_not_answer_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("callgate.admin.calls.open_streams._RETRY_S", 0.01)
    streams, checks, faults = OpenStreams(), list[str](), list[AdminError]()

    def check() -> None:
        checks.append("")
        if len(checks) < 5:
            raise StoreError("silent")
        raise AdminError(grpc.StatusCode.UNAUTHENTICATED, "gone")

    with streams.checked(check, faults.append):
        until(lambda: len(faults) == 1)
    streams.stop()
    assert len(checks) == 5


def test_a_thread_that_cannot_be_started_is_started_for_the_next_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    streams, faults, refused = OpenStreams(), list[AdminError](), AdminError(grpc.StatusCode.UNAUTHENTICATED, "gone")

    def check() -> None:
        raise refused

    def none_left(_: Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as limited:
        limited.setattr(Thread, "start", none_left)
        with pytest.raises(RuntimeError), streams.checked(check, faults.append):
            pass
    with streams.checked(check, faults.append):
        until(lambda: faults == [refused])
    streams.stop()


def test_rights_are_looked_at_and_not_the_token_alone(admin: Admin, monkeypatch: pytest.MonkeyPatch) -> None:
    """A role that is lost without an end of the session: by hand in the tables."""
    stream = admin.person("vic", Role.VIEWER).stream(STREAMS[0][0](), STREAMS[0][1])
    next(stream)

    def refuse(_principal: object, rights: Rights) -> None:
        raise AdminError(grpc.StatusCode.PERMISSION_DENIED, f"this takes the role `{rights.role.value}`", reason="ROLE")

    monkeypatch.setattr("callgate.admin.grpc.handlers.authorise", refuse)
    eve = PersonEdit("eve", frozenset({Role.VIEWER}), frozenset(), password_hash())
    admin.store.people.put(eve, BY, "", now_us())
    with pytest.raises(grpc.RpcError) as told:
        list(stream)
    assert told.value.code() is grpc.StatusCode.PERMISSION_DENIED
