"""The admin API of a running sidecar, for as long as its store is open."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Protocol

from callgate.admin.calls.call import no_call_observer
from callgate.errors import ConfigError
from callgate.identity.reports import no_observer
from callgate.store.ids import ID_BYTES, make_id

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from callgate.admin.calls.call import CallObserver
    from callgate.admin.calls.registry import Registry
    from callgate.admin.documents.files import FileDocuments
    from callgate.admin.ground import Ground
    from callgate.admin.grpc.face import GrpcFace
    from callgate.admin.replica import ReplicaReports
    from callgate.admin.sidecar import Sidecar
    from callgate.identity.identities import Identities
    from callgate.identity.oidc.issuers import Issuers
    from callgate.identity.passwords import Passwords
    from callgate.identity.reports import LoginObserver
    from callgate.store.store import Store


class Changes(Protocol):
    """The watcher of the store: `control.changes.Changes`, which stands above this room."""

    def listen(self, listener: Callable[[frozenset[str]], None], kinds: Iterable[str]) -> None:
        """Calls `listener` with the kinds that have changed."""

    def forget(self, listener: Callable[[frozenset[str]], None]) -> None:
        """Removes a listener."""


class AdminFace:
    """The services and their gRPC server: a part of the control plane, started with an open store.

    A port that cannot be had does not keep the store closed: `failure` says why, and the sidecar goes on.
    """

    def __init__(
        self,
        sidecar: Sidecar,
        files: FileDocuments,
        changes: Changes,
        *,
        listen: str | None,
        tls: Callable[[], Mapping[str, bytes] | None] = lambda: None,
        passwords: Passwords | None = None,
        log: Callable[[str, str, dict[str, object]], None] = lambda _level, _event, _fields: None,
        observer: LoginObserver = no_observer,
        call_observer: CallObserver = no_call_observer,
        issuers: Callable[[], Issuers | None] = lambda: None,
    ) -> None:
        """Takes the parts of the sidecar.

        Args:
            sidecar: The engine, its server and the configuration.
            files: The documents of configuration files.
            changes: Tells of changes in the store, for open streams.
            listen: The address for gRPC; None for none.
            tls: Gives the certificate and the key of the admin port; None for no TLS.
            passwords: Makes and verifies hashes; None for what `Identities` takes by itself.
            log: Takes the level, the name and the fields of a line of the log.
            observer: Takes reports of logins and refused tokens.
            call_observer: Takes reports of calls that may have changed something.
            issuers: Makes the issuers at which people log in; None for none.
        """
        self._sidecar = sidecar
        self._files = files
        self._changes = changes
        self._listen = listen
        self._tls = tls
        self._passwords = passwords
        self._log = log
        self._observer = observer
        self._call_observer = call_observer
        self._issuers = issuers
        self._replica = make_id(secrets.token_bytes(ID_BYTES))
        self._ground: Ground | None = None
        self._grpc: GrpcFace | None = None
        self._reports: ReplicaReports | None = None
        self.registry: Registry | None = None
        """The methods, for other faces; None while the store is not open."""
        self.failure: str | None = None
        """The reason for which gRPC is not served; None if it is."""

    @property
    def address(self) -> str | None:
        """The address of gRPC; None while it is not served."""
        return None if self._grpc is None else self._grpc.address

    @property
    def identities(self) -> Identities | None:
        """Proves who calls, for other faces; None while the store is not open."""
        return None if self._ground is None else self._ground.identities

    def start(self, store: Store) -> None:
        """Begins to answer."""
        try:
            self._begin(store)
        except BaseException:
            self.stop()
            raise

    def _begin(self, store: Store) -> None:
        # Here, because grpcio and the messages take long to import, and decisions are to be served first.
        from callgate.admin.calls.open_streams import KINDS  # noqa: PLC0415
        from callgate.admin.ground import Ground  # noqa: PLC0415
        from callgate.admin.replica import ReplicaReports  # noqa: PLC0415
        from callgate.admin.services.all import make_registry  # noqa: PLC0415
        from callgate.identity.identities import Identities  # noqa: PLC0415
        from callgate.store.changes import Kind  # noqa: PLC0415

        identities = Identities(store, passwords=self._passwords, observer=self._observer, issuers=self._issuers())
        ground = self._ground = Ground(store, self._sidecar, self._files, identities, self._replica)
        self.registry = make_registry(ground, self._unexpected, self._call_observer)
        self._changes.listen(ground.news.tell, [kind.value for kind in Kind])
        self._changes.listen(self.registry.open_streams.look_again, KINDS)
        if not store.database.is_sqlite:
            self._reports = ReplicaReports(ground, lambda error: self._unexpected("(replica report)", error))
            self._reports.start()
        if self._listen is not None:
            self._serve(self.registry, identities, self._listen)

    def stop(self) -> None:
        """Stops to answer, within a few seconds."""
        if self._grpc is not None:
            self._grpc.stop()
            self._grpc = None
        if self._reports is not None:
            self._reports.stop()
            self._reports = None
        if self._ground is not None:
            self._changes.forget(self._ground.news.tell)
        if self.registry is not None:
            self._changes.forget(self.registry.open_streams.look_again)
            self.registry.open_streams.stop()
        self._ground = self.registry = None

    def _serve(self, registry: Registry, identities: Identities, listen: str) -> None:
        from callgate.admin.grpc.face import GrpcFace  # noqa: PLC0415  as in `start`

        try:
            self._grpc = GrpcFace(registry, identities, listen, self._tls)
            self._grpc.start()
        except ConfigError as error:
            self.failure = str(error)
            self._log("error", "admin_grpc_failed", {"error": self.failure})
        else:
            self.failure = None
            self._log("info", "admin_grpc_open", {"listen": self._grpc.address})

    def _unexpected(self, method: str, error: Exception) -> None:
        # Without the message, which may contain a secret.
        place = error.__traceback__
        while place is not None and place.tb_next is not None:
            place = place.tb_next
        at = "" if place is None else f"{place.tb_frame.f_code.co_filename.rpartition('/')[2]}:{place.tb_lineno}"
        self._log("error", "admin_method_failed", {"method": method, "error": type(error).__name__, "at": at})
