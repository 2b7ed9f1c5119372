"""The part of the control plane that sends spans and logs to a collector."""

from __future__ import annotations

import platform
from contextlib import ExitStack
from threading import Event, Thread
from typing import TYPE_CHECKING, Final

from callgate._callgate import version
from callgate.control import logs
from callgate.control.failures import unexpected
from callgate.control.worker import Worker
from callgate.errors import CallgateError
from callgate.priority import step_back
from callgate.text import masked

if TYPE_CHECKING:
    from callgate._callgate import DecisionListener, Server
    from callgate.admin.calls.call import CallReport
    from callgate.config.telemetry_files import ReadCollector
    from callgate.control.changes import Changes
    from callgate.control.telemetry_numbers import TelemetryNumbers
    from callgate.store.changes import Kind
    from callgate.store.store import Store
    from callgate.telemetry.approvals import ApprovalCalls
    from callgate.telemetry.outlet import Outlet

_PATIENCE_MS: Final = 500
"""Longest wait for a denial before allowed calls are looked at."""

_DENIALS: Final = ("deny", "rate_limited", "approval_required")
_ALLOWS: Final = ("allow",)

_CHANGES_EVERY_S: Final = 5.0
"""Interval at which the admin audit is looked at: not every record comes with a change that is told."""

_STOP_S: Final = 2.0
_RETRY_S: Final = 5.0


class Telemetry:
    """Sends decisions, approvals and admin changes; a collector that does not answer delays nothing."""

    def __init__(
        self, server: Server, collector: ReadCollector | None, changes: Changes, numbers: TelemetryNumbers
    ) -> None:
        """Takes the started data plane, the collector if one is configured, the store's news, and the metrics."""
        self._server = server
        self._collector = collector
        self._numbers = numbers
        self._outlet: Outlet | None = None
        self._calls: ApprovalCalls | None = None
        self._told: str | None = None
        self._stopped = Event()
        self._thread: Thread | None = None
        self._seen: int | None = None
        kinds = ["approvals", "grants", "servers", "policies", "freezes", "people", "tokens", "permits", "pins"]
        self._worker = Worker(
            "callgate-telemetry-store", self._work, (changes, kinds), failure="telemetry_failed", rest_s=0.2
        )

    def begin(self) -> None:
        """Begins to send decisions; the store may not be open yet."""
        if self._collector is None:
            return
        # Here, because these libraries take long to import, and few configurations need them.
        from callgate.telemetry.approvals import ApprovalCalls  # noqa: PLC0415
        from callgate.telemetry.outlet import Collector, Outlet  # noqa: PLC0415

        section = self._collector.section
        collector = Collector(
            section.endpoint,
            section.protocol.value,
            self._collector.headers,
            None if section.ca is None else str(section.ca),
            self._collector.ca,
            section.timeout.total_seconds(),
        )
        resource = {"service.name": "callgate", "service.version": version(), "host.name": platform.node()}
        self._outlet, self._calls = Outlet(collector, resource), ApprovalCalls()
        self._numbers.switch_on()
        self._thread = Thread(target=self._run, args=(self._outlet,), name="callgate-telemetry", daemon=True)
        self._thread.start()

    def end(self) -> None:
        """Sends what waits, for a bounded time; the data plane has ended."""
        if self._outlet is None or self._thread is None:
            return
        self._stopped.set()
        self._thread.join(_STOP_S)
        # Also ends a request that waits for a collector.
        self._outlet.close()

    def observe_call(self, call: CallReport) -> None:
        """Makes the span of a call of the admin API."""
        if self._outlet is None:
            return
        from callgate.telemetry.admin import export_call  # noqa: PLC0415  as above

        export_call(self._outlet, call)

    def start(self, store: Store) -> None:
        """Begins to send approvals and admin changes."""
        if self._outlet is not None:
            # What has changed before is nobody's news.
            self._seen = _last_change(store)
            store.telemetry.take_changes()
            self._worker.start(store)

    def stop(self) -> None:
        """Ends with the store."""
        if self._outlet is not None:
            self._worker.stop()

    def _run(self, outlet: Outlet) -> None:
        step_back()
        while not self._stopped.is_set():
            try:
                with ExitStack() as stack:
                    self._follow(outlet, stack)
                break
            except Exception as error:  # noqa: BLE001  whatever it is, it may pass, and decisions go on
                self._tell(str(error) if isinstance(error, CallgateError) else unexpected(error))
                self._stopped.wait(_RETRY_S)
        self._flush(outlet)

    def _follow(self, outlet: Outlet, stack: ExitStack) -> None:
        """Sends decisions until the data plane ends. Denials have a buffer of their own, so that none is displaced."""
        assert self._collector is not None  # noqa: S101  the thread is started with one
        ratio = self._collector.section.sample_allows
        denials = stack.enter_context(self._server.listen(outcomes=_DENIALS))
        allows = stack.enter_context(self._server.listen(outcomes=_ALLOWS, sampled=ratio))
        is_open = True
        while is_open:
            is_open = self._take(outlet, denials, _PATIENCE_MS)
            self._take(outlet, allows, 0)
            self._flush(outlet)
            if self._stopped.is_set():
                return

    def _take(self, outlet: Outlet, listener: DecisionListener, patience_ms: int) -> bool:
        """Makes the spans of the decisions that wait; false once the data plane has ended."""
        from callgate.telemetry.decisions import WAITS, export_decision  # noqa: PLC0415  as above

        taken = listener.take(patience_ms)
        if taken is None:
            return False
        lines, dropped = taken
        if dropped:
            self._numbers.count({}, {"decisions": dropped})
        for line in lines.decode(errors="replace").splitlines():
            found = export_decision(outlet, line)
            if (
                found is not None
                and self._calls is not None
                and f'"outcome":"{WAITS}"' in line
                and self._calls.add(*found)
            ):
                self._worker.wake()
        return True

    def _flush(self, outlet: Outlet) -> None:
        sent = outlet.flush()
        self._numbers.count(sent.exported, sent.dropped)
        if sent.dropped.total():
            if self._told is None:
                # Once: the words of the library differ each time.
                self._tell(outlet.failure())
        elif sent.exported.total() and self._told is not None:
            self._told = None
            logs.log("info", "telemetry_recovered")

    def _tell(self, error: str) -> None:
        """Logs an error once, until it passes or another one takes its place."""
        if error != self._told:
            self._told = error
            logs.log("warning", "telemetry_failed", {"error": masked(error)})

    def _work(self, store: Store) -> float:
        """Sends approvals that have ended and new admin changes; returns the seconds until the next look."""
        from callgate import clock  # noqa: PLC0415  as above
        from callgate.store.model import State  # noqa: PLC0415  likewise
        from callgate.telemetry.admin import export_change  # noqa: PLC0415  likewise
        from callgate.telemetry.approvals import export_approval  # noqa: PLC0415  likewise

        outlet, calls = self._outlet, self._calls
        assert outlet is not None  # noqa: S101  the worker is started with one
        assert calls is not None  # noqa: S101  likewise
        now_us = clock.now_us()
        while not self._worker.is_stopped:
            changed = store.approvals.since(self._seen or 0, now_us)
            for approval in changed:
                if approval.state is not State.PENDING and (waited := calls.take(approval.id)):
                    export_approval(outlet, store, approval, waited)
            if not changed:
                break
            self._seen = changed[-1].change
        # A call is remembered a moment after its approval is made; it may have been answered by then.
        for viewed in store.approvals.view(calls.fresh(), now_us).values():
            if viewed.approval.state is not State.PENDING and (waited := calls.take(viewed.approval.id)):
                export_approval(outlet, store, viewed.approval, waited)
        while records := store.telemetry.take_changes():
            for record in records:
                export_change(outlet, record)
        return _CHANGES_EVERY_S


def _last_change(store: Store) -> int:
    from callgate.store.changes import Kind  # noqa: PLC0415  it imports SQLAlchemy

    kinds: dict[Kind, int] = store.last_changes()
    return kinds[Kind.APPROVALS]
