"""All services, in one registry."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from callgate.admin.calls.call import no_call_observer
from callgate.admin.calls.registry import Registry
from callgate.admin.services.approvals import ApprovalsService
from callgate.admin.services.audit import AuditService
from callgate.admin.services.counters import CountersService
from callgate.admin.services.decisions import DecisionsService
from callgate.admin.services.freezes import FreezesService
from callgate.admin.services.grants import GrantsService
from callgate.admin.services.people import PeopleService
from callgate.admin.services.permits import PermitsService
from callgate.admin.services.pins import PinsService
from callgate.admin.services.policies import PoliciesService
from callgate.admin.services.proposals import ProposalsService
from callgate.admin.services.servers import ServersService
from callgate.admin.services.status import StatusService
from callgate.admin.services.tokens import TokensService

if TYPE_CHECKING:
    from callgate.admin.calls.call import CallObserver
    from callgate.admin.calls.registry import Report
    from callgate.admin.ground import Ground

SERVICES: Final = (
    ServersService,
    PoliciesService,
    ProposalsService,
    GrantsService,
    ApprovalsService,
    PermitsService,
    FreezesService,
    PinsService,
    CountersService,
    DecisionsService,
    StatusService,
    PeopleService,
    TokensService,
    AuditService,
)
"""The services, in the order of the documentation."""


def make_registry(
    ground: Ground, report: Report = lambda _name, _error: None, observe: CallObserver = no_call_observer
) -> Registry:
    """The methods of all services; see `Registry`."""
    registry = Registry(report, observe)
    for service in SERVICES:
        registry.add(service(ground))
    return registry
