"""The admin API over a real channel: a sidecar from files, a store, people and machine tokens."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from threading import Event, Thread
from typing import Any, TypeVar

import grpc
from google.protobuf.message import Message
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo
from grpc_status import rpc_status

from callgate.admin.documents.files import PlanFiles
from callgate.admin.face import AdminFace
from callgate.admin.services.all import SERVICES
from callgate.admin.sidecar import RunningSidecar
from callgate.clock import now_us
from callgate.config.files import Files
from callgate.control.freeze_targets import managed_names, unknown_name
from callgate.control.sidecar import Source
from callgate.identity.identities import Identities
from callgate.identity.oidc.issuers import Issuers
from callgate.identity.passwords import Passwords
from callgate.store.model import Actor
from callgate.store.people import PersonEdit, Role
from callgate.store.store import Store
from callgate.store.tokens import Scope

PACKAGE = "callgate.admin.v1"
PASSWORD = "correct horse battery"
POLICY = 'version: "1"\ndefault: allow\n'
LIMITED = """\
version: "1"
default: deny
tools:
  t:
    limits:
      - {counter: calls, window: hour, max: 3, scope: grant}
"""
DAY_US = 24 * 3_600 * 1_000_000
BY = Actor("test", "here")
PASSWORDS = Passwords()
ROLES: tuple[Role | None, ...] = (None, *Role)

_Answer = TypeVar("_Answer", bound=Message)
_METHODS = {
    f"{service.DESCRIPTOR.name}/{method.name}": method for service in SERVICES for method in service.DESCRIPTOR.methods
}


def request_id() -> str:
    return str(uuid.uuid4())


@dataclass
class CallError(Exception):
    """The status of a call that failed."""

    code: grpc.StatusCode
    message: str
    reason: str
    metadata: dict[str, str]
    fields: dict[str, str]
    """The faults of fields by path."""

    def __str__(self) -> str:
        return f"{self.code.name} {self.reason}: {self.message} {self.fields}"


class Client:
    """A client with one token, or none."""

    def __init__(self, address: str, token: str | None, credentials: grpc.ChannelCredentials | None = None) -> None:
        self.channel = (
            grpc.insecure_channel(address) if credentials is None else grpc.secure_channel(address, credentials)
        )
        self.metadata = () if token is None else (("authorization", f"Bearer {token}"),)

    def __call__(self, request: Message, kind: type[_Answer], *, timeout: float = 30) -> _Answer:
        """Calls the method that the request is of."""
        name = _name_of(request)
        method = self.channel.unary_unary(f"/{PACKAGE}.{name}", type(request).SerializeToString, kind.FromString)
        try:
            return method(request, timeout=timeout, metadata=self.metadata)
        except grpc.RpcError as error:
            raise failure_of(error) from None

    def stream(self, request: Message, kind: type[_Answer], *, timeout: float = 60) -> Any:
        """Calls a method whose answer is a stream; it can be cancelled."""
        method = self.channel.unary_stream(
            f"/{PACKAGE}.{_name_of(request)}", type(request).SerializeToString, kind.FromString
        )
        return method(request, timeout=timeout, metadata=self.metadata)

    def close(self) -> None:
        self.channel.close()


def failure_of(error: Any) -> CallError:
    status = rpc_status.from_call(error)
    info, bad = ErrorInfo(), BadRequest()
    for detail in () if status is None else status.details:
        for message in (info, bad):
            if detail.Is(message.DESCRIPTOR):
                detail.Unpack(message)
    fields = {one.field: one.description for one in bad.field_violations}
    return CallError(error.code(), error.details(), info.reason, dict(info.metadata), fields)


def _name_of(request: Message) -> str:
    short = request.DESCRIPTOR.name.removesuffix("Request")
    [name] = [name for name in _METHODS if name.endswith(f"/{short}")]
    return name


class WatcherThread:
    """Tells of changes, as the control plane does."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._listeners: list[Callable[[frozenset[str]], None]] = []
        self._stopped = Event()
        self._seen = store.last_changes()
        self._watcher = store.watcher()
        self._thread = Thread(target=self._run, daemon=True)
        self._thread.start()

    def listen(self, listener: Callable[[frozenset[str]], None], _kinds: Iterable[str]) -> None:
        self._listeners.append(listener)

    def forget(self, listener: Callable[[frozenset[str]], None]) -> None:
        self._listeners.remove(listener)

    def _run(self) -> None:
        while not self._stopped.is_set():
            now = self._watcher.wait(self._seen, 0.5)
            changed = frozenset(kind.value for kind in now if now[kind] != self._seen[kind])
            self._seen = now
            for listener in list(self._listeners) if changed else ():
                listener(changed)

    def stop(self) -> None:
        self._stopped.set()
        self._watcher.close()
        self._thread.join(10)


@dataclass
class Admin:
    """A running admin API."""

    store: Store
    face: AdminFace
    sidecar: RunningSidecar
    config: Path
    events: list[tuple[str, str, dict[str, object]]]
    _clients: list[Client] = field(default_factory=list)
    _tokens: dict[str, str] = field(default_factory=dict)

    def client(self, token: str | None) -> Client:
        assert self.face.address is not None
        client = Client(self.face.address, token)
        self._clients.append(client)
        return client

    def person(self, name: str, *roles: Role, groups: Iterable[str] = ()) -> Client:
        """A person who has logged in."""
        return self.client(self.session(name, *roles, groups=groups))

    def session(self, name: str, *roles: Role, groups: Iterable[str] = ()) -> str:
        """The token of a person's session."""
        if name not in self._tokens:
            edit = PersonEdit(name, frozenset(roles), frozenset(groups), password_hash())
            self.store.people.put(edit, BY, "", now_us())
            assert self.face.identities is not None
            self._tokens[name] = self.face.identities.log_in(name, PASSWORD, "here")
        return self._tokens[name]

    def machine(self, *roles: Role, scopes: Iterable[Scope] | None = None) -> Client:
        """A machine with a token."""
        assert self.face.identities is not None
        _, token = self.face.identities.new_token(
            "machine", frozenset(roles), None if scopes is None else frozenset(scopes), now_us() + DAY_US, BY, ""
        )
        return self.client(token)

    @cached_property
    def admin(self) -> Client:
        return self.person("root", Role.ADMIN)

    def close(self) -> None:
        for client in self._clients:
            client.close()


def ended_tokens(admin: Admin) -> list[str]:
    """Tokens of admins that were right once: one that is over, a revoked one, of a session, of a person who is gone."""
    identities = admin.face.identities
    assert identities is not None
    roles = frozenset({Role.ADMIN})
    early = Identities(admin.store, passwords=PASSWORDS, clock=lambda: now_us() - 2 * DAY_US)
    _, expired = early.new_token("old", roles, None, now_us() - DAY_US, BY, "")
    stored, revoked = identities.new_token("gone", roles, None, now_us() + DAY_US, BY, "")
    admin.store.tokens.revoke(stored.id, BY, "", now_us())
    identities.log_out(over := admin.session("over", Role.ADMIN))
    removed = admin.session("removed", Role.ADMIN)
    admin.store.people.remove("removed", BY, "", now_us())
    return [expired, revoked, over, removed]


_hashes: list[str] = []


def password_hash() -> str:
    """The hash of `PASSWORD`, which takes a while."""
    if not _hashes:
        _hashes.append(PASSWORDS.hash(PASSWORD))
    return _hashes[0]


def write_config(folder: Path, **more: Any) -> Path:
    """A configuration with a server, a policy and a grant of its own."""
    folder.mkdir(exist_ok=True)
    (folder / "filed.yaml").write_text(LIMITED)
    document: Mapping[str, Any] = {
        "state": str(folder / "state"),
        "listen": "127.0.0.1:0",
        "servers": {"filed-server": {"policy": "filed-policy"}},
        "policies": {"filed-policy": str(folder / "filed.yaml")},
        "grants": [{"id": "filed-grant", "server": "filed-server", "policy": "filed-policy"}],
        **more,
    }
    path = folder / "callgate.yaml"
    given = {name: value for name, value in document.items() if value is not None}
    path.write_text(json.dumps(given, indent=2))
    return path


@contextmanager
def running_admin(
    store: Store, folder: Path, *, issuers: Callable[[], Issuers | None] = lambda: None, **config: Any
) -> Iterator[Admin]:
    """The API over a store and a sidecar with a configuration from a file."""
    path = write_config(folder, grant_key_file=_key(folder), **config)
    plan = Source(path, None).read(Files())
    engine = plan.engine()
    server = plan.server(engine)
    server.start()
    status = {
        "version": "0",
        "started": "2026-01-01T00:00:00Z",
        "ready": True,
        "failure": None,
        "configuration": {"newer_refused": None},
        "policies": [{"server": "filed-server", "name": "filed", "version": "123456789abc"}],
        "approvals": {"pending": 2, "oldest_pending_s": 371, "active_permits": 3},
        "freezes": [{"reason": "test"}],
    }
    sidecar = RunningSidecar(
        engine, server, lambda: status, lambda: plan, lambda target: unknown_name(plan, target, managed_names(engine))
    )
    events: list[tuple[str, str, dict[str, object]]] = []
    watcher = WatcherThread(store)
    face = AdminFace(
        sidecar,
        PlanFiles(lambda: plan),
        watcher,
        listen="127.0.0.1:0",
        passwords=PASSWORDS,
        log=lambda level, event, fields: events.append((level, event, fields)),
        issuers=issuers,
    )
    admin = Admin(store, face, sidecar, path, events)
    try:
        face.start(store)
        assert face.failure is None
        yield admin
    finally:
        admin.close()
        face.stop()
        watcher.stop()
        server.stop()


def _key(folder: Path) -> str:
    folder.mkdir(exist_ok=True)
    path = folder / "grant.key"
    path.write_text("5a" * 32)
    path.chmod(0o600)
    return str(path)
