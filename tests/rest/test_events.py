"""Streams of the API as server-sent events."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

import httpx
import pytest

from callgate import Client
from callgate.admin.rest import pumps
from callgate.clock import now_us
from callgate.store.approvals.answer import Answer
from callgate.store.model import Person, Verdict, Waiting
from callgate.store.people import Role
from callgate.store.tokens import Scope
from rest.conftest import Rest
from support.admin import BY, DAY_US
from support.approvals import ISSUER, ask, need
from support.setup import until

WATCH = "/admin/v1/approvals:watch"
TAIL = "/admin/v1/decisions:tail"


def pending(rest: Rest, fingerprint: str, **more: Any) -> str:
    [outcome] = rest.store.approvals.ask([ask(fingerprint, need(), **more)], now_us())
    assert isinstance(outcome, Waiting)
    return outcome.approval_id


def deny(rest: Rest, approval: str) -> None:
    rest.store.approvals.answer(approval, Answer(Person(ISSUER, "x"), frozenset(), Verdict.DENY, "here"), now_us())


class Events:
    """The events of one stream."""

    def __init__(self, answer: httpx.Response) -> None:
        self.answer = answer
        self._lines = answer.iter_lines()

    def next(self) -> dict[str, Any]:
        """The next event that is no comment: its fields."""
        fields: dict[str, Any] = {}
        for line in self._lines:
            if not line and fields:
                return fields
            name, colon, value = line.partition(": ")
            if colon and name:
                fields[name] = json.loads(value) if name == "data" else value
        message = "the stream has ended"
        raise EOFError(message)


@contextmanager
def events(rest: Rest, path: str, token: str | None = None, **headers: str) -> Iterator[Events]:
    sent = {"Authorization": f"Bearer {token or rest.token}", **headers}
    with rest.client.stream("GET", path, headers=sent) as answer:
        assert answer.status_code == 200, answer.read()
        assert answer.headers["Content-Type"].startswith("text/event-stream")
        yield Events(answer)


def synced(stream: Events) -> tuple[list[str], str]:
    """The ids of the approvals that a stream begins with, and the id of its event."""
    found: list[str] = []
    while True:
        event = stream.next()
        if event["data"].get("synced"):
            return found, event["id"]
        found.append(event["data"]["approval"]["id"])


def streams() -> int:
    return sum(thread.name == "callgate-admin-stream" for thread in threading.enumerate())


def test_approvals_from_the_pending_ones_on(rest: Rest) -> None:
    first = pending(rest, "a")
    with events(rest, WATCH) as stream:
        assert synced(stream)[0] == [first]
        second = pending(rest, "b")
        assert stream.next()["data"]["approval"]["id"] == second
        deny(rest, first)
        event = stream.next()
        assert (event["data"]["approval"]["id"], event["data"]["approval"]["state"]) == (first, "STATE_DENIED")


def test_a_long_beginning_comes_in_parts(rest: Rest, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = [pending(rest, f"f{number}") for number in range(5)]
    for least_bytes in (1, 1_200, 1 << 20):
        monkeypatch.setattr("callgate.admin.rest.events._BYTES_AT_ONCE", least_bytes)
        with events(rest, WATCH) as stream:
            assert synced(stream)[0] == asked


def test_a_stream_goes_on_where_it_broke_off(rest: Rest) -> None:
    with events(rest, WATCH) as stream:
        _, last = synced(stream)
    missed = pending(rest, "a")
    with events(rest, WATCH, **{"Last-Event-ID": last}) as stream:
        found, _ = [], synced(stream)
        found.append(stream.next()["data"]["approval"]["id"])
        assert found == [missed]
        later = pending(rest, "b")
        assert stream.next()["data"]["approval"]["id"] == later
    status, refused, _ = rest.ask("GET", WATCH, **{"Last-Event-ID": "999999999"})
    assert (status, refused["code"]) == (400, 11)


def test_a_hundred_inboxes_are_one_thread(rest: Rest) -> None:
    before = threading.active_count()
    with ExitStack() as stack:
        limits = httpx.Limits(max_connections=200)
        rest.client = stack.enter_context(httpx.Client(base_url=f"http://{rest.address}", timeout=60, limits=limits))
        inboxes = [stack.enter_context(events(rest, WATCH)) for _ in range(100)]
        for inbox in inboxes:
            synced(inbox)
        until(lambda: threading.active_count() <= before + 8)
        # Streams of a moment ago need one to end.
        until(lambda: streams() == 1)
        approval = pending(rest, "a")
        assert {inbox.next()["data"]["approval"]["id"] for inbox in inboxes} == {approval}
        # Others are answered meanwhile.
        assert rest.ask("GET", "/admin/v1/approvals")[0] == 200
        assert rest.client.get("/healthz").status_code == 200
    until(lambda: streams() == 0)


def test_filters_are_streams_of_their_own(rest: Rest) -> None:
    with events(rest, f"{WATCH}?grant=g1") as one, events(rest, f"{WATCH}?grant=g2") as other:
        synced(one)
        synced(other)
        pending(rest, "a", grant="g2")
        pending(rest, "b", grant="g1")
        assert one.next()["data"]["approval"]["grant"] == "g1"
        assert other.next()["data"]["approval"]["grant"] == "g2"
    until(lambda: streams() == 0)


def test_one_caller_leaves_streams_for_others(rest: Rest) -> None:
    viewer = rest.admin.session("vic", Role.VIEWER)
    with ExitStack() as stack:
        for number in range(pumps.MOST_OF_CALLER):
            stack.enter_context(events(rest, f"{WATCH}?grant=g{number}", viewer))
        status, refused, _ = rest.ask("GET", f"{WATCH}?grant=other", token=viewer)
        assert (status, refused["details"][0]["reason"]) == (429, "STREAMS")
        # One that is followed already takes no thread.
        stack.enter_context(events(rest, f"{WATCH}?grant=g0", viewer))
        stack.enter_context(events(rest, f"{WATCH}?grant=other"))
    until(lambda: streams() == 0)
    with events(rest, f"{WATCH}?grant=other", viewer) as one:
        synced(one)


def test_decisions(rest: Rest) -> None:
    address = rest.admin.sidecar.server.address
    assert address is not None
    with events(rest, f"{TAIL}?tools=t") as stream, Client(address) as client:

        def decide() -> None:
            client.check(grant="g", tool="t", server="s")

        decide()
        event = stream.next()
        assert event["data"]["decisions"][0]["tool"] == "t"


def test_the_status_can_be_followed(rest: Rest) -> None:
    with events(rest, "/admin/v1/status", Accept="text/event-stream") as stream:
        assert stream.next()["data"]
    assert rest.ask("GET", "/admin/v1/status")[0] == 200
    until(lambda: streams() == 0)


@pytest.mark.parametrize("path", [WATCH, TAIL])
def test_who_may_not_follow_gets_no_stream(rest: Rest, path: str) -> None:
    identities = rest.admin.face.identities
    assert identities is not None
    scopes = frozenset({Scope.PINS})
    _, other = identities.new_token("m", frozenset({Role.VIEWER}), scopes, now_us() + DAY_US, BY, "")
    status, refused, _ = rest.ask("GET", path, token=other)
    assert (status, refused["code"]) == (403, 7)
    assert rest.client.get(path).status_code == 401
    assert rest.ask("HEAD", path)[0] == 405
    assert rest.ask("GET", f"{path}?grants=a&x=y")[0] == 400
    until(lambda: streams() == 0)


def test_a_stream_ends_when_its_session_is_over(rest: Rest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The end of a session is no change of the store; the next heartbeat of the stream finds it."""
    monkeypatch.setattr("callgate.admin.rest.events._BEAT_S", 0.2)
    token = rest.admin.session("vic", Role.VIEWER)
    with events(rest, WATCH, token) as stream:
        synced(stream)
        monkeypatch.setattr("callgate.store.sessions.IDLE_US", 0)
        # The check of the beginning may be the one that finds it: then there is an event of an error before the end.
        with suppress(EOFError):
            assert stream.next()["event"] == "error"
        with pytest.raises(EOFError):
            stream.next()


def test_a_stream_that_is_never_silent_ends_when_its_session_is_over(
    rest: Rest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("callgate.admin.rest.events._BEAT_S", 0.5)
    token, address = rest.admin.session("vic", Role.VIEWER), rest.admin.sidecar.server.address
    assert address is not None
    with events(rest, TAIL, token) as stream, Client(address) as client:

        def decide(times: int) -> None:
            for _ in range(times):
                client.check(grant="g", tool="t", server="s")
                stream.next()

        # By then, the check of the beginning is over.
        decide(200)
        monkeypatch.setattr("callgate.store.sessions.IDLE_US", 0)
        with pytest.raises(EOFError):
            decide(20_000)


@pytest.mark.parametrize("path", [WATCH, TAIL, "/admin/v1/status", "/admin/v1/replicas"])
@pytest.mark.parametrize("how", ["log_out", "remove", "revoke"])
def test_a_stream_ends_at_once_with_the_right_of_its_caller(
    rest: Rest, how: str, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("callgate.admin.rest.events._BEAT_S", 3_600.0)
    identities = rest.admin.face.identities
    assert identities is not None
    token, text = identities.new_token("m", frozenset({Role.VIEWER}), None, now_us() + DAY_US, BY, "")
    text = text if how == "revoke" else rest.admin.session("vic", Role.VIEWER)
    with events(rest, path, text, Accept="text/event-stream") as stream, events(rest, WATCH) as other:
        if path == WATCH:
            synced(stream)
        synced(other)
        if how == "log_out":
            identities.log_out(text)
        elif how == "remove":
            rest.store.people.remove("vic", BY, "", now_us())
        else:
            rest.store.tokens.revoke(token.id, BY, "", now_us())
        event = stream.next()
        while "event" not in event:
            event = stream.next()
        assert (event["event"], event["data"]["code"]) == ("error", 16)
        with pytest.raises(EOFError):
            stream.next()
        # Others go on.
        approval = pending(rest, "a")
        assert other.next()["data"]["approval"]["id"] == approval


def test_a_stream_of_a_cookie_ends_with_its_session(rest: Rest) -> None:
    token = rest.admin.session("vic", Role.VIEWER)
    with rest.client.stream("GET", WATCH, headers={"Cookie": f"callgate={token}"}) as answer:
        stream = Events(answer)
        synced(stream)
        identities = rest.admin.face.identities
        assert identities is not None
        identities.log_out(token)
        assert stream.next()["event"] == "error"
