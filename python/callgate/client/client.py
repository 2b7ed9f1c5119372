"""The client for threads: the API of `Engine.check` over gRPC."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING

import grpc

from callgate._callgate import Approval, Decision, Peek
from callgate._proto.callgate.decision.v1 import decision_pb2 as pb
from callgate.client import approvals, messages
from callgate.client.base import OF_WAITS, ClientBase, peekable, sendable
from callgate.client.stream import Stream

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Mapping
    from types import TracebackType

    from typing_extensions import Self

    from callgate.client.messages import Call


class Client(ClientBase):
    """Requests decisions from a sidecar; safe to share between threads."""

    def _prepare(self) -> None:
        self._channel = self._open(grpc.insecure_channel, grpc.secure_channel)
        self._check = self._channel.unary_unary(*messages.CHECK)
        self._check_batch = self._channel.unary_unary(*messages.CHECK_BATCH)
        self._check_stream = self._channel.stream_stream(*messages.CHECK_STREAM)
        self._peek = self._channel.unary_unary(*messages.PEEK)
        self._settle = self._channel.unary_unary(*messages.SETTLE)
        self._get_approval = self._channel.unary_unary(*approvals.GET)
        self._waits = self._open(grpc.insecure_channel, grpc.secure_channel, *OF_WAITS)
        self._watch_approval = self._waits.unary_stream(*approvals.WATCH)

    def check(
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
            response = self._check(request, timeout=self._timeout_s, metadata=self._metadata)
        except grpc.RpcError as error:
            return self._failed(error)
        return self._decision(response)

    def check_batch(self, calls: Iterable[Call]) -> list[Decision]:
        """Decides several calls in one request; returns one decision for each, in order.

        Each call is decided separately, after the calls before it have taken their units. The time limit is that of the
        whole batch. A sidecar accepts 1,000 calls per batch by default; of a larger batch none is decided, and every
        decision is a denial, ``(invalid request)``.

        Raises:
            TypeError: A call has an unknown key or an invalid type; nothing was sent.
        """
        request, known = self._batch(calls)
        if not request.calls:
            return [decision for decision in known if decision is not None]
        try:
            response = self._check_batch(request, timeout=self._timeout_s, metadata=self._metadata)
        except grpc.RpcError as error:
            return self._batch_failed(known, error)
        return self._batch_decisions(known, response)

    def check_stream(self, calls: Iterable[Call]) -> Generator[Decision, None, None]:
        """Decides calls as they come, without waiting for one answer before the next call; this is the fastest method.

        Yields one decision for each call, in order. `calls` may be endless and may wait, even for earlier decisions. It
        is read on another thread, ahead of the decisions, as far as the sidecar reads. The time limit applies to each
        decision from the moment it is awaited, and may be exceeded by up to a quarter. If it is exceeded or the stream
        breaks, the calls read so far get the decision of a sidecar that does not answer, and later calls go to a new
        stream. Closing the generator (``close()``) leaves the stream early.

        Raises:
            TypeError: A call has an unknown key or an invalid type. This error, like any error that `calls` raises,
                comes after the decisions before it.
        """
        open_stream = partial(self._check_stream, metadata=self._metadata)
        return Stream(open_stream, calls, self._timeout_s, self._faults).decisions()

    def peek(
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
        """Looks at what is left for a caller, of one tool or without `tool` of any; takes no units. See `Engine.peek`.

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
            response = self._peek(request, timeout=self._timeout_s, metadata=self._metadata)
        except grpc.RpcError as error:
            self._not_peeked(error)
        return self._peeked(response)

    def roll_back(self, reservation: str) -> bool:
        """Returns a reservation's units; False if the id is unknown, expired, already settled or another PEP's.

        Raises:
            ValueError: The text is not the id of a reservation.
            CallgateError: The sidecar did not answer: the units may or may not have been returned.
        """
        return self._settled(reservation, pb.SETTLE_ACTION_ROLL_BACK)

    def commit(self, reservation: str) -> bool:
        """Keeps a reservation's units permanently; see `roll_back`."""
        return self._settled(reservation, pb.SETTLE_ACTION_COMMIT)

    def _settled(self, reservation: str, action: pb.SettleAction) -> bool:
        request = messages.settle_request(reservation, action)
        try:
            return self._settle(request, timeout=self._timeout_s, metadata=self._metadata).settled
        except grpc.RpcError as error:
            self._unsettled(reservation, error)

    def approval(self, approval_id: str) -> Approval | None:
        """Returns an approval in its present state; None if there is none with this id.

        Args:
            approval_id: The id that a decision has as `approval`.

        Raises:
            CallgateError: The sidecar or its store did not answer.
        """
        request = pb.GetApprovalRequest(id=approval_id)
        try:
            response = self._get_approval(request, timeout=self._timeout_s, metadata=self._metadata)
        except grpc.RpcError as error:
            if approvals.code_of(error) is grpc.StatusCode.NOT_FOUND:
                return None
            raise self._not_told(approval_id, self._timeout_s * 1000, error) from error
        return approvals.approval_of(response.approval)

    def wait_for_approval(self, approval_id: str, *, timeout_ms: float) -> Approval | None:
        """Waits until an approval is not pending any more; then the call can be repeated if `is_given`.

        The call itself is not asked for again meanwhile. The wait goes on over a restart of the sidecar.

        Args:
            approval_id: The id that a decision has as `approval`.
            timeout_ms: Longest wait; then the approval is returned as it is, pending.

        Returns:
            The approval; None if there is none with this id.

        Raises:
            ValueError: `timeout_ms` is not above 0.
            CallgateError: The sidecar or its store did not answer.
        """
        wait, request = approvals.Wait(timeout_ms), pb.WatchApprovalRequest(id=approval_id)
        failed = partial(self._not_told, approval_id, timeout_ms)
        while True:
            try:
                for response in self._watch_approval(request, timeout=wait.left_s, metadata=self._metadata):
                    if wait.take(response):
                        return wait.last
                pause_s = wait.pause_s(failed, None)
            except grpc.RpcError as error:
                pause_s = wait.pause_s(failed, error)
            if pause_s is None:
                return wait.last
            time.sleep(pause_s)

    def close(self) -> None:
        """Closes the connections; calls and waits in flight fail."""
        self._channel.close()
        self._waits.close()

    def __enter__(self) -> Self:
        """Opens nothing; the first call does."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Closes the connections."""
        self.close()
