"""Callgates that end and start again, and their own ways to Redis."""

from __future__ import annotations

import time
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from callgate import CallgateError
from support.redis import HOST
from support.redis_sentinel import NAME
from support.shared import Node, node
from support.tcp_proxy import tcp_proxy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from contextlib import AbstractContextManager
    from pathlib import Path

    from callgate import Decision
    from support.fleet.stores import FailoverPair
    from support.tcp_proxy import TcpProxy

UNANSWERED = "(decision point unavailable)"


class Member:
    """A callgate with one folder over all of its starts."""

    def __init__(self, number: int, begin: Callable[[], AbstractContextManager[Node]]) -> None:
        self.number = number
        self._begin = begin
        self._stack = ExitStack()
        self._node: Node | None = None

    @property
    def node(self) -> Node:
        """The running sidecar."""
        assert self._node is not None, f"callgate {self.number} does not run"
        return self._node

    def start(self) -> None:
        """Starts it."""
        assert self._node is None
        self._node = self._stack.enter_context(self._begin())

    def close(self) -> None:
        """Ends it at once."""
        self._node = None
        self._stack.close()

    def stop(self) -> None:
        """Ends it as an operator does."""
        node, self._node = self.node, None
        node.stop()
        self._stack.close()

    def check(self, tool: str, **more: Any) -> Decision | None:
        """A decision; None if it does not run, or ends meanwhile."""
        node = self._node
        if node is None:
            return None
        try:
            decision = node.check(tool, **more)
        except ValueError:
            # Its client was closed with it.
            assert self._node is not node
            return None
        return None if decision.rule == UNANSWERED else decision

    def settle(self, reservation: str, *, rolls_back: bool) -> bool | None:
        """True if units were given back or kept; None if it did not answer."""
        node = self._node
        if node is None:
            return None
        try:
            return (node.client.roll_back if rolls_back else node.client.commit)(reservation)
        except (CallgateError, ValueError):
            return None


class Way:
    """The way of one callgate to the Sentinels and the servers behind them, which can be disturbed."""

    def __init__(self, url: str, proxies: list[TcpProxy]) -> None:
        self.url = url
        self._proxies = proxies

    @contextmanager
    def slow(self, seconds: float) -> Iterator[None]:
        """Everything takes so much longer, in each direction."""
        self._each(lambda proxy: proxy.delay(seconds))
        yield
        self._each(lambda proxy: proxy.delay(0))

    @contextmanager
    def silent(self, *, requests: bool = True, answers: bool = True) -> Iterator[None]:
        """Nothing comes through in these directions; it comes later."""
        self._each(lambda proxy: proxy.stall(requests=requests, answers=answers))
        yield
        self._each(lambda proxy: proxy.flow())

    @contextmanager
    def closed(self) -> Iterator[None]:
        """Connections are refused, and those that were open have ended."""
        self._each(lambda proxy: proxy.refuse())
        yield
        self._each(lambda proxy: proxy.accept())

    def lose_answers(self, seconds: float) -> None:
        """Lets requests arrive, and loses their answers, for so long."""
        self._each(lambda proxy: proxy.stall(requests=False))
        time.sleep(seconds)
        self._each(lambda proxy: proxy.cut())
        self._each(lambda proxy: proxy.flow())

    def _each(self, work: Callable[[TcpProxy], object]) -> None:
        for proxy in self._proxies:
            work(proxy)


@contextmanager
def own_way(pair: FailoverPair) -> Iterator[Way]:
    """Proxies before all servers; where callgates are sent to a server, they are sent to its proxy."""
    with ExitStack() as stack:
        # Ports have five digits, see `support.ports`. It is filled before anybody is answered.
        ports: dict[bytes, bytes] = {}
        servers = [stack.enter_context(tcp_proxy(server.port, ports)) for server in pair.servers]
        for server, proxy in zip(pair.servers, servers, strict=True):
            ports[str(server.port).encode()] = str(proxy.port).encode()
        sentinels = [stack.enter_context(tcp_proxy(sentinel.port, ports)) for sentinel in pair.sentinels]
        hosts = ",".join(f"{HOST}:{proxy.port}" for proxy in sentinels or servers)
        url = f"redis+sentinel://{hosts}/{NAME}" if sentinels else f"redis+cluster://{hosts}"
        yield Way(url, [*sentinels, *servers])


def member(number: int, folder: Path, url: str, policies: Mapping[str, dict[str, Any]], **keys: Any) -> Member:
    """A callgate that was not started; see `support.shared.node` for `keys`."""
    return Member(number, lambda: node(folder, url, policies, **keys))
