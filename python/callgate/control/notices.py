"""The part of the control plane that tells receivers of approvals."""

from __future__ import annotations

import hashlib
import time
from functools import partial
from threading import Lock
from typing import TYPE_CHECKING, Any, Final

from callgate import clock
from callgate.control import logs
from callgate.control.worker import Worker
from callgate.text import masked

if TYPE_CHECKING:
    from collections.abc import Callable

    from callgate.config.bundle import Bundle
    from callgate.config.notice_files import ReadReceiver
    from callgate.control.changes import Changes
    from callgate.control.notice_numbers import NoticeNumbers
    from callgate.notices.courier import Courier
    from callgate.notices.receiver import Receiver
    from callgate.store.store import Store

_KIND: Final = "notices"
_COUNT_EVERY_S: Final = 10.0
"""Interval of counts: an outbox may be large."""

_COUNT_SOON_S: Final = 2.0
"""Likewise after new events."""

_REST_S: Final = 0.1
"""Shortest pause between two looks: one transaction then has the events of several."""

_STOP_S: Final = 1.0
"""Longest wait for a try that runs at the stop; it is repeated after the next start."""

_EVENTS: Final = {
    "failed": ("warning", "notice_failed"),
    "dead": ("error", "notice_dead"),
    "stopped": ("error", "notice_receiver_stopped"),
    "store_failed": ("warning", "notices_failed"),
    "dropped": ("error", "notices_dropped"),
}


class Notices:
    """Puts events into the outboxes of receivers, and delivers them while the store is open."""

    def __init__(
        self, bundle: Callable[[], Bundle], page_url: Callable[[], str], changes: Changes, numbers: NoticeNumbers
    ) -> None:
        """Takes the configuration in force, the URL of the admin port for people, the store's news, and the metrics."""
        self._bundle = bundle
        self._page_url = page_url
        self._numbers = numbers
        self._worker = Worker(
            "callgate-notices", self._work, (changes, [_KIND]), failure="notices_failed", rest_s=_REST_S
        )
        self._lock = Lock()
        self._store: Store | None = None
        self._in_force: tuple[ReadReceiver, ...] = ()
        self._couriers: dict[str, Courier] = {}
        self._told: dict[str, str] = {}
        self._counted_s = 0.0
        self._has_news = False

    def start(self, store: Store) -> None:
        """Begins, if there are receivers; a reload may add some."""
        with self._lock:
            self._store, self._counted_s = store, 0.0
            self._apply(store)

    def stop(self) -> None:
        """Ends; notices that are not delivered wait for the next start."""
        with self._lock:
            self._store = None
            if self._in_force:
                self._worker.stop()
            self._in_force = ()
            self._end_couriers()

    def reloaded(self) -> None:
        """Takes over changed receivers."""
        with self._lock:
            if self._store is None or self._bundle().receivers == self._in_force:
                return
            if self._in_force:
                self._worker.stop()
            self._end_couriers()
            self._apply(self._store)

    def _apply(self, store: Store) -> None:
        receivers = self._in_force = self._bundle().receivers
        self._numbers.set_receivers([one.name for one in receivers])
        if not receivers:
            return
        # Here, because most configurations need none of it.
        from callgate.notices.courier import Courier  # noqa: PLC0415

        # Before calls that need an approval are answered: events are written for receivers that are known.
        store.notice_receivers.register({one.name: _digest(one.url) for one in receivers}, clock.now_us())
        base = self._page_url()
        self._couriers = {one.name: Courier(receiver_of(one), store, base, self._report) for one in receivers}
        for courier in self._couriers.values():
            courier.start()
        self._worker.start(store)

    def _end_couriers(self) -> None:
        couriers, self._couriers = list(self._couriers.values()), {}
        for courier in couriers:
            courier.stop()
        end_s = time.monotonic() + _STOP_S
        for courier in couriers:
            courier.join(max(end_s - time.monotonic(), 0))

    def _work(self, store: Store) -> float:
        """Fills the outboxes; returns the seconds until the next look."""
        from callgate.identity.secret_text import new_id  # noqa: PLC0415  as above

        couriers = dict(self._couriers)
        digests = {name: one.receiver.address_digest for name, one in couriers.items()}
        store.notice_receivers.register(digests, clock.now_us())
        for name, courier in couriers.items():
            choose = partial(courier.receiver.choose, new_id)
            while not self._worker.is_stopped:
                count, dropped = store.notice_receivers.collect(name, choose, clock.now_us())
                if dropped:
                    self._report(name, "dropped", {"count": dropped})
                if not count:
                    break
                self._has_news = True
                courier.wake()
        every_s = _COUNT_SOON_S if self._has_news else _COUNT_EVERY_S
        left_s = self._counted_s + every_s - time.monotonic()
        if left_s > 0:
            return left_s
        self._numbers.set_statuses(store.notice_receivers.statuses())
        self._counted_s, self._has_news = time.monotonic(), False
        return _COUNT_EVERY_S

    def _report(self, receiver: str, result: str, details: dict[str, Any]) -> None:
        """Counts a try, and logs a failure: the same one again only after a success."""
        if result != "store_failed":
            self._numbers.count(receiver, result, int(details.get("count", 1)))
        if result == "sent":
            if self._told.pop(receiver, None) is not None:
                logs.log("info", "notices_recovered", {"receiver": receiver})
            return
        if result not in _EVENTS:
            return
        told = f"{result}: {details.get('error', '')}"
        if result in {"failed", "store_failed"} and self._told.get(receiver) == told:
            return
        self._told[receiver] = told
        level, event = _EVENTS[result]
        logs.log(level, event, {"receiver": receiver, **{key: _shown(value) for key, value in details.items()}})


def page_url(bundle: Bundle, address: str) -> str:
    """The URL of the admin port for people: as configured, else made of the bound address."""
    if bundle.config.admin.public_url is not None:
        return bundle.config.admin.public_url
    return f"{'http' if bundle.admin_tls is None else 'https'}://{address}"


def receiver_of(read: ReadReceiver) -> Receiver:
    """The receiver of a configuration."""
    from callgate.notices.receiver import Filters, Receiver  # noqa: PLC0415  as above
    from callgate.store.model import Person  # noqa: PLC0415  likewise

    section = read.section
    person = section.person
    return Receiver(
        name=read.name,
        format=section.format.value,
        hook=read.hook,
        address_digest=_digest(read.url),
        secrets=read.secrets,
        filters=Filters(
            frozenset(section.events), tuple(section.grants), tuple(section.servers), tuple(section.approvers)
        ),
        person=None if person is None else Person(person.issuer, person.subject),
        shows_arguments=section.arguments,
        reminders=tuple(section.reminders),
    )


def _digest(url: str) -> str:
    return hashlib.sha256(url.encode()).hexdigest()


def _shown(value: object) -> object:
    return masked(value) if isinstance(value, str) else value
