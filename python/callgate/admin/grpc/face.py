"""The admin API over gRPC: a grpcio server with bounds, TLS, health and reflection."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from callgate.admin.grpc.handlers import STREAMS, Doorkeeper, Handlers
from callgate.config.address import host_of, is_loopback
from callgate.errors import ConfigError
from callgate.priority import step_back

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from callgate.admin.calls.registry import Registry
    from callgate.identity.identities import Identities

_CALLS: Final = 16
"""Calls other than streams that are answered at once."""

_WAITING: Final = 64
"""Calls that wait for a thread; further ones are refused, RESOURCE_EXHAUSTED."""

LARGEST_REQUEST_BYTES: Final = 4 << 20
_LARGEST_ANSWER_BYTES: Final = 64 << 20
_GRACE_S: Final = 2.0
"""Longest time that a stop waits for calls."""

_OPTIONS: Final = (
    ("grpc.max_receive_message_length", LARGEST_REQUEST_BYTES),
    ("grpc.max_send_message_length", _LARGEST_ANSWER_BYTES),
    ("grpc.max_metadata_size", 16 << 10),
    ("grpc.max_concurrent_streams", 256),
    # A second process must not take over a part of the calls.
    ("grpc.so_reuseport", 0),
    # Dead clients of streams are noticed within 80 s, and clients may ask for signs of life every 10 s.
    ("grpc.keepalive_time_ms", 60_000),
    ("grpc.keepalive_timeout_ms", 20_000),
    ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
    ("grpc.http2.min_recv_ping_interval_without_data_ms", 10_000),
    ("grpc.http2.max_ping_strikes", 2),
    ("grpc.max_connection_idle_ms", 600_000),
)


class _Threads(ThreadPoolExecutor):
    """Threads for calls. A call for which the system gives none waits for another one, or for the next call.

    grpcio has one thread that accepts all calls: the error would end it, and nobody would be answered until a restart.
    """

    def _adjust_thread_count(self) -> None:
        with suppress(RuntimeError):
            super()._adjust_thread_count()


class GrpcFace:
    """A server for one opened store."""

    def __init__(
        self,
        registry: Registry,
        identities: Identities,
        listen: str,
        tls: Callable[[], Mapping[str, bytes] | None] = lambda: None,
    ) -> None:
        """Takes the methods, who proves identities, the address, and the function that gives `certificate` and `key`.

        Raises:
            ConfigError: The address is reached by other machines and has no TLS.
        """
        if tls() is None and not is_loopback(host_of(listen)):
            message = (
                f"the admin API cannot listen on `{listen}` without TLS, because tokens would travel in the clear; "
                "configure `admin.tls`, or a loopback address such as `127.0.0.1:9194`"
            )
            raise ConfigError(message)
        self._handlers = Handlers(registry, identities)
        self._threads = _Threads(STREAMS + _CALLS, "callgate-admin-grpc", step_back)
        self._server = grpc.server(
            self._threads,
            interceptors=[Doorkeeper(self._handlers)],
            options=_OPTIONS,
            maximum_concurrent_rpcs=STREAMS + _CALLS + _WAITING,
        )
        for service, handlers in self._handlers.by_service.items():
            self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, handlers),))
        self._health = health.HealthServicer(experimental_non_blocking=False)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        names = (*self._handlers.by_service, health.SERVICE_NAME, reflection.SERVICE_NAME)
        reflection.enable_server_reflection(names, self._server)
        self._names = names
        self.address = self._bound(listen, tls)
        """The address; a port that was 0 is the one that was taken."""

    def start(self) -> None:
        """Begins to answer."""
        self._server.start()
        for name in ("", *self._names):
            self._health.set(name, health_pb2.HealthCheckResponse.SERVING)

    def stop(self) -> None:
        """Ends streams, finishes calls within two seconds, and closes the port."""
        self._health.enter_graceful_shutdown()
        stopped = self._server.stop(_GRACE_S)
        self._handlers.end_streams()
        stopped.wait(2 * _GRACE_S)
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _bound(self, listen: str, tls: Callable[[], Mapping[str, bytes] | None]) -> str:
        try:
            if tls() is None:
                port = self._server.add_insecure_port(listen)
            else:
                port = self._server.add_secure_port(listen, _credentials(tls))
        except (RuntimeError, ValueError):
            port = 0
        if not port:
            message = (
                f"cannot listen on `{listen}` for the admin API: the port is in use, or the certificate and its key do "
                "not fit; change `admin.grpc_listen`, or stop what uses the port"
            )
            raise ConfigError(message)
        return f"{listen.rpartition(':')[0]}:{port}"


def _credentials(tls: Callable[[], Mapping[str, bytes] | None]) -> grpc.ServerCredentials:
    """Credentials that follow a reload: a connection gets the certificate of its time."""
    before: list[Mapping[str, bytes] | None] = [tls()]

    def configuration(files: Mapping[str, bytes]) -> grpc.ServerCertificateConfiguration:
        return grpc.ssl_server_certificate_configuration([(files["key"], files["certificate"])])

    def changed() -> grpc.ServerCertificateConfiguration | None:
        files = tls()
        if files is None or files == before[0]:
            return None
        before[0] = files
        return configuration(files)

    first = before[0]
    if first is None:
        raise AssertionError  # the caller has looked
    # None stands for the certificate from before, which the stub of grpcio does not know.
    fetch: Any = changed
    return grpc.dynamic_ssl_server_credentials(configuration(first), fetch, require_client_authentication=False)
