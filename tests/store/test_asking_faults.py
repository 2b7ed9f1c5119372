"""A store that is locked, full, damaged, gone, slow or restarted, under calls that ask it and changes by the admin API.

Calls that need no approval go on; others are denied within the deadline; changes fail with a clear error, and nothing
of them is written.
"""

from __future__ import annotations

import json
import os
import resource
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import text

from callgate import Client, Decision
from callgate.clock import now_us
from callgate.identity.identities import Identities
from callgate.store.approvals.answer import Answer
from callgate.store.model import Person, State, Verdict
from callgate.store.people import PersonEdit, Role
from callgate.store.place import Place, in_folder, parse_place
from callgate.store.store import Store, open_store
from support.admin import BY, DAY_US, PASSWORD, password_hash
from support.planes import wait_until
from support.postgres import Postgres
from support.replicas import ALLOW, ASKS, Replica, replica

UNAVAILABLE = "(approval store unavailable)"
ANN = Person("local", "ann")
CALLS = 20
TIMEOUT_S = 30.0


@dataclass
class Site:
    """A sidecar, its store as somebody else uses it, and the tokens of a machine and a person."""

    one: Replica
    store: Store
    machine: str
    person: str
    place: Place
    client: Client

    @property
    def path(self) -> Path:
        assert self.place.path is not None
        return self.place.path

    def ask(self, number: int = 1, tool: str = "risky") -> Decision:
        """Makes a call. The client waits far longer than the deadline, so that its own answer is none of these."""
        return self.client.check(grant="g", server="s", tool=tool, args={"n": number})

    def change(self, path: str, document: dict[str, Any], token: str) -> httpx.Response:
        """Changes something over the admin API."""
        headers = {"Authorization": f"Bearer {token}"}
        url = f"http://{self.one.running.admin}/admin/v1{path}"
        return httpx.post(url, json=document, headers=headers, timeout=TIMEOUT_S)

    def changes(self, approval: str) -> list[httpx.Response]:
        """A change of each kind: of what calls wait for, of documents, and an answer."""
        policy = {"policy": {"id": "new", "document": '{"version": "1", "default": "allow"}'}}
        return [
            self.change("/freezes", {"freeze": {"grant": "other", "reason": "stop"}}, self.machine),
            self.change("/policies", policy, self.machine),
            self.change(f"/approvals/{approval}:approve", {}, self.person),
        ]

    def approve(self, decision: Decision) -> str:
        answer = Answer(ANN, frozenset(), Verdict.APPROVE, "test")
        return self.store.approvals.answer(str(decision.approval), answer, now_us()).id

    def written(self) -> tuple[object, ...]:
        """The rows that the changes could have written."""
        store = self.store
        audit = tuple(one.number for one in store.audit.page())
        return audit, tuple(store.freezes.in_force(now_us())), store.policies.since(0).change


@contextmanager
def site(folder: Path, place: Place) -> Iterator[Site]:
    with ExitStack() as stack:
        folder.mkdir()
        for document in (ALLOW, ASKS):
            (folder / f"{document['name']}.json").write_text(json.dumps(document))
        keys: dict[str, Any] = {
            "servers": {"s": {"policy": "asks"}},
            "policies": {"asks": "asks.json"},
            "approvals": {"deadline": "400ms"},
        }
        store = stack.enter_context(closing(open_store(place)))
        store.people.put(PersonEdit("ann", frozenset({Role.APPROVER}), frozenset(), password_hash()), BY, "", now_us())
        roles = frozenset({Role.ADMIN})
        _, machine = Identities(store).new_token("ci", roles, None, now_us() + DAY_US, BY, "")
        person = Identities(store).log_in("ann", PASSWORD, "127.0.0.1")
        one = stack.enter_context(replica(folder, place, **keys))
        client = stack.enter_context(Client(one.running.address, timeout_ms=20_000))
        made = Site(one, store, machine, person, place, client)
        # The admin API is there a moment later, and the first call of a machine that is busy may be late.
        wait_until(lambda: made.change("/freezes/none:thaw", {}, machine).status_code == 404)
        wait_until(lambda: made.ask(0).outcome == "approval_required")
        yield made


@contextmanager
def locked(site: Site) -> Iterator[None]:
    with closing(sqlite3.connect(site.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


@contextmanager
def full(site: Site) -> Iterator[None]:
    """Stops the sidecar's files from growing, as a quota on a disk does."""
    pid = site.one.running.process.pid
    size = min(file.stat().st_size for file in (site.path, Path(f"{site.path}-wal")))
    before = resource.prlimit(pid, resource.RLIMIT_FSIZE, (min(size, 4096), resource.RLIM_INFINITY))
    yield
    resource.prlimit(pid, resource.RLIMIT_FSIZE, before)


@contextmanager
def gone(site: Site) -> Iterator[None]:
    kept = site.path.with_name("kept")
    site.path.rename(kept)
    yield
    assert not site.path.exists()
    kept.rename(site.path)


@contextmanager
def damaged(site: Site) -> Iterator[None]:
    """Overwrites the store with random bytes, as a broken disk might; it is not restored."""
    for file, head in ((site.path, 100), (Path(f"{site.path}-wal"), 32)):
        with file.open("r+b") as pages:
            pages.seek(head)
            pages.write(os.urandom(file.stat().st_size - head))
    yield


@contextmanager
def hindered(site: Site, does: str) -> Iterator[None]:
    """The server does this before it writes a row."""
    tables = ("approvals", "answers", "freezes", "document_versions", "admin_audit")
    run(
        site,
        f"CREATE FUNCTION hindrance() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {does}; RETURN NEW; END $$",
        *(
            f"CREATE TRIGGER hindrance BEFORE INSERT OR UPDATE ON {table} FOR EACH ROW EXECUTE FUNCTION hindrance()"
            for table in tables
        ),
    )
    yield
    # Triggers cannot be taken away from tables that are in use.
    run(site, "CREATE OR REPLACE FUNCTION hindrance() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$")


def run(site: Site, *statements: str) -> None:
    with site.store.database.engine.begin() as connection:
        for statement in statements:
            connection.execute(text(statement))


@contextmanager
def held(site: Site) -> Iterator[None]:
    """Another replica stands still in the middle of its transaction."""
    with site.store.database.engine.begin() as connection:
        connection.execute(text("SET LOCAL idle_in_transaction_session_timeout = 0"))
        connection.execute(text("LOCK TABLE approvals, freezes, documents IN EXCLUSIVE MODE"))
        yield


def full_server(site: Site) -> AbstractContextManager[None]:
    return hindered(site, "RAISE EXCEPTION 'no space' USING ERRCODE = '53100'")


def slow_server(site: Site) -> AbstractContextManager[None]:
    return hindered(site, "PERFORM pg_sleep(0.7)")


BUSY = "holds it for too long; try again"
SQLITE = [
    ("locked", locked, 503, BUSY),
    ("full", full, 503, "the disk gives an error, or is full"),
    ("gone", gone, 503, "is gone"),
]
POSTGRESQL = [
    ("locked", held, 503, BUSY),
    ("full", full_server, 429, "its disk is full"),
]


def needs_no_approval(site: Site) -> None:
    assert {site.ask(tool="calm").rule for _ in range(CALLS)} == {""}


def hinders(site: Site, broken: Callable[[Site], AbstractContextManager[None]], status: int, message: str) -> None:
    """Tries everything in this state of the store, and after it."""
    waits, approved = site.ask(2), site.ask(3)
    site.approve(approved)
    before = site.written()
    with broken(site):
        fails(site, waits, status, message)
    goes_on(site, waits, approved, before)


def fails(site: Site, waits: Decision, status: int, message: str) -> None:
    """New calls and approved ones are denied, and changes are refused; other calls go on."""
    for number in (1, 3):
        denied = site.ask(number)
        assert (denied.outcome, denied.rule) == ("deny", UNAVAILABLE)
    # One that waits already takes nothing but a look, which may succeed.
    assert site.ask(2).approval in {waits.approval, None}
    needs_no_approval(site)
    for answer in site.changes(str(waits.approval)):
        assert answer.status_code == status, answer.text
        assert message in answer.json()["message"]
    needs_no_approval(site)


def goes_on(site: Site, waits: Decision, approved: Decision, before: tuple[object, ...]) -> None:
    """Checks that the fault has written nothing and lost nothing."""
    site.one.wait_for_store()
    # A use that came too late was given back.
    wait_until(lambda: site.store.approvals.get(str(approved.approval), now_us()).state is State.APPROVED)
    assert site.written() == before
    assert site.store.approvals.get(str(waits.approval), now_us()).state is State.PENDING
    assert not site.store.approvals.record(str(waits.approval)).answers
    wait_until(lambda: site.ask(2).approval == waits.approval)
    assert site.ask(3).approval == approved.approval
    assert site.ask(3).outcome == "approval_required"
    assert [answer.status_code for answer in site.changes(str(waits.approval))] == [200, 200, 200]
    assert site.written() != before
    wait_until(lambda: site.ask(2).allowed)


@pytest.mark.parametrize(("broken", "status", "message"), [row[1:] for row in SQLITE], ids=[row[0] for row in SQLITE])
def test_sqlite(
    tmp_path: Path, broken: Callable[[Site], AbstractContextManager[None]], status: int, message: str
) -> None:
    with site(tmp_path / "a", in_folder(tmp_path / "a" / "state")) as one:
        hinders(one, broken, status, message)


def test_a_damaged_file(tmp_path: Path) -> None:
    with site(tmp_path / "a", in_folder(tmp_path / "a" / "state")) as one:
        waits = one.ask(2)
        one.approve(one.ask(3))
        with damaged(one):
            fails(one, waits, 500, "it is damaged")
            wait_until(lambda: one.one.status["store"]["state"] == "unavailable")
            assert "it is damaged" in one.one.status["store"]["error"]


@pytest.mark.parametrize(
    ("broken", "status", "message"), [row[1:] for row in POSTGRESQL], ids=[row[0] for row in POSTGRESQL]
)
def test_postgresql(
    tmp_path: Path,
    postgres: Postgres,
    broken: Callable[[Site], AbstractContextManager[None]],
    status: int,
    message: str,
) -> None:
    with site(tmp_path / "a", parse_place(postgres.new_schema())) as one:
        hinders(one, broken, status, message)


def test_a_server_that_is_gone_and_restarted(tmp_path: Path, postgres: Postgres) -> None:
    name, url = postgres.new_database()

    @contextmanager
    def stopped(_site: Site) -> Iterator[None]:
        postgres.run(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
        postgres.run(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")
        yield
        postgres.run(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")

    with site(tmp_path / "a", parse_place(url)) as one:
        hinders(one, stopped, 503, "does not answer")


def test_a_restart_in_the_middle_of_calls(tmp_path: Path, postgres: Postgres) -> None:
    """Each call is answered by the store or denied; connections are made anew."""
    name, url = postgres.new_database()
    with site(tmp_path / "a", parse_place(url)) as one:
        approved = one.ask(3)
        one.approve(approved)
        allowed = 0
        for _ in range(20):
            postgres.run(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")
            decision = one.ask(3)
            allowed += decision.allowed
            assert decision.allowed or decision.rule in {UNAVAILABLE, "/tools/risky/approval"}
        wait_until(lambda: one.ask(3).outcome == "approval_required")
        assert allowed <= 1


def test_a_slow_server(tmp_path: Path, postgres: Postgres) -> None:
    """A server that answers later than calls wait: changes are made, and late uses are given back."""
    with site(tmp_path / "a", parse_place(postgres.new_schema())) as one:
        approved = one.ask(3)
        one.approve(approved)
        with slow_server(one):
            assert one.ask(3).rule == UNAVAILABLE
            assert one.ask(1).rule == UNAVAILABLE
            needs_no_approval(one)
            answer = one.change("/freezes", {"freeze": {"grant": "other", "reason": "stop"}}, one.machine)
            assert answer.status_code == 200, answer.text
        wait_until(lambda: one.ask(3).approval == approved.approval)
        assert one.ask(3).approval not in {approved.approval, None}
