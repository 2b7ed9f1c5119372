"""The control socket and the routes of operators: who is answered, and what."""

from __future__ import annotations

import errno
import fcntl
import http.client
import json
import logging
import os
import socket
import stat
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from callgate import ConfigError, Engine, Server
from callgate.cli.running import Running, running
from callgate.control.metrics import ServerCollector, registry
from callgate.control.port.address import BoundAddress
from callgate.control.port.http import AdminServer
from callgate.control.port.pages import Pages
from callgate.control.port.routes import COUNTERS_RESET, LIMITS, STATUS, TOP, Routes
from callgate.control.port.socket import ControlSocket
from callgate.errors import CallgateError

TOKEN = "t" * 40
NONE: Mapping[str, str] = {}
POLICY: dict[str, Any] = {
    "version": "1",
    "name": "p",
    "default": "deny",
    "tools": {
        "t": {"limits": [{"counter": "c", "window": "minute", "max": 2}]},
        "u": {"limits": [{"counter": "d", "window": "minute", "max": 1.5, "scope": "args.region"}]},
    },
}


@pytest.fixture
def engine() -> Engine:
    return Engine.from_dict(POLICY, counter_capacity=64)


@pytest.fixture
def pages(engine: Engine) -> Iterator[Pages]:
    with Server(engine, workers=1, grace_ms=0) as server:
        pages = Pages(registry(ServerCollector(server)))
        pages.routes = Routes(engine, server, lambda: {"pid": os.getpid()})
        pages.ready = True
        yield pages


@pytest.fixture
def control(pages: Pages, tmp_path: Path) -> Iterator[ControlSocket]:
    control = ControlSocket(tmp_path / "state", pages)
    control.start()
    yield control
    control.stop()


@pytest.fixture
def admin(pages: Pages) -> Iterator[AdminServer]:
    admin = AdminServer(BoundAddress("127.0.0.1:0"), pages)
    admin.start()
    yield admin
    admin.stop()


def request(
    address: str, path: str, headers: Mapping[str, str] = NONE, *, method: str = "GET", body: bytes | None = None
) -> tuple[int, dict[str, Any], http.client.HTTPMessage]:
    connection = http.client.HTTPConnection(address, timeout=20)
    try:
        connection.request(method, path, body, dict(headers))
        response = connection.getresponse()
        content = response.read()
        kind = response.headers["Content-Type"]
        return response.status, json.loads(content) if kind == "application/json" else {}, response.headers
    finally:
        connection.close()


def test_the_socket_is_for_this_user_and_is_removed(pages: Pages, tmp_path: Path) -> None:
    state = tmp_path / "new" / "state"
    control = ControlSocket(state, pages)
    control.start()
    assert stat.S_IMODE(control.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(state.stat().st_mode) == 0o700
    assert Running(state).ask("GET", STATUS) == {"pid": os.getpid()}
    control.stop()
    assert not control.path.exists()


def test_a_socket_that_a_killed_sidecar_has_left_is_replaced(pages: Pages, tmp_path: Path) -> None:
    path = tmp_path / "control.sock"
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))
        left.listen()
    assert path.is_socket()
    control = ControlSocket(tmp_path, pages)
    control.start()
    assert Running(tmp_path).ask("GET", STATUS) == {"pid": os.getpid()}
    control.stop()


def test_one_folder_has_one_owner(control: ControlSocket, pages: Pages) -> None:
    with pytest.raises(ConfigError, match=r"another sidecar has the control socket .* --state"):
        ControlSocket(control.path.parent, pages)
    assert Running(control.path.parent).ask("GET", STATUS) == {"pid": os.getpid()}


def test_a_socket_of_another_user_is_one_that_is_used(
    pages: Pages, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Root may connect to every socket, so the system's refusal is made up here.
    def refused(_socket: socket.socket, _name: str) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    path = tmp_path / "control.sock"
    with socket.socket(socket.AF_UNIX) as others:
        others.bind(str(path))
        with monkeypatch.context() as patch:
            patch.setattr(socket.socket, "connect", refused)
            with pytest.raises(ConfigError, match="another sidecar has the control socket"):
                ControlSocket(tmp_path, pages)
    assert path.is_socket()


def test_whoever_locks_the_folder_does_not_stop_a_start(
    pages: Pages, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that may read a folder may also lock it."""
    monkeypatch.setattr("callgate.config.locks._PATIENCE_S", 0.1)
    handle = os.open(tmp_path, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_SH)
        with pytest.raises(ConfigError, match="another process has locked the state folder"):
            ControlSocket(tmp_path, pages)
    finally:
        os.close(handle)
    ControlSocket(tmp_path, pages).stop()


def test_another_file_of_that_name_is_left_alone(pages: Pages, tmp_path: Path) -> None:
    path = tmp_path / "control.sock"
    path.write_text("mine")
    with pytest.raises(
        ConfigError,
        match=r"cannot create the control socket .*: address already in use; name another folder with --state",
    ):
        ControlSocket(tmp_path, pages)
    assert path.read_text() == "mine"


def test_a_socket_that_took_its_place_is_not_removed(pages: Pages, tmp_path: Path) -> None:
    control = ControlSocket(tmp_path, pages)
    control.start()
    control.path.unlink()
    control.path.write_text("another's")
    control.stop()
    assert control.path.read_text() == "another's"


def test_a_long_path(pages: Pages, tmp_path: Path) -> None:
    state = tmp_path / ("d" * 100) / ("e" * 100)
    control = ControlSocket(state, pages)
    control.start()
    assert Running(state).ask("GET", STATUS) == {"pid": os.getpid()}
    control.stop()
    assert not control.path.exists()


def test_other_users_are_not_answered(control: ControlSocket, monkeypatch: pytest.MonkeyPatch) -> None:
    # Root is always admitted, so the peer's credentials are those of another user here.
    import callgate.control.port.socket as module  # noqa: PLC0415  only this test needs its internals

    class Stranger:
        size = module.CREDENTIALS.size

        @staticmethod
        def unpack(_credentials: bytes) -> tuple[int, int, int]:
            return 1, os.geteuid() + 1, 1

    monkeypatch.setattr(module, "CREDENTIALS", Stranger)
    with pytest.raises(CallgateError, match="closed the connection; it answers its own user and root alone"):
        Running(control.path.parent).ask("GET", STATUS)


def test_the_socket_answers_health_and_metrics_too(control: ControlSocket) -> None:
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(control.path))
        client.sendall(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        with client.makefile("rb") as answer:
            assert answer.read().endswith(b"\r\n\r\nready\n")


def test_without_a_token_tcp_answers_as_before(admin: AdminServer) -> None:
    for path in (STATUS, LIMITS, "/v1/x", "/"):
        assert request(admin.address, path)[0] == 404
        assert request(admin.address, path, {"Authorization": f"Bearer {TOKEN}"})[0] == 404
    assert request(admin.address, "/readyz")[0] == 200


def test_with_a_token_tcp_answers_those_who_have_it(admin: AdminServer, pages: Pages) -> None:
    pages.token = TOKEN
    for header in ({}, {"Authorization": TOKEN}, {"Authorization": f"Bearer {TOKEN}x"}, {"Authorization": "Bearer é"}):
        status, document, headers = request(admin.address, STATUS, header)
        assert (status, headers["WWW-Authenticate"]) == (401, "Bearer")
        assert TOKEN not in document["error"]
    bearer = {"Authorization": f"bearer {TOKEN}"}
    assert request(admin.address, STATUS, bearer)[:2] == (200, {"pid": os.getpid()})
    assert request(admin.address, STATUS, {**bearer, "Origin": "http://localhost:3000"})[0] == 403
    assert request(admin.address, STATUS, {**bearer, "Host": "evil.example"})[0] == 403
    assert request(admin.address, "/metrics")[0] == 200
    pages.token = "u" * 40
    assert request(admin.address, STATUS, bearer)[0] == 401


def test_wrong_requests(admin: AdminServer, pages: Pages) -> None:
    pages.token = TOKEN
    bearer = {"Authorization": f"Bearer {TOKEN}"}
    status, document, _ = request(admin.address, "/v1/x", bearer)
    assert status == 404
    assert document["error"].startswith(f"no such path; expected one of `{STATUS}`, `{LIMITS}`")
    status, _, headers = request(admin.address, STATUS, bearer, method="POST", body=b"{}")
    assert (status, headers["Allow"]) == (405, "GET")
    for body, message in [
        (b"", "the body is not one JSON object"),
        (b"[]", "the body is not one JSON object"),
        (b'{"grant": "g", "grant": "h"}', "a key stands twice"),
        (b'{"grant": NaN}', "NaN is no JSON"),
        (b'{"tool": "t"}', "the field `grant` is missing"),
        (b'{"grant": "g", "tol": "t"}', "did you mean `tool`?"),
        (b'{"grant": 7}', "the field `grant`: expected a text"),
        (b"[" * 100_000, "the body is not one JSON object"),
    ]:
        status, document, _ = request(admin.address, LIMITS, bearer, method="POST", body=body)
        assert (status, message in document["error"]) == (400, True), document
    # Its length alone: the port closes the connection, and a client that still sends would not read the answer.
    too_long = {**bearer, "Content-Length": str((1 << 20) + 1)}
    status, _, headers = request(admin.address, STATUS, too_long, method="POST")
    assert (status, headers["Connection"]) == (413, "close")
    chunked = {**bearer, "Transfer-Encoding": "chunked"}
    assert request(admin.address, STATUS, chunked, method="POST", body=b"0\r\n\r\n")[0] == 411


def test_a_body_that_is_not_read_is_not_the_next_request(admin: AdminServer) -> None:
    smuggled = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with ExitStack() as stack:
        host, _, port = admin.address.rpartition(":")
        client = stack.enter_context(socket.create_connection((host, int(port))))
        head = f"POST {STATUS} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(smuggled)}\r\n\r\n"
        client.sendall(head.encode() + smuggled)
        with client.makefile("rb") as answer:
            text = answer.read()
    assert text.count(b"HTTP/1.1 ") == 1, text


def test_limits(control: ControlSocket, engine: Engine) -> None:
    sidecar = Running(control.path.parent)
    engine.check(grant="g", tool="t")

    def limits(**fields: object) -> dict[str, Any]:
        return sidecar.ask("POST", LIMITS, json.dumps(fields).encode())

    for _ in range(3):
        answer = limits(grant="g", tool="t")
        (limit,) = answer["limits"]
        assert (limit["remaining"], limit["retry_after_ms"]) == (1, 0)
        assert answer["decision"]["outcome"] == "allow"
    assert engine.counters[0] == 1
    every = limits(grant="g")
    assert "decision" not in every
    assert [(limit["counter"], limit.get("remaining"), limit["missing"]) for limit in every["limits"]] == [
        ("c", 1, []),
        ("d", None, ["args.region"]),
    ]
    (region,) = limits(grant="g", tool="u", args={"region": "eu"})["limits"]
    assert region["remaining"] == 1.5


def test_a_reset(control: ControlSocket, engine: Engine, caplog: pytest.LogCaptureFixture) -> None:
    def outcomes(grant: str) -> list[str]:
        return [engine.check(grant=grant, tool="t").outcome for _ in range(3)]

    spent = ["allow", "allow", "rate_limited"]
    assert [outcomes("a"), outcomes("b")] == [spent, spent]
    sidecar = Running(control.path.parent)
    with caplog.at_level(logging.WARNING, logger="callgate"):
        reset = sidecar.ask("POST", COUNTERS_RESET, b'{"grant": "a", "counter": "c"}')
    assert reset == {
        "limits": [{"policy": "p", "rule": "/tools/t/limits/c", "counter": "c", "shared": False}],
        "kept": [],
        "grant_counters": 1,
        "tool_is_known": None,
        "nearest_tool": None,
    }
    (record,) = [record for record in caplog.records if record.msg == "counters_reset"]
    assert record.__dict__["fields"] == {"grant": "a", "counter": "c", "limits": "p/tools/t/limits/c"}
    assert [outcomes("a"), outcomes("b")] == [spent, ["rate_limited"] * 3]
    reset = sidecar.ask("POST", COUNTERS_RESET, b'{"tool": "t"}')
    assert (len(reset["limits"]), reset["grant_counters"]) == (1, None)
    assert [outcomes("a"), outcomes("b")] == [spent, spent]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"{}", "nothing is named; expected a grant"),
        (b'{"policy": "q"}', "no policy `q` is loaded; did you mean `p`?"),
        (b'{"counter": "e"}', "no limit of the loaded policies has the counter `e`"),
        (b'{"tool": "x"}', "no limit of the loaded policies has all of these names"),
        (b'{"grant": ""}', "the field `grant`: expected a text"),
        (b'{"grants": "a"}', "did you mean `grant`?"),
        (rb'{"grant": "\ud800"}', "without lone surrogates"),
    ],
)
def test_resets_that_are_refused(control: ControlSocket, body: bytes, message: str) -> None:
    with pytest.raises(CallgateError) as refused:
        Running(control.path.parent).ask("POST", COUNTERS_RESET, body)
    assert message in str(refused.value)
    assert "(HTTP 400)" in str(refused.value)


@pytest.mark.parametrize("interval", ["0", "1" + "0" * 400, "true", '"1"'])
def test_intervals_that_are_refused(control: ControlSocket, interval: str) -> None:
    with pytest.raises(CallgateError, match=r"the field `interval_s`: expected .* \(HTTP 400\)"):
        Running(control.path.parent).ask("POST", TOP, f'{{"interval_s": {interval}}}'.encode())


def test_nobody_is_there(tmp_path: Path, control: ControlSocket) -> None:
    with pytest.raises(ConfigError, match=r"no sidecar runs with the state folder .*: there is no .*callgate serve"):
        Running(tmp_path / "elsewhere").ask("GET", STATUS)
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(tmp_path / "control.sock"))
    with pytest.raises(ConfigError, match=r"nobody listens on .*, which a killed one has left"):
        Running(tmp_path).ask("GET", STATUS)
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    with pytest.raises(ConfigError, match=r"no sidecar answers at .*connection refused; check --admin"):
        Running(Path(), f"http://127.0.0.1:{port}", TOKEN).ask("GET", STATUS)
    assert control.path.exists()


def test_a_sidecar_that_hangs_is_not_told_as_one_that_does_not_run(
    tmp_path: Path,
) -> None:
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(tmp_path / "control.sock"))
        silent.listen()
        hangs = r"the sidecar at `.*/control\.sock` did not answer within 0\.1 s; it may be stopped or overloaded"
        with pytest.raises(ConfigError, match=hangs):
            Running(tmp_path, timeout_s=0.1).ask("GET", STATUS)
        with pytest.raises(ConfigError, match=hangs):
            next(Running(tmp_path, timeout_s=0.1).stream(TOP, b"{}"))


def test_the_token_is_not_taken_where_others_can_read_it(pages: Pages) -> None:
    pages.token = TOKEN
    server = AdminServer(BoundAddress("0.0.0.0:0"), pages)
    server.start()
    try:
        for token in (TOKEN, "u" * 40):
            sidecar = Running(Path(), f"http://127.0.0.1:{server.address.rpartition(':')[2]}", token)
            with pytest.raises(CallgateError, match=r"over TLS or on loopback alone.*\(HTTP 403\)"):
                sidecar.ask("GET", STATUS)
    finally:
        server.stop()


def test_over_tcp_the_command_says_what_is_missing(admin: AdminServer, pages: Pages, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(TOKEN + "\n")
    sidecar = running(None, None, f"http://{admin.address}/", file)
    with pytest.raises(CallgateError, match=r"only with `admin\.token_file` in its configuration"):
        sidecar.ask("GET", STATUS)
    pages.token = "u" * 40
    with pytest.raises(CallgateError, match=r"with the token of `admin\.token_file` \(HTTP 401\)"):
        sidecar.ask("GET", STATUS)
    pages.token = TOKEN
    assert sidecar.ask("GET", STATUS) == {"pid": os.getpid()}
    file.write_text("short")
    with pytest.raises(ConfigError, match="expected a token of at least 32"):
        running(None, None, f"http://{admin.address}", file)
