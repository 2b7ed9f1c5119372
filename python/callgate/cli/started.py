"""The objects that a start builds before it serves decisions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import ssl

    from callgate._callgate import ApprovalQueue, Engine, Server
    from callgate.control.port.address import BoundAddress
    from callgate.control.reload import Reading
    from callgate.control.reload_numbers import ReloadNumbers
    from callgate.control.restored import RestoredStore
    from callgate.control.sidecar import Source


@dataclass(frozen=True)
class Started:
    """The parts of a sidecar that were there before its decisions."""

    source: Source
    reading: Reading
    engine: Engine
    server: Server
    approvals: ApprovalQueue
    restored: RestoredStore
    numbers: ReloadNumbers
    admin: BoundAddress
    certificate: ssl.SSLContext | None
