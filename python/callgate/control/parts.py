"""The parts of the control plane that need the store, put together for one sidecar."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from callgate import clock
from callgate.config.freezes import known_file
from callgate.config.upstreams import Pinning
from callgate.control.approver_counts import ApproverCounts
from callgate.control.asking import Answering
from callgate.control.housekeeping import Housekeeping
from callgate.control.in_force import PlanInForce
from callgate.control.known_documents import NAME
from callgate.control.managed import StoreDocuments
from callgate.control.notices import Notices
from callgate.control.plan_findings import approver_warnings_of
from callgate.control.plane import Plane, place_of
from callgate.control.store_freezes import StoreFreezes
from callgate.control.store_numbers import StoreNumbers
from callgate.control.store_pins import StorePins

if TYPE_CHECKING:
    from collections.abc import Callable

    from callgate._callgate import ApprovalQueue, Engine
    from callgate.control.changes import Changes
    from callgate.control.notice_numbers import NoticeNumbers
    from callgate.control.plane import Part
    from callgate.control.reload import Reloader
    from callgate.control.restored import RestoredStore
    from callgate.control.sidecar import Plan, Source


def plane_of_wrap(plan: Plan, engine: Engine, approvals: ApprovalQueue) -> Plane:
    """The plane of a wrapped server, whose engine obeys the freezes of the store, and which asks in this queue.

    Raises:
        ConfigError: The store has no valid place.
    """
    plane = Plane(lambda: plan.bundle, StoreNumbers())
    freezes = StoreFreezes(engine, plane.changes, known_file(plan.config.state))
    freezes.restore()
    plane.add(freezes)
    plane.add(Answering(approvals, lambda: plan.bundle))
    return plane


def _store_pins(reloader: Reloader, changes: Changes) -> StorePins:
    def endpoints() -> dict[str, str]:
        return _pinned_endpoints(reloader.plan)

    is_shared = place_of(reloader.plan.bundle).path is None
    return StorePins(lambda: reloader.plan.bundle.pins_folder, changes, endpoints if is_shared else None)


def _pinned_endpoints(plan: Plan) -> dict[str, str]:
    """The URLs of the servers behind the gateway whose tools are pinned."""
    upstreams = {name: known.upstream for name, known in plan.config.servers.items()}
    return {name: one.url for name, one in upstreams.items() if one is not None and one.pinning is not Pinning.OFF}


class Parts:
    """The plane of one sidecar with its own parts."""

    def __init__(
        self,
        source: Source,
        data_plane: tuple[Engine, ApprovalQueue],
        restored: RestoredStore,
        reloader: Reloader,
        numbers: tuple[StoreNumbers, NoticeNumbers],
        page_url: Callable[[], str],
        changed: Callable[[], None],
    ) -> None:
        """Takes the data plane with what it obeys already, and the metrics.

        `page_url` gives the URL of the admin port for people, `changed` asks for a reload.

        Raises:
            ConfigError: The store has no valid place.
        """
        self._managed, self._changed, self._numbers = source.managed, changed, numbers[0]
        engine, approvals = data_plane
        self.plane = Plane(lambda: reloader.plan.bundle, self._numbers, restored.changes)
        self._freezes, self._grants = restored.freezes, restored.grants
        in_force = PlanInForce(engine, lambda: reloader.plan)
        self._housekeeping = Housekeeping(
            in_force, lambda: reloader.plan.config.approvals, self.plane.changes, self._numbers
        )
        self.plane.add(self._freezes)
        if source.policy is None:
            known = restored.state and restored.state / NAME
            self.plane.add(StoreDocuments(source.managed, self.plane.changes, known, changed))
            self.plane.add(self._grants)
        self.plane.add(_store_pins(reloader, self.plane.changes))
        self.plane.add(self._housekeeping)
        self._approvers = ApproverCounts(lambda people: approver_warnings_of(reloader.plan, people), self.plane.changes)
        self.plane.add(self._approvers)
        self._notices = Notices(lambda: reloader.plan.bundle, page_url, self.plane.changes, numbers[1])
        self.plane.add(self._notices)
        self.plane.add(Answering(approvals, lambda: reloader.plan.in_force, self._housekeeping.asked))

    def add(self, *parts: Part) -> None:
        """Adds parts, which are started after the others."""
        for part in parts:
            self.plane.add(part)

    def start(self) -> None:
        """Begins to open the store; to be called once calls are answered."""
        if self._managed.newest != self._managed.in_force:
            self._changed()
        self.plane.start()

    def reloaded(self) -> None:
        """Lets the parts look at the new configuration: approvals may end with it, and refused grants may fit it."""
        self._grants.reloaded()
        self._housekeeping.reloaded()
        self._approvers.look_again()
        self._notices.reloaded()

    def stop(self) -> None:
        """Stops all parts in a bounded time."""
        self.plane.stop()

    def approvals(self) -> dict[str, Any] | None:
        """The approvals that wait for people and the active permits, for the status; None if the store is not open."""
        return self._numbers.approvals(clock.now_us())

    def freezes(self) -> list[dict[str, Any]]:
        """The freezes of the store in force, for the status."""
        now = datetime.now(timezone.utc)
        return [{**one.fields(), "source": "store"} for one in self._freezes.in_force if not one.has_ended(now)]
