"""The admin API of a running sidecar, put together from its parts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from callgate.admin.documents.files import PlanFiles
from callgate.admin.face import AdminFace
from callgate.admin.sidecar import RunningSidecar
from callgate.control import logs
from callgate.control.freeze_targets import managed_names, unknown_name

if TYPE_CHECKING:
    from collections.abc import Callable

    from callgate._callgate import Engine, Server
    from callgate.admin.calls.call import CallObserver
    from callgate.config.load import Loaded
    from callgate.control.changes import Changes
    from callgate.control.logins import Logins
    from callgate.control.reload import Reloader
    from callgate.identity.oidc.issuers import Issuers

_LOOPBACK: Final = "127.0.0.1"
_LAST_PORT: Final = 65_535


def admin_face(
    engine: Engine,
    server: Server,
    reloader: Reloader,
    changes: Changes,
    status: Callable[[], dict[str, Any]],
    logins: Logins,
    call_observer: CallObserver,
) -> AdminFace:
    """The part of the control plane that serves the admin API over gRPC, and gives its methods to the admin port."""
    plan = reloader.plan
    return AdminFace(
        RunningSidecar(
            engine,
            server,
            status,
            lambda: reloader.plan,
            lambda target: unknown_name(reloader.plan, target, managed_names(engine)),
        ),
        PlanFiles(lambda: reloader.plan),
        changes,
        listen=grpc_address(plan.bundle.loaded),
        tls=lambda: reloader.plan.bundle.admin_tls,
        log=logs.log,
        observer=logins.report,
        call_observer=call_observer,
        issuers=lambda: _issuers(reloader),
    )


def _issuers(reloader: Reloader) -> Issuers | None:
    """The issuers of the configuration in force; None if there are none, which only a restart changes."""
    public_url = reloader.plan.config.admin.public_url
    if public_url is None or not reloader.plan.bundle.logins:
        return None
    # Here, because it is imported where there are issuers alone.
    from callgate.identity.oidc.issuers import Issuers  # noqa: PLC0415

    return Issuers(lambda: reloader.plan.bundle.logins, public_url)


def grpc_address(loaded: Loaded) -> str | None:
    """The address of the API over gRPC: that of the configuration, else on loopback beside the admin port."""
    admin = loaded.config.admin
    if loaded.origin(("admin", "grpc_listen")) != "default":
        return admin.grpc_listen
    port = int(admin.listen.rpartition(":")[2])
    # Port 0 takes a free one, and so does this.
    beside = port and (port + 1 if port < _LAST_PORT else port - 1)
    return f"{_LOOPBACK}:{beside}"
