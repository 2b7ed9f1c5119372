"""The client for asyncio."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any

import grpc
import grpc.aio

from callgate._callgate import Approval, Decision, Peek
from callgate._proto.callgate.decision.v1 import decision_pb2 as pb
from callgate.client import approvals, messages
from callgate.client.base import OF_WAITS, ClientBase, peekable, sendable
from callgate.client.stream import AsyncStream

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterable, Iterable, Mapping
    from types import TracebackType

    from typing_extensions import Self

    from callgate.client.messages import Call


class AsyncClient(ClientBase):
    """Requests decisions from a sidecar with asyncio; belongs to the event loop of its first call."""

    _channel: grpc.aio.Channel | None = None
    _waits: grpc.aio.Channel | None = None

    async def check(
        self,
        *,
        tool: str,
        grant: str | None = None,
        args: object = None,
        server: str | None = None,
        session: str | None = None,
        labels: Mapping[str, str] | None = None,
        reserve: bool = False,
        grant_token: str | None = None,
    ) -> Decision:
        """Decides one call; the arguments are those of `Engine.check`.

        Raises:
            TypeError: An argument has an invalid type.
        """
        request = sendable(
            tool=tool,
            grant=grant,
            args=args,
            server=server,
            session=session,
            labels=labels,
            reserve=reserve,
            grant_token=grant_token,
        )
        if isinstance(request, Decision):
            return request
        try:
            ask = self._channel_of_this_loop().unary_unary(*messages.CHECK)
            response = await ask(request, timeout=self._timeout_s, metadata=self._metadata)
        except grpc.RpcError as error:
            return self._failed(error)
        return self._decision(response)

    async def check_batch(self, calls: Iterable[Call]) -> list[Decision]:
        """See `Client.check_batch`."""
        request, known = self._batch(calls)
        if not request.calls:
            return [decision for decision in known if decision is not None]
        try:
            ask = self._channel_of_this_loop().unary_unary(*messages.CHECK_BATCH)
            response = await ask(request, timeout=self._timeout_s, metadata=self._metadata)
        except grpc.RpcError as error:
            return self._batch_failed(known, error)
        return self._batch_decisions(known, response)

    def check_stream(self, calls: AsyncIterable[Call] | Iterable[Call]) -> AsyncGenerator[Decision, None]:
        """See `Client.check_stream`; a separate task reads the calls, and the time limit is exact."""

        def open_stream() -> grpc.aio.StreamStreamCall[Any, pb.CheckStreamResponse]:
            ask = self._channel_of_this_loop().stream_stream(*messages.CHECK_STREAM)
            return ask(metadata=self._metadata)

        return AsyncStream(open_stream, calls, self._timeout_s, self._faults).decisions()

    async def peek(
        self,
        *,
        grant: str | None = None,
        tool: str | None = None,
        args: object = None,
        server: str | None = None,
        session: str | None = None,
        labels: Mapping[str, str] | None = None,
        grant_token: str | None = None,
    ) -> Peek:
        """See `Client.peek`.

        Raises:
            TypeError: An argument has an invalid type.
            CallgateError: The sidecar did not answer.
        """
        request = peekable(
            tool=tool,
            grant=grant,
            args=args,
            server=server,
            session=session,
            labels=labels,
            grant_token=grant_token,
        )
        if isinstance(request, Peek):
            return request
        try:
            ask = self._channel_of_this_loop().unary_unary(*messages.PEEK)
            response = await ask(request, timeout=self._timeout_s, metadata=self._metadata)
        except grpc.RpcError as error:
            self._not_peeked(error)
        return self._peeked(response)

    async def roll_back(self, reservation: str) -> bool:
        """See `Client.roll_back`."""
        return await self._settled(reservation, pb.SETTLE_ACTION_ROLL_BACK)

    async def commit(self, reservation: str) -> bool:
        """See `Client.commit`."""
        return await self._settled(reservation, pb.SETTLE_ACTION_COMMIT)

    async def _settled(self, reservation: str, action: pb.SettleAction) -> bool:
        request = messages.settle_request(reservation, action)
        try:
            settle = self._channel_of_this_loop().unary_unary(*messages.SETTLE)
            response = await settle(request, timeout=self._timeout_s, metadata=self._metadata)
        except grpc.RpcError as error:
            self._unsettled(reservation, error)
        return response.settled

    async def approval(self, approval_id: str) -> Approval | None:
        """See `Client.approval`."""
        request = pb.GetApprovalRequest(id=approval_id)
        try:
            ask = self._channel_of_this_loop().unary_unary(*approvals.GET)
            response = await ask(request, timeout=self._timeout_s, metadata=self._metadata)
        except grpc.RpcError as error:
            if approvals.code_of(error) is grpc.StatusCode.NOT_FOUND:
                return None
            raise self._not_told(approval_id, self._timeout_s * 1000, error) from error
        return approvals.approval_of(response.approval)

    async def wait_for_approval(self, approval_id: str, *, timeout_ms: float) -> Approval | None:
        """See `Client.wait_for_approval`."""
        wait, request = approvals.Wait(timeout_ms), pb.WatchApprovalRequest(id=approval_id)
        failed = partial(self._not_told, approval_id, timeout_ms)
        ask = self._waits_of_this_loop().unary_stream(*approvals.WATCH)
        while True:
            try:
                async for response in ask(request, timeout=wait.left_s, metadata=self._metadata):
                    if wait.take(response):
                        return wait.last
                pause_s = wait.pause_s(failed, None)
            except grpc.RpcError as error:
                pause_s = wait.pause_s(failed, error)
            if pause_s is None:
                return wait.last
            await asyncio.sleep(pause_s)

    def _channel_of_this_loop(self) -> grpc.aio.Channel:
        # Not in the constructor: a channel binds itself to the loop that runs at its creation.
        if self._channel is None:
            self._channel = self._open(grpc.aio.insecure_channel, grpc.aio.secure_channel)
        return self._channel

    def _waits_of_this_loop(self) -> grpc.aio.Channel:
        if self._waits is None:
            self._waits = self._open(grpc.aio.insecure_channel, grpc.aio.secure_channel, *OF_WAITS)
        return self._waits

    async def close(self) -> None:
        """Closes the connections; calls and waits in flight fail."""
        for channel in (self._channel, self._waits):
            if channel is not None:
                await channel.close()

    async def __aenter__(self) -> Self:
        """Opens nothing; the first call does."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Closes the connections."""
        await self.close()
