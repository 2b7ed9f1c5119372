"""Two callgates that share Redis and PostgreSQL, and everything that changes while they are asked."""

from __future__ import annotations

import json
import random
import time
from collections import Counter
from contextlib import ExitStack, contextmanager
from threading import Event, Thread
from typing import TYPE_CHECKING, Any

from callgate._proto.callgate.admin.v1 import grants_pb2
from callgate.clock import now_us
from callgate.identity.identities import Identities
from callgate.store.people import Role
from callgate.store.place import parse_place
from callgate.store.store import open_store
from support.admin import BY, DAY_US, Client
from support.fleet.load import POLICIES
from support.fleet.members import Member, member
from support.planes import wait_until
from support.postgres import running_postgres
from support.redis import RedisServer, running_redis
from support.tcp_proxy import TcpProxy, tcp_proxy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from callgate.store.store import Store

SERVER = "s"
NODES = 2


class Soaked:
    """Two callgates with what they need. Everything goes through the admin API of the first one."""

    def __init__(
        self, redis: RedisServer, proxies: list[TcpProxy], store: Store, members: list[Member], admin: Client
    ) -> None:
        self.redis = redis
        self.proxies = proxies
        self.store = store
        self.members = members
        self.admin = admin

    @property
    def pids(self) -> list[int]:
        """The processes of the callgates."""
        return [member.node.running.process.pid for member in self.members]

    def create_grant(self, name: str) -> str:
        """The token of a new grant, which every callgate knows by the end."""
        grant = {"id": name, "servers": {SERVER: SERVER}}
        made = self.admin(grants_pb2.CreateGrantRequest(grant=grant), grants_pb2.CreateGrantResponse)
        self.wait_for_rule(made.token, "")
        return made.token

    def revoke_grant(self, name: str, token: str) -> None:
        """Revokes a grant, which no callgate serves by the end."""
        self.admin(grants_pb2.RevokeGrantRequest(id=name), grants_pb2.RevokeGrantResponse)
        self.wait_for_rule(token, "(grant revoked)")

    def wait_for_rule(self, token: str, rule: str) -> None:
        """Waits until calls with a token meet this rule at every callgate."""
        for each in self.members:
            wait_until(lambda: each.node.check("free", grant=None, grant_token=token).rule == rule)  # noqa: B023

    def reload(self, version: int, token: str) -> None:
        """Changes the policy of every callgate, and waits until calls meet the new one."""
        document = json.loads(json.dumps(POLICIES[SERVER]))
        document["tools"]["never"] = {"action": "deny", "reason": f"version {version}"}
        for each in self.members:
            each.node.write(f"{SERVER}.json", document)

        def has_changed(each: Member) -> bool:
            return f"version {version}" in each.node.check("never", grant=None, grant_token=token).message

        for each in self.members:
            wait_until(lambda: has_changed(each))  # noqa: B023


class Changes:
    """Threads that change things until the end: grants, policies, and faults of Redis."""

    def __init__(self, soaked: Soaked, token: str, seed: int) -> None:
        self.seen: Counter[str] = Counter()
        self.faults: list[str] = []
        self._soaked = soaked
        self._token = token
        self._choose = random.Random(seed)
        self._done = Event()
        work = (self._grants, self._reloads, self._disturbances)
        self._threads = [Thread(target=self._until_done, args=(one,)) for one in work]

    def start(self) -> None:
        """Begins."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Ends, after the change that is under way."""
        self._done.set()
        for thread in self._threads:
            thread.join(120)
            assert not thread.is_alive(), thread

    def _until_done(self, work: Callable[[int], None]) -> None:
        number = 0
        try:
            while not self._done.is_set():
                number += 1
                work(number)
        except Exception as error:  # noqa: BLE001  told by the test
            self.faults.append(f"{work.__name__}: {error!r}")

    def _grants(self, number: int) -> None:
        token = self._soaked.create_grant(f"grant-{number}")
        self._soaked.revoke_grant(f"grant-{number}", token)
        self.seen["grants made and revoked"] += 1
        self._done.wait(0.5)

    def _reloads(self, number: int) -> None:
        self._soaked.reload(number, self._token)
        self.seen["reloads"] += 1
        self._done.wait(0.5)

    def _disturbances(self, _: int) -> None:
        self._done.wait(self._choose.uniform(1, 6))
        kind = self._choose.choice((self._pause, self._cut, self._forget, self._slow, self._restart))
        kind()
        self.seen[f"redis: {kind.__name__.strip('_')}"] += 1

    def _pause(self) -> None:
        self._soaked.redis.pause()
        self._done.wait(self._choose.uniform(0.1, 1.5))
        self._soaked.redis.resume()

    def _cut(self) -> None:
        for proxy in self._soaked.proxies:
            proxy.cut()

    def _slow(self) -> None:
        proxy = self._choose.choice(self._soaked.proxies)
        proxy.delay(self._choose.uniform(0.01, 0.2))
        self._done.wait(2)
        proxy.delay(0)

    def _forget(self) -> None:
        self._soaked.redis.ask("FLUSHALL")

    def _restart(self) -> None:
        self._soaked.redis.kill()
        self._done.wait(self._choose.uniform(0, 1))
        self._soaked.redis.start()


@contextmanager
def soaked(folder: Path) -> Iterator[Soaked]:
    """Two callgates whose store is open and whose counts can be used."""
    with ExitStack() as stack:
        redis = stack.enter_context(running_redis(folder / "redis"))
        postgres = stack.enter_context(running_postgres())
        place = parse_place(postgres.new_schema())
        store = open_store(place)
        stack.callback(store.close)
        proxies = [stack.enter_context(tcp_proxy(redis.port)) for _ in range(NODES)]
        members = []
        for number, proxy in enumerate(proxies):
            one = member(
                number,
                folder / f"callgate-{number}",
                proxy.url,
                POLICIES,
                lease="1s",
                store={"url": place.url},
                approvals={"deadline": "2s", "pending_per_grant": 10_000},
                grants=[],
            )
            stack.callback(one.close)
            one.start()
            one.node.wait_for_approvals()
            members.append(one)
        _, token = Identities(store).new_token("soak", frozenset({Role.ADMIN}), None, now_us() + DAY_US, BY, "")
        admin = Client(members[0].node.status["admin_grpc"]["listen"], token)
        stack.callback(admin.close)
        yield Soaked(redis, proxies, store, members, admin)


def stopped(members: list[Member]) -> list[dict[str, Any]]:
    """Stops callgates as an operator does; gives the errors in their logs, but those of Redis."""
    found = []
    for each in members:
        node = each.node
        each.stop()
        lines = [json.loads(line) for line in node.log.splitlines()]
        found += [line for line in lines if line["level"] == "error" and line["event"] != "shared_store_failed"]
    return found


def lasting(seconds: float, is_failed: Callable[[], bool]) -> None:
    """Waits so long, or until something has failed."""
    end = time.monotonic() + seconds
    while time.monotonic() < end and not is_failed():
        time.sleep(0.1)
