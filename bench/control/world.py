"""Filled stores in both databases, and sidecars that use them."""

from __future__ import annotations

import secrets
import shutil
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import grpc
from common import calls, machine, programs
from control.filled import POLICY, SERVER, Size, fill

from callgate._callgate import hash_token, new_token
from callgate._proto.callgate.decision.v1 import decision_pb2
from callgate.identity.identities import Identities
from callgate.store.model import Actor
from callgate.store.people import PersonEdit, Role
from callgate.store.place import in_folder, parse_place
from callgate.store.store import open_store

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from common.postgres import Postgres
    from common.programs import Sidecar

    from callgate.store.place import Place
    from callgate.store.store import Store

SQLITE, POSTGRESQL = "SQLite", "PostgreSQL"
DATABASES = (SQLITE, POSTGRESQL)
POLICY_FILE = machine.ROOT / "bench/control/policy.json"
METHOD = "/callgate.decision.v1.DecisionService/Check"
BY = Actor("bench", "127.0.0.1")
# Today's build of a million grants is not what is waited for.
READY_SECONDS = 300.0
_DAY_US = 24 * 3_600 * 1_000_000
_PASSWORD = "correct horse battery"


@dataclass(frozen=True)
class World:
    """One store, the state folder of its sidecars, and the secrets of those who ask them."""

    title: str
    folder: Path
    place: Place
    size: Size
    key: bytes = field(repr=False)
    machine_token: str = field(repr=False)
    session: str = field(repr=False)
    file_token: str = field(repr=False)
    """The token of the grant in the configuration."""
    grant_token: str = field(repr=False)
    """The token of the last grant of the store."""
    inbox_tokens: tuple[str, ...] = field(repr=False)
    """The tokens of several machines: one may have 32 streams open."""

    @property
    def files(self) -> Path:
        """The folder of configurations and keys: where a sidecar watches it, each write of the store would wake it."""
        return self.folder / "files"

    def settings(self) -> dict[str, object]:
        """The configuration of a sidecar, beside what each bench adds."""
        settings: dict[str, object] = {
            "servers": {SERVER: {"policy": POLICY}},
            "policies": {POLICY: str(POLICY_FILE)},
            "grants": [
                {
                    "id": calls.GRANT,
                    "server": SERVER,
                    "policy": POLICY,
                    "token_hash": hash_token(self.key, self.file_token),
                }
            ],
            "grant_key_file": str(self.files / "grant.key"),
            "state": str(self.folder),
            # Of 10,000 that wait already, and of one grant that asks more than people ever could answer.
            "approvals": {"pending": 100_000, "pending_per_grant": 10_000},
            "log_format": "json",
        }
        if self.place.path is None:
            settings["store"] = {"url": self.place.url}
        return settings

    def open(self) -> Store:
        """The store, for this process."""
        return open_store(self.place)


def made(folder: Path, title: str, size: Size, postgres: Postgres | None = None) -> World:
    """A world whose store has so many rows; in PostgreSQL if there is a server."""
    (folder / "files").mkdir(parents=True)
    place = in_folder(folder) if postgres is None else parse_place(postgres.url(folder.name.replace("-", "_")))
    key, file_token, grant_token = secrets.token_bytes(32), new_token(), new_token()
    (folder / "files/grant.key").write_text(key.hex(), encoding="utf-8")
    (folder / "files/grant.key").chmod(0o600)
    store = open_store(place)
    print(f"{title}: {size.settled:,} settled, {size.pending:,} pending, {size.grants:,} grants", file=sys.stderr)
    fill(store, size, last_token_hash=hash_token(key, grant_token))
    identities = Identities(store)
    ends_us = time.time_ns() // 1_000 + _DAY_US
    _, machine_token = identities.new_token("bench", frozenset({Role.ADMIN}), None, ends_us, BY, "")
    inboxes = [identities.new_token(f"inbox-{n}", frozenset({Role.VIEWER}), None, ends_us, BY, "") for n in range(4)]
    edit = PersonEdit("ann", frozenset({Role.ADMIN}), frozenset({"ops"}), identities.passwords.hash(_PASSWORD))
    store.people.put(edit, BY, "", time.time_ns() // 1_000)
    session = identities.log_in("ann", _PASSWORD, "127.0.0.1")
    store.close()
    inbox_tokens = tuple(token for _, token in inboxes)
    return World(title, folder, place, size, key, machine_token, session, file_token, grant_token, inbox_tokens)


def copied(world: World, folder: Path) -> World:
    """A second world with the same contents; the first one is in SQLite, and nobody uses it now."""
    shutil.copytree(world.folder, folder)
    return replace(world, folder=folder, place=in_folder(folder))


@contextmanager
def serving(
    world: World, *, program: Sequence[str] = (str(programs.CALLGATE),), core: str | None = None, **settings: object
) -> Iterator[Sidecar]:
    """A sidecar with this store, ready and with the store open."""
    with programs.sidecar(
        {**world.settings(), **settings},
        world.files,
        core=core,
        program=program,
        within_seconds=READY_SECONDS,
        log=world.folder / "log",
    ) as running:
        yield running


def wait_for_store(sidecar: Sidecar) -> None:
    """Returns when the sidecar has opened its store, after which it serves the admin API."""
    deadline = time.monotonic() + READY_SECONDS
    while sidecar.metric("callgate_store_available") < 1:
        sidecar.running()
        if time.monotonic() > deadline:
            sys.exit(f"the store was not open within {READY_SECONDS:g} s")
        time.sleep(0.005)


def wait_for_grants(sidecar: Sidecar, world: World) -> None:
    """Returns when the last grant of the store is admitted: then all of them are in force."""
    request = decision_pb2.CheckRequest(
        grant_token=world.grant_token, server=SERVER, tool=calls.TOOL, args_json=calls.ARGUMENTS[100]
    )
    deadline = time.monotonic() + READY_SECONDS
    with grpc.insecure_channel(sidecar.address) as channel:
        ask = channel.unary_unary(
            METHOD,
            request_serializer=decision_pb2.CheckRequest.SerializeToString,
            response_deserializer=decision_pb2.CheckResponse.FromString,
        )
        while ask(request, timeout=READY_SECONDS).outcome != decision_pb2.OUTCOME_ALLOW:
            sidecar.running()
            if time.monotonic() > deadline:
                sys.exit(f"no grant of the store was admitted within {READY_SECONDS:g} s")
            time.sleep(0.005)
