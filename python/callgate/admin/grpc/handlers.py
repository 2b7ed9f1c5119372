"""The methods of the admin API as handlers of grpcio, and who may call those of others."""

from __future__ import annotations

import time
from collections import Counter
from contextlib import contextmanager
from threading import Event, Lock
from typing import TYPE_CHECKING, Any, Final, NoReturn
from urllib.parse import unquote

import grpc
from google.protobuf.message import DecodeError
from grpc_status import rpc_status

from callgate.admin.calls.authenticate import authenticated
from callgate.admin.calls.authorise import authorise
from callgate.admin.calls.call import Call
from callgate.admin.calls.errors import AdminError, admin_error

if TYPE_CHECKING:
    from collections.abc import Iterator

    from google.protobuf.message import Message

    from callgate.admin.calls.registry import RegisteredMethod, Registry
    from callgate.identity.identities import Identities
    from callgate.identity.principal import Principal

STREAMS: Final = 128
"""Streams at once: each keeps a thread."""

STREAMS_OF_CALLER: Final = 32
"""Streams of one caller at once, so that nobody takes the streams of all others."""

_FAR_S: Final = 1e8
"""A deadline that is farther away is none: grpcio has no other word for it."""

_CHECK_S: Final = 2.0
"""Time for which the caller of a stream is not asked for again."""

_OPEN: Final = frozenset({"/grpc.health.v1.Health/Check"})
"""Methods for everybody: probes have no token."""


class Handlers:
    """The handlers of one server."""

    def __init__(self, registry: Registry, identities: Identities) -> None:
        """Takes the methods, and who proves identities."""
        self._identities = identities
        self._open_streams = registry.open_streams
        self._ends: set[Event] = set()
        self._open: Counter[str] = Counter()
        self._counting = Lock()
        self.by_service: dict[str, dict[str, grpc.RpcMethodHandler[Any, Any]]] = {}
        """The handlers by the full name of the service and the name of the method."""
        for name, method in registry.methods.items():
            service, _, short = name.rpartition("/")
            self.by_service.setdefault(service, {})[short] = self._handler(method)

    def end_streams(self) -> None:
        """Ends all open streams."""
        for end in list(self._ends):
            end.set()

    def principal(self, context: grpc.ServicerContext, *, is_new: bool = True) -> Principal:
        """The caller; `is_new` unless it was known already.

        Raises:
            AdminError: UNAUTHENTICATED, or the store does not answer.
        """
        source = _source(context.peer()) if is_new else None
        given = [str(value) for key, value in context.invocation_metadata() if key == "authorization"]
        try:
            return authenticated(self._identities, given[0] if len(given) == 1 else None, source)
        except Exception as error:  # noqa: BLE001  a face gets one kind of errors
            raise admin_error(error) from None

    @contextmanager
    def stream_of_others(self, context: grpc.ServicerContext) -> Iterator[None]:
        """Counts a stream of another service as one of its caller, and ends it once the caller is not known any more.

        Raises:
            AdminError: UNAUTHENTICATED, or there are too many streams.
        """
        principal = self.principal(context)

        def check() -> None:
            self.principal(context, is_new=False)

        with self._place(principal.name), self._open_streams.checked(check, lambda _: context.cancel()):
            yield

    def _handler(self, method: RegisteredMethod) -> grpc.RpcMethodHandler[Any, Any]:
        def unary(request: bytes, context: grpc.ServicerContext) -> Message:
            try:
                principal = self.principal(context)
                return method.run(principal, _read(method, request, principal), _call(context, Event()))
            except AdminError as error:
                abort(context, error)

        def stream(request: bytes, context: grpc.ServicerContext) -> Iterator[Message]:
            try:
                yield from self._streamed(method, request, context)
            except AdminError as error:
                abort(context, error)

        # The bytes are read above: grpcio answers INTERNAL if its own reading fails, before anybody asks who calls.
        if method.is_stream:
            return grpc.unary_stream_rpc_method_handler(stream, None, _written)
        return grpc.unary_unary_rpc_method_handler(unary, None, _written)

    def _streamed(self, method: RegisteredMethod, request: bytes, context: grpc.ServicerContext) -> Iterator[Message]:
        principal = self.principal(context)
        with self._place(principal.name):
            yield from self._answers(method, _read(method, request, principal), context, principal)

    @contextmanager
    def _place(self, caller: str) -> Iterator[None]:
        """A place among the streams."""
        with self._counting:
            if self._open[caller] >= STREAMS_OF_CALLER:
                message = f"you have {STREAMS_OF_CALLER} streams open already; end one"
                raise AdminError(grpc.StatusCode.RESOURCE_EXHAUSTED, message, reason="STREAMS")
            if self._open.total() >= STREAMS:
                message = f"{STREAMS} streams are open already; try again"
                raise AdminError(grpc.StatusCode.RESOURCE_EXHAUSTED, message, reason="STREAMS")
            self._open[caller] += 1
        try:
            yield
        finally:
            with self._counting:
                self._open[caller] -= 1
                if not self._open[caller]:
                    del self._open[caller]

    def _answers(
        self, method: RegisteredMethod, request: Message, context: grpc.ServicerContext, principal: Principal
    ) -> Iterator[Message]:
        ended = Event()
        faults: list[AdminError] = []

        def check() -> None:
            authorise(self.principal(context, is_new=False), method.rights)

        def end(fault: AdminError) -> None:
            faults.append(fault)
            ended.set()

        self._ends.add(ended)
        check_at_s = time.monotonic() + _CHECK_S
        try:
            # False if the call has ended already.
            if context.add_callback(ended.set):
                with self._open_streams.checked(check, end):
                    for answer in method.stream(principal, request, _call(context, ended)):
                        if time.monotonic() >= check_at_s:
                            # The time of the session or token may be over, of which no change tells. Each stream has a
                            # message every 15 seconds.
                            check()
                            check_at_s = time.monotonic() + _CHECK_S
                        if faults:
                            break
                        yield answer
                if faults:
                    raise faults[0]
        finally:
            self._ends.discard(ended)


class Doorkeeper(grpc.ServerInterceptor):
    """Lets only those call the services of others, such as reflection, who may call a method of the admin API.

    It asks on the thread of the call: grpcio runs interceptors on the one thread that accepts all calls.
    """

    def __init__(self, handlers: Handlers) -> None:
        """Takes the handlers, which ask for themselves."""
        self._handlers = handlers

    def intercept_service(self, continuation: Any, handler_call_details: Any) -> Any:  # noqa: ANN401  grpcio's own types
        """Gives the handler of a call."""
        handler = continuation(handler_call_details)
        path = str(handler_call_details.method)
        service = path.strip("/").rpartition("/")[0]
        if handler is None or path in _OPEN or service in self._handlers.by_service:
            return handler
        return self._guarded(handler)

    def _guarded(self, handler: Any) -> Any:  # noqa: ANN401  as above
        behavior: Any = handler.unary_unary or handler.unary_stream or handler.stream_unary or handler.stream_stream

        def run(request: Any, context: grpc.ServicerContext) -> Any:  # noqa: ANN401  as above
            try:
                self._handlers.principal(context)
            except AdminError as error:
                abort(context, error)
            return behavior(request, context)

        def stream(request: Any, context: grpc.ServicerContext) -> Iterator[Any]:  # noqa: ANN401  as above
            try:
                # Each keeps a thread, like a stream of the admin API.
                with self._handlers.stream_of_others(context):
                    yield from behavior(request, context)
            except AdminError as error:
                abort(context, error)

        made: Any = {
            (False, False): grpc.unary_unary_rpc_method_handler,
            (False, True): grpc.unary_stream_rpc_method_handler,
            (True, False): grpc.stream_unary_rpc_method_handler,
            (True, True): grpc.stream_stream_rpc_method_handler,
        }[handler.request_streaming, handler.response_streaming]
        guarded = stream if handler.response_streaming else run
        return made(guarded, handler.request_deserializer, handler.response_serializer)


def abort(context: grpc.ServicerContext, error: AdminError) -> NoReturn:
    """Ends a call with the status of an error, and its details."""
    context.abort_with_status(rpc_status.to_status(error.status()))


def _read(method: RegisteredMethod, request: bytes, principal: Principal) -> Message:
    # Asked again where the method runs; here, faults of a message are for those alone who may call the method.
    authorise(principal, method.rights)
    try:
        return method.request_type.FromString(request)
    except DecodeError:
        message = f"the request is no message `{method.request_type.DESCRIPTOR.full_name}` of Protocol Buffers"
        raise AdminError(grpc.StatusCode.INVALID_ARGUMENT, message) from None


def _written(message: Message) -> bytes:
    return message.SerializeToString()


def _call(context: grpc.ServicerContext, ended: Event) -> Call:
    left_s = context.time_remaining()
    deadline_s = None if left_s > _FAR_S else time.monotonic() + left_s
    return Call(source=_source(context.peer()), deadline_s=deadline_s, ended=ended)


def _source(peer: str) -> str:
    """The address of a peer without its port, which is new with each connection."""
    kind, _, rest = unquote(peer).partition(":")
    return rest.rpartition(":")[0].strip("[]") if kind in {"ipv4", "ipv6"} else kind
