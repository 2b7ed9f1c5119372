"""Housekeeping of the store: expires approvals whose time is over, and deletes records after their retention.

Every replica does it, and it does not matter who is first. A policy, a grant or a pinned form ends its approvals where
this replica has served it and does no longer. Those that it has never served may be another one's: a store may be
shared by sidecars with other configurations.
"""

from __future__ import annotations

import time
from collections import defaultdict
from datetime import timedelta
from typing import TYPE_CHECKING, Final, Protocol

from callgate import clock
from callgate.control import logs
from callgate.control.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from callgate.config.approvals import Approvals
    from callgate.control.changes import Changes
    from callgate.control.store_numbers import StoreNumbers
    from callgate.store.live import LiveThings
    from callgate.store.model import Call
    from callgate.store.store import Store

_EVERY_S: Final = 60.0
_COUNT_EVERY_S: Final = 2.0
"""Shortest pause between two counts of approvals, however often they change."""

_LOOK_S: Final = 0.5
"""Interval at which the files of pins are looked at: the data plane and commands write them, and nobody is told."""

_VERSION_DIGITS: Final = 12
"""Digits of a policy's digest that its version has."""


class InForce(Protocol):
    """The configuration that this sidecar serves now."""

    def policy_versions(self) -> frozenset[str]:
        """The versions of the policies: the first digits of their digests."""

    def configured_grants(self, grants: Collection[str]) -> dict[str, bool]:
        """The configured ones among these grants, each with true if it is revoked."""

    def pins_stamp(self) -> int | None:
        """A number that changes with the files of pins; None without a folder."""

    def pin_digests(self, server: str, tools: Collection[str]) -> dict[str, str]:
        """The digests of the pinned forms of these tools; none of a tool for which that cannot be told."""


class _Served:
    """The things that this replica has served, as far as something live depends on them."""

    def __init__(self) -> None:
        self.policies: set[str] = set()
        self.grants: set[str] = set()
        self.pins: set[tuple[str, str, str]] = set()

    def copy(self) -> _Served:
        """The same things, which do not change any more."""
        served = _Served()
        served.policies, served.grants, served.pins = set(self.policies), set(self.grants), set(self.pins)
        return served

    def keep(self, known: _Served, live: LiveThings) -> None:
        """Forgets the things that were known before `live` was read and that nothing live depends on any more."""
        self.policies -= known.policies - live.policies
        self.grants -= known.grants - live.grants
        self.pins -= known.pins - live.pins


class Housekeeping:
    """The part of the control plane that keeps the store in order."""

    def __init__(
        self, in_force: InForce, settings: Callable[[], Approvals], changes: Changes, numbers: StoreNumbers
    ) -> None:
        """Takes what this sidecar serves, its keys of approvals, the news of the store, and the metrics."""
        self._in_force = in_force
        self._settings = settings
        self._numbers = numbers
        self._served = _Served()
        self._tidied_s: float | None = None
        self._worker = Worker(
            "callgate-housekeeping",
            self._work,
            (changes, ["approvals", "permits"]),
            failure="housekeeping_failed",
            rest_s=_COUNT_EVERY_S,
        )
        self._pins_stamp: int | None = None
        self._pin_files = Worker("callgate-pin-files", self._look, (changes, []), failure="housekeeping_failed")

    def reloaded(self) -> None:
        """Looks soon for approvals and permits that depend on a configuration no longer in force."""
        self._worker.wake()

    def asked(self, call: Call) -> None:
        """Remembers the things that a new question of this replica depends on: they may change before the next look."""
        self._served.policies.add(call.policy_digest)
        self._served.grants.update(self._in_force.configured_grants({call.grant}))
        if call.pin_digest is not None:
            self._served.pins.add((call.server, call.tool, call.pin_digest))

    def start(self, store: Store) -> None:
        """Begins on a thread of its own."""
        self._tidied_s = None
        # Before the first look at what is in force: what changes from here on is looked at again.
        self._pins_stamp = self._in_force.pins_stamp()
        self._worker.start(store)
        self._pin_files.start(store)

    def stop(self) -> None:
        """Ends after the transaction that runs now."""
        self._pin_files.stop()
        self._worker.stop()

    def _look(self, _store: Store) -> float:
        """Looks for what is gone if the files of pins have changed; returns the seconds until the next look."""
        stamp = self._in_force.pins_stamp()
        if stamp != self._pins_stamp:
            self._pins_stamp = stamp
            self._worker.wake()
        return _LOOK_S

    def _work(self, store: Store) -> float:
        """Does all that is due; returns the seconds until something is due again."""
        self.end_what_is_gone(store, clock.now_us())
        if self._tidied_s is None or time.monotonic() - self._tidied_s >= _EVERY_S:
            self.tidy(store, clock.now_us())
            self._tidied_s = time.monotonic()
        counted_us = clock.now_us()
        next_end_us = self.count(store, counted_us)
        due_s = self._tidied_s + _EVERY_S - time.monotonic()
        if next_end_us is not None:
            due_s = min(due_s, (next_end_us - counted_us) / 1_000_000)
        return max(due_s, 0)

    def tidy(self, store: Store, now_us: int) -> None:
        """Writes expiries, and deletes records after their retention.

        Raises:
            StoreError: The store does not answer.
        """
        settings = self._settings()
        store.approvals.expire_due(now_us)
        store.permits.expire_due(now_us)
        store.sessions.forget(now_us)
        store.attempts.forget(now_us)
        if buried := store.notices.forget(now_us):
            logs.log("error", "notices_dead", {"count": buried})
        store.notice_receivers.forget(now_us)
        store.approvals.forget(now_us, keep_arguments_us=_us(settings.keep_arguments), keep_us=_us(settings.keep))

    def count(self, store: Store, now_us: int) -> int | None:
        """Counts approvals and permits for the metrics and the status; the time at which the first of them is over.

        Raises:
            StoreError: The store does not answer.
        """
        from callgate.store.live import count_live  # noqa: PLC0415  it imports SQLAlchemy

        counts = count_live(store.database, now_us)
        self._numbers.set_live(counts)
        return counts.next_end_us

    def end_what_is_gone(self, store: Store, now_us: int) -> None:
        """Ends approvals and permits of policies, grants and pinned tools that are no longer in force here.

        Raises:
            StoreError: The store does not answer.
        """
        from callgate.store.live import read_live  # noqa: PLC0415  likewise
        from callgate.store.model import Actor  # noqa: PLC0415  likewise

        known = self._served.copy()
        live, by = read_live(store.database, now_us), Actor("callgate", "")
        self._served.keep(known, live)
        for digest in self._gone_policies(live):
            _log_end("policy", digest[:_VERSION_DIGITS], store.approvals.end_of_policy(digest, by, now_us))
        for grant, cause in self._gone_grants(live).items():
            ended = store.approvals.end_of_grant(grant, by, cause, now_us)
            _log_end("grant", grant, ended + store.permits.end_of_grant(grant, by, cause, now_us))
        for server, tool, digest in self._changed_pins(live):
            ended = store.approvals.end_of_pin(server, tool, digest, by, now_us)
            _log_end("tool", tool, ended + store.permits.end_of_pin(server, tool, digest, by, now_us))

    def _gone_policies(self, live: LiveThings) -> set[str]:
        versions = self._in_force.policy_versions()
        now = {digest for digest in live.policies if digest[:_VERSION_DIGITS] in versions}
        # A question that was asked since `live` was read is not of it.
        gone = self._served.policies & live.policies - now
        self._served.policies |= now
        return gone

    def _gone_grants(self, live: LiveThings) -> dict[str, str]:
        """The grants whose approvals end, each with the reason."""
        configured = self._in_force.configured_grants(live.grants)
        gone = dict.fromkeys(self._served.grants & live.grants - configured.keys(), "the grant is gone")
        self._served.grants |= configured.keys()
        # A grant that is revoked in one place is revoked everywhere.
        return gone | {grant: "the grant is revoked" for grant, is_revoked in configured.items() if is_revoked}

    def _changed_pins(self, live: LiveThings) -> set[tuple[str, str, str]]:
        """The pinned forms that were in force here and are not any more: server, tool, digest.

        Forms that were never in force here are those of another replica, such as for another kind of clients.
        """
        tools: defaultdict[str, set[str]] = defaultdict(set)
        for server, tool, _ in live.pins:
            tools[server].add(tool)
        digests = {server: self._in_force.pin_digests(server, names) for server, names in tools.items()}
        now = {(server, tool, digest) for server, found in digests.items() for tool, digest in found.items()}
        # Of a tool without a digest it cannot be told what is in force.
        gone = {pin for pin in self._served.pins & live.pins - now if pin[1] in digests[pin[0]]}
        self._served.pins |= now & live.pins
        return gone


def _log_end(kind: str, name: str, count: int) -> None:
    if count:
        logs.log("info", "approvals_ended", {kind: name, "count": count})


def _us(time_kept: timedelta) -> int:
    return time_kept // timedelta(microseconds=1)
