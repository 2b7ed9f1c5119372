"""callgate's interfaces that involve Python. All of them get the same calls and must give the same answers."""

from __future__ import annotations

import asyncio
import http.client
import json
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import datetime, timezone
from pathlib import Path
from queue import SimpleQueue
from tempfile import TemporaryDirectory
from threading import Thread
from typing import TYPE_CHECKING, Any, ClassVar

import grpc
import grpc.aio

import callgate
from callgate import AsyncClient, Client, Decision, Engine, ManualClock, Peek, Server, add_to_grpc_server
from callgate._callgate import args_json
from callgate.approvals.unanswered import Unanswered

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine, Sequence

    from typing_extensions import Self

    from support.cases import Call

STATUS = {"allow": 200, "deny": 403, "rate_limited": 429, "approval_required": 403}
TIMEOUT_MS = 20_000


class Door:
    """One interface, with its own engine."""

    name: ClassVar[str]

    def __init__(
        self,
        policy: dict[str, Any],
        catalogue: dict[str, Any] | None = None,
        *,
        freezes: Sequence[dict[str, Any]] = (),
        **sizes: Any,
    ) -> None:
        self.stack = ExitStack()
        self.approvals = self.stack.enter_context(Unanswered()).queue
        self.engine = Engine.from_dict(policy, catalogue, approvals=self.approvals, **sizes)
        self.freeze(freezes)

    def freeze(self, freezes: Sequence[dict[str, Any]]) -> None:
        """Takes freezes, as keywords of `Engine.freeze`."""
        for freeze in freezes:
            self.engine.freeze(**freeze)

    def ask(self, call: Call) -> dict[str, Any]:
        """The decision's fields."""
        raise NotImplementedError

    def peek(self, call: Call) -> dict[str, Any] | None:
        """The answer of a peek before the call; None for an interface that has none."""
        del call
        return None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.stack.close()


class EngineDoor(Door):
    """`Engine.check`."""

    name = "Engine"

    def ask(self, call: Call) -> dict[str, Any]:
        fields = keywords(call)
        return self.engine.check(**fields, now_ms=call.now_ms).to_dict()

    def peek(self, call: Call) -> dict[str, Any]:
        return self.engine.peek(**peeked(call), now_ms=call.now_ms).to_dict()


class ClockedDoor(Door):
    """An interface with its own server: the caller cannot give a time, so the server has a manual clock."""

    def __init__(self, policy: dict[str, Any], catalogue: dict[str, Any] | None = None, **further: Any) -> None:
        super().__init__(policy, catalogue, **further)
        self.clock = ManualClock()


class ServedDoor(ClockedDoor):
    """An interface of the data plane, which reads freezes from their file."""

    freeze_file: Path | None = None

    def freeze(self, freezes: Sequence[dict[str, Any]]) -> None:
        if not freezes:
            return
        rows = [{**freeze, "at": "1970-01-01T00:00:00Z", "by": "a test"} for freeze in freezes]
        for row in rows:
            if "until_us" in row:
                until = datetime.fromtimestamp(row.pop("until_us") / 1_000_000, timezone.utc)
                row["until"] = until.isoformat().replace("+00:00", "Z")
        folder = self.stack.enter_context(TemporaryDirectory(prefix="callgate-freezes-"))
        self.freeze_file = Path(folder) / "freeze.json"
        self.freeze_file.write_text(json.dumps({"version": "1", "freezes": rows}))

    def server(self) -> Server:
        """The server, which is stopped at the end."""
        server = Server(
            self.engine,
            workers=1,
            clock=self.clock,
            grace_ms=1_000,
            freeze_file=self.freeze_file,
            approvals=self.approvals,
        )
        return self.stack.enter_context(server)


class GrpcDoor(ServedDoor):
    """`Check` of the data plane, asked by `Client`."""

    name = "gRPC"

    def __enter__(self) -> Self:
        server = self.server()
        self.client = self.stack.enter_context(Client(str(server.address), timeout_ms=TIMEOUT_MS))
        return self

    def ask(self, call: Call) -> dict[str, Any]:
        self.clock.set(call.now_ms)
        return self.client.check(**keywords(call)).to_dict()

    def peek(self, call: Call) -> dict[str, Any]:
        self.clock.set(call.now_ms)
        return self.client.peek(**peeked(call)).to_dict()


class Batches(ClockedDoor):
    """`CheckBatch` with one call at a time; the Rust tests cover larger batches."""

    client: Client

    def ask(self, call: Call) -> dict[str, Any]:
        self.clock.set(call.now_ms)
        [decision] = self.client.check_batch([keywords(call)])
        return decision.to_dict()


class Streams(ClockedDoor):
    """`CheckStream`: one stream, with the next call after each answer."""

    client: Client

    def ask(self, call: Call) -> dict[str, Any]:
        self.clock.set(call.now_ms)
        if not hasattr(self, "decisions"):
            self.calls: SimpleQueue[callgate.Call | None] = SimpleQueue()
            self.decisions = self.client.check_stream(iter(self.calls.get, None))
            # Before the client is closed.
            self.stack.callback(lambda: next(self.decisions, None))
            self.stack.callback(self.calls.put, None)
        self.calls.put(keywords(call))
        return next(self.decisions).to_dict()


class GrpcBatchDoor(Batches, GrpcDoor):
    """`CheckBatch` of the data plane, asked by `Client`."""

    name = "gRPC batch"


class GrpcStreamDoor(Streams, GrpcDoor):
    """`CheckStream` of the data plane, asked by `Client`."""

    name = "gRPC stream"


class HttpDoor(ServedDoor):
    """`POST /v1/check` of the data plane."""

    name = "HTTP"

    def __enter__(self) -> Self:
        server = self.server()
        self.connection = http.client.HTTPConnection(str(server.address), timeout=TIMEOUT_MS / 1000)
        self.stack.callback(self.connection.close)
        return self

    def ask(self, call: Call) -> dict[str, Any]:
        self.clock.set(call.now_ms)
        return self.answer(call)[2]

    def answer(self, call: Call) -> tuple[int, http.client.HTTPMessage, dict[str, Any]]:
        """Status, fields and body."""
        status, headers, decision = self._post("/v1/check", keywords(call))
        assert status == STATUS[decision["outcome"]]
        return status, headers, decision

    def peek(self, call: Call) -> dict[str, Any]:
        self.clock.set(call.now_ms)
        status, _, answer = self._post("/v1/peek", peeked(call))
        assert status == STATUS[answer["decision"]["outcome"]]
        return answer

    def _post(self, path: str, fields: dict[str, Any]) -> tuple[int, http.client.HTTPMessage, dict[str, Any]]:
        # The arguments are sent unchanged: the sidecar validates them.
        args = fields.pop("args")
        body = json.dumps({name: value for name, value in fields.items() if value is not None}).encode()[:-1]
        if args is not None:
            body += b', "args": ' + args_json(args)
        self.connection.request("POST", path, body + b"}", {"Content-Type": "application/json"})
        response = self.connection.getresponse()
        return response.status, response.headers, json.loads(response.read())


class GrpcioDoor(ClockedDoor):
    """`add_to_grpc_server` on a sync grpcio server, asked by `Client`."""

    name = "grpcio"

    def __enter__(self) -> Self:
        # A stream has a thread for as long as it is open.
        server = grpc.server(self.stack.enter_context(ThreadPoolExecutor(2)))
        add_to_grpc_server(self.engine, server, clock=self.clock)
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        self.stack.callback(lambda: server.stop(None).wait())
        self.client = self.stack.enter_context(Client(f"127.0.0.1:{port}", timeout_ms=TIMEOUT_MS))
        return self

    def ask(self, call: Call) -> dict[str, Any]:
        self.clock.set(call.now_ms)
        return self.client.check(**keywords(call)).to_dict()

    def peek(self, call: Call) -> dict[str, Any]:
        self.clock.set(call.now_ms)
        return self.client.peek(**peeked(call)).to_dict()


class GrpcioBatchDoor(Batches, GrpcioDoor):
    """`CheckBatch` of a sync grpcio server, asked by `Client`."""

    name = "grpcio batch"


class GrpcioStreamDoor(Streams, GrpcioDoor):
    """`CheckStream` of a sync grpcio server, asked by `Client`."""

    name = "grpcio stream"


class GrpcioAioDoor(ClockedDoor):
    """`add_to_grpc_server` on an aio grpcio server, asked by `AsyncClient`."""

    name = "grpcio aio"

    def __enter__(self) -> Self:
        self.loop = asyncio.new_event_loop()
        thread = Thread(target=self.loop.run_forever)
        thread.start()
        self.stack.callback(self.loop.close)
        self.stack.callback(thread.join)
        self.stack.callback(self.loop.call_soon_threadsafe, self.loop.stop)
        self._run(self._start())
        self.stack.callback(lambda: self._run(self._stop()))
        return self

    def ask(self, call: Call) -> dict[str, Any]:
        self.clock.set(call.now_ms)
        decision: Decision = self._run(self.client.check(**keywords(call)))
        return decision.to_dict()

    def peek(self, call: Call) -> dict[str, Any]:
        self.clock.set(call.now_ms)
        answer: Peek = self._run(self.client.peek(**peeked(call)))
        return answer.to_dict()

    def _run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(TIMEOUT_MS / 1000)

    async def _start(self) -> None:
        self.server = grpc.aio.server()
        add_to_grpc_server(self.engine, self.server, clock=self.clock)
        port = self.server.add_insecure_port("127.0.0.1:0")
        await self.server.start()
        self.client = AsyncClient(f"127.0.0.1:{port}", timeout_ms=TIMEOUT_MS)

    async def _stop(self) -> None:
        await self.client.close()
        await self.server.stop(None)


class GrpcioAioBatchDoor(GrpcioAioDoor):
    """`CheckBatch` of an aio grpcio server, asked by `AsyncClient`."""

    name = "grpcio aio batch"

    def ask(self, call: Call) -> dict[str, Any]:
        self.clock.set(call.now_ms)
        [decision] = self._run(self.client.check_batch([keywords(call)]))
        fields: dict[str, Any] = decision.to_dict()
        return fields


class GrpcioAioStreamDoor(GrpcioAioDoor):
    """`CheckStream` of an aio grpcio server, asked by `AsyncClient`."""

    name = "grpcio aio stream"

    def ask(self, call: Call) -> dict[str, Any]:
        self.clock.set(call.now_ms)
        fields: dict[str, Any] = self._run(self._ask(keywords(call)))
        return fields

    async def _ask(self, call: callgate.Call) -> dict[str, Any]:
        await self.calls.put(call)
        return (await anext(self.decisions)).to_dict()

    async def _start(self) -> None:
        await super()._start()
        self.calls: asyncio.Queue[callgate.Call | None] = asyncio.Queue()

        async def calls() -> AsyncIterator[callgate.Call]:
            while (call := await self.calls.get()) is not None:
                yield call

        self.decisions = self.client.check_stream(calls())

    async def _stop(self) -> None:
        await self.calls.put(None)
        assert await anext(self.decisions, None) is None
        await super()._stop()


DOORS: list[type[Door]] = [
    EngineDoor,
    GrpcDoor,
    GrpcBatchDoor,
    GrpcStreamDoor,
    HttpDoor,
    GrpcioDoor,
    GrpcioBatchDoor,
    GrpcioStreamDoor,
    GrpcioAioDoor,
    GrpcioAioBatchDoor,
    GrpcioAioStreamDoor,
]


def keywords(call: Call) -> Any:
    """The keywords of `check` for a call, without the time."""
    return {
        "grant": call.grant,
        "tool": call.tool,
        "args": call.args,
        "server": call.server,
        "session": call.session,
        "labels": call.labels,
        "reserve": call.reserve,
    }


def peeked(call: Call) -> Any:
    """The keywords of `peek` for a call, without the time."""
    return {name: value for name, value in keywords(call).items() if name != "reserve"}
