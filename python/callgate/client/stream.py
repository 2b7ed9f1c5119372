"""The calls of one `check_stream`, on their way to a sidecar and back.

Every call that is read from the caller's iterator gets exactly one decision, in order. If a stream breaks, the calls
that wait for an answer get the decision of a sidecar that does not answer, and later calls go to a new stream.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from dataclasses import dataclass
from threading import Event, Lock, Thread
from typing import TYPE_CHECKING, Any, Final, cast

import grpc
import grpc.aio

from callgate._proto.callgate.decision.v1 import decision_pb2 as pb
from callgate.client import messages

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable, Generator, Iterable, Iterator
    from typing import TypeAlias

    from callgate._callgate import Decision
    from callgate.client.messages import Call

    # Defined only in the type stubs.
    _Rpc: TypeAlias = grpc._CallIterator[pb.CheckStreamResponse]  # noqa: SLF001
    _AsyncRpc: TypeAlias = grpc.aio.StreamStreamCall[Any, pb.CheckStreamResponse]

_LOOKS_PER_TIMEOUT: Final = 4


@dataclass(frozen=True)
class Faults:
    """One client's conversions of answers, errors and unsendable calls to decisions."""

    refused: Callable[[UnicodeEncodeError], Decision]
    """Converts a call that cannot be sent."""
    failed: Callable[[grpc.StatusCode, str | None], Decision]
    """Converts an error status."""
    answered: Callable[[pb.CheckResponse], Decision]
    """Converts an answer."""


@dataclass(frozen=True)
class _Waiting:
    """A call that has been read and waits for its answer."""

    id: int
    drawn_at_s: float
    refused: Decision | None


class _Waitings:
    """Calls that wait for their answers, oldest first."""

    def __init__(self, faults: Faults) -> None:
        self._faults = faults
        self._waiting: deque[_Waiting] = deque()
        self._next_id = 0

    def message(self, call: Call) -> pb.CheckStreamRequest:
        """The message of a call, which is then added to the waiting ones.

        Raises:
            TypeError: The call has an unknown key or an invalid type.
        """
        message = pb.CheckStreamRequest(id=self._next_id)
        refused = None
        try:
            message.call.CopyFrom(messages.check_request(**call))
        except UnicodeEncodeError as error:
            # Sent without a call, so that its answer comes in the right order.
            refused = self._faults.refused(error)
        self._waiting.append(_Waiting(self._next_id, time.monotonic(), refused))
        self._next_id += 1
        return message

    def decision(self, response: pb.CheckStreamResponse) -> Decision | None:
        """The decision of an answer; None if it does not belong to the oldest call."""
        if not self._waiting or self._waiting[0].id != response.id:
            return None
        refused = self._waiting.popleft().refused
        return self._faults.answered(response.decision) if refused is None else refused

    def fail(self, code: grpc.StatusCode, details: str | None) -> list[Decision]:
        """Decisions for all waiting calls."""
        failed = []
        while self._waiting:
            refused = self._waiting.popleft().refused
            failed.append(self._faults.failed(code, details) if refused is None else refused)
        return failed

    def oldest_at_s(self) -> float | None:
        """The time from which the oldest one waits."""
        try:
            return self._waiting[0].drawn_at_s
        except IndexError:  # answered in the meantime
            return None


_OUT_OF_ORDER: Final = (grpc.StatusCode.INTERNAL, "an answer came out of order")
_ENDED_EARLY: Final = (grpc.StatusCode.UNAVAILABLE, "the stream ended before the answer")


class Stream:
    """Calls of a sync iterator, which grpcio reads on its own thread."""

    def __init__(
        self,
        open_stream: Callable[[Iterator[pb.CheckStreamRequest]], _Rpc],
        calls: Iterable[Call],
        timeout_s: float,
        faults: Faults,
    ) -> None:
        """Takes a function that opens a stream, the calls, the time limit of each decision, and the conversions."""
        self._open = open_stream
        self._calls = iter(calls)
        self._timeout_s = timeout_s
        self._waitings = _Waitings(faults)
        # Held while the caller's iterator runs, which may take any time.
        self._drawing = Lock()
        # Held briefly; guards the reading stream, and the call that was read too late for the stream before.
        self._state = Lock()
        self._current: object | None = None
        self._left_over: list[Call] = []
        self._is_exhausted = False
        self._error: BaseException | None = None
        self._waits_since_s: float | None = None
        self._is_overdue = False

    def decisions(self) -> Generator[Decision, None, None]:
        """The decisions, in the order of the calls.

        Raises:
            TypeError: A call has an unknown key or an invalid type; raised after the answers to the calls before.
        """
        while True:
            # Read before the stream is opened, so that an unreachable sidecar is not called repeatedly without a call.
            stream = self._current = object()
            first = self._draw(stream)
            if first is None:
                break
            yield from self._one_stream(stream, first)
        if self._error is not None:
            raise self._error

    def _one_stream(self, stream: object, first: pb.CheckStreamRequest) -> Iterator[Decision]:
        self._is_overdue = False
        rpc = self._open(self._messages(stream, first))
        closed = Event()
        Thread(target=self._watch, args=(rpc, closed), name="callgate-stream", daemon=True).start()
        fault = _ENDED_EARLY
        try:
            for response in self._waiting_for(rpc):
                decision = self._waitings.decision(response)
                if decision is None:
                    fault = _OUT_OF_ORDER
                    break
                yield decision
        except grpc.RpcError as error:
            status = cast("grpc.Call", error)
            fault = (status.code(), status.details() or "")
            if self._is_overdue:
                fault = (grpc.StatusCode.DEADLINE_EXCEEDED, f"no answer within {self._timeout_s:g} s")
        finally:
            closed.set()
            with self._state:
                self._current = None
            rpc.cancel()
        yield from self._waitings.fail(*fault)

    def _waiting_for(self, rpc: _Rpc) -> Iterator[pb.CheckStreamResponse]:
        """The answers; one can be overdue only while it is awaited, so a caller may pause between two."""
        while True:
            self._waits_since_s = time.monotonic()
            try:
                response = next(rpc)
            except StopIteration:
                return
            finally:
                self._waits_since_s = None
            yield response

    def _watch(self, rpc: _Rpc, closed: Event) -> None:
        """Ends a stream whose oldest call is overdue, because grpcio has a time limit only for a whole stream."""
        while not closed.wait(self._timeout_s / _LOOKS_PER_TIMEOUT):
            waits_since_s, oldest_at_s = self._waits_since_s, self._waitings.oldest_at_s()
            if waits_since_s is None or oldest_at_s is None:
                continue
            if time.monotonic() - max(waits_since_s, oldest_at_s) >= self._timeout_s:
                self._is_overdue = True
                rpc.cancel()
                return

    def _messages(self, stream: object, first: pb.CheckStreamRequest) -> Iterator[pb.CheckStreamRequest]:
        message: pb.CheckStreamRequest | None = first
        while message is not None:
            yield message
            message = self._draw(stream)

    def _draw(self, stream: object) -> pb.CheckStreamRequest | None:
        with self._drawing:
            if self._left_over:
                call = self._left_over.pop()
            elif self._is_exhausted or self._current is not stream:
                return None
            else:
                try:
                    call = next(self._calls)
                except StopIteration:
                    self._is_exhausted = True
                    return None
                except BaseException as error:  # noqa: BLE001 - it belongs to whoever takes the decisions
                    self._is_exhausted, self._error = True, error
                    return None
            with self._state:
                if self._current is not stream:
                    self._left_over.append(call)
                    return None
                try:
                    return self._waitings.message(call)
                except Exception as error:  # noqa: BLE001 - likewise
                    self._is_exhausted, self._error = True, error
                    return None


class AsyncStream:
    """Calls of an async or a plain iterator."""

    def __init__(
        self,
        open_stream: Callable[[], _AsyncRpc],
        calls: AsyncIterable[Call] | Iterable[Call],
        timeout_s: float,
        faults: Faults,
    ) -> None:
        """See `Stream.__init__`."""
        self._open = open_stream
        self._calls = _each(calls)
        self._timeout_s = timeout_s
        self._waitings = _Waitings(faults)
        # It outlives the stream that started it, so that no call is lost with a stream.
        self._drawing: asyncio.Task[Call | None] | None = None
        self._error: Exception | None = None

    async def decisions(self) -> AsyncGenerator[Decision, None]:
        """See `Stream.decisions`."""
        try:
            while (first := await self._draw()) is not None:
                async for decision in self._one_stream(first):
                    yield decision
        finally:
            if self._drawing is not None:
                self._drawing.cancel()
        if self._error is not None:
            raise self._error

    async def _one_stream(self, first: pb.CheckStreamRequest) -> AsyncIterator[Decision]:
        rpc = self._open()
        writing = asyncio.ensure_future(self._write(rpc, first))
        fault = _ENDED_EARLY
        try:
            while (response := await self._read(rpc)) is not grpc.aio.EOF:
                decision = self._waitings.decision(cast("pb.CheckStreamResponse", response))
                if decision is None:
                    fault = _OUT_OF_ORDER
                    break
                yield decision
        except asyncio.TimeoutError:
            fault = (grpc.StatusCode.DEADLINE_EXCEEDED, f"no answer within {self._timeout_s:g} s")
        except grpc.aio.AioRpcError as error:
            fault = (error.code(), error.details() or "")
        finally:
            writing.cancel()
            rpc.cancel()
            # Wait until it has released the iterator.
            await asyncio.wait([writing])
        for decision in self._waitings.fail(*fault):
            yield decision

    async def _read(self, rpc: _AsyncRpc) -> object:
        """The next answer.

        Raises:
            asyncio.TimeoutError: The oldest call is overdue.
        """
        reading = asyncio.ensure_future(rpc.read())
        since_s = time.monotonic()
        try:
            while True:
                oldest_at_s = self._waitings.oldest_at_s()
                now_s = time.monotonic()
                left_s = self._timeout_s
                if oldest_at_s is not None:
                    left_s -= now_s - max(since_s, oldest_at_s)
                if left_s <= 0:
                    raise asyncio.TimeoutError
                done, _ = await asyncio.wait([reading], timeout=left_s)
                if done:
                    # It is cancelled if the client is closed.
                    return grpc.aio.EOF if reading.cancelled() else reading.result()
        finally:
            reading.cancel()

    async def _write(self, rpc: _AsyncRpc, first: pb.CheckStreamRequest) -> None:
        message: pb.CheckStreamRequest | None = first
        try:
            while message is not None:
                await rpc.write(message)
                message = await self._draw()
            await rpc.done_writing()
        except (grpc.RpcError, asyncio.InvalidStateError):
            # The stream has ended; the reader of its answers gets the reason.
            return

    async def _draw(self) -> pb.CheckStreamRequest | None:
        if self._error is not None:
            return None
        if self._drawing is None:
            self._drawing = asyncio.ensure_future(anext(self._calls, None))
        try:
            # Shielded: the end of a stream must not interrupt the caller's iterator.
            call = await asyncio.shield(self._drawing)
            self._drawing = None
            return None if call is None else self._waitings.message(call)
        except Exception as error:  # noqa: BLE001 - it belongs to whoever takes the decisions
            self._error = error
            return None


async def _each(calls: AsyncIterable[Call] | Iterable[Call]) -> AsyncIterator[Call]:
    if hasattr(calls, "__aiter__"):
        async for call in calls:
            yield call
    else:
        for call in calls:
            yield call
