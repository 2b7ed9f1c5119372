"""The state of the store as an earlier run read it last: in force before the store is open."""

from __future__ import annotations

from typing import TYPE_CHECKING

from callgate._callgate import ManagedGrants
from callgate.config.freezes import known_file
from callgate.config.managed import settle
from callgate.control import logs
from callgate.control.changes import Changes
from callgate.control.known_documents import NAME, read_known
from callgate.control.plane import is_temporary, place_of
from callgate.control.refusals import Refusals
from callgate.control.sidecar import try_out
from callgate.control.store_freezes import StoreFreezes
from callgate.control.store_grants import StoreGrants
from callgate.errors import ConfigError

if TYPE_CHECKING:
    from callgate._callgate import Engine
    from callgate.control.reload import Reading
    from callgate.control.reload_numbers import ReloadNumbers
    from callgate.control.sidecar import Plan, Source


def add_known_documents(source: Source, reading: Reading) -> None:
    """Adds the documents of the store that an earlier run has read last to the configuration of a start.

    Those that cannot be served are left out: nobody could mend them while nothing runs.
    """
    plan, managed = reading.must_have_plan(), source.managed
    if source.policy is not None or is_temporary(plan.bundle):
        return
    try:
        managed.newest = read_known(plan.config.state / NAME)
    except ConfigError as error:
        logs.log("error", "store_documents_unknown", {"error": str(error)})
    if not managed.newest:
        return
    # Documents that cannot be served are reported once the sidecar runs, when they are tried again.
    managed.in_force, _ = settle(managed.newest, (), lambda some: try_out(plan.with_documents(some)))
    reading.plan = plan.with_documents(managed.in_force)


class RestoredStore:
    """The freezes and grants of the store that were read last, in the engine of a start."""

    def __init__(self, source: Source, plan: Plan, engine: Engine, numbers: ReloadNumbers) -> None:
        """Obeys them; to be called before calls are answered.

        Raises:
            ConfigError: The store has no valid place.
        """
        place_of(plan.bundle)
        self.state = None if is_temporary(plan.bundle) else plan.config.state
        """The folder of what was read last; None where nothing is kept."""
        self.changes = Changes()
        """The news of the store, of which none come before it is open."""
        self.refusals = Refusals(numbers)
        """Reasons for which documents of the store are not served in their newest version."""
        self.freezes = StoreFreezes(engine, self.changes, self.state and known_file(self.state))
        self.grants = StoreGrants(ManagedGrants(engine), self.changes, self.state, self.refusals)
        self.freezes.restore()
        if source.policy is None:
            self.grants.restore()
