"""The right to call a method, from the options of its description: the one place that decides it, for all faces."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import grpc

from callgate._proto.callgate.admin.v1 import role_pb2
from callgate.admin.calls.errors import AdminError
from callgate.store.people import Role

if TYPE_CHECKING:
    from google.protobuf.descriptor import MethodDescriptor

    from callgate.identity.principal import Principal

ROLES: Final = {
    role_pb2.ROLE_VIEWER: Role.VIEWER,
    role_pb2.ROLE_APPROVER: Role.APPROVER,
    role_pb2.ROLE_POLICY_MANAGER: Role.POLICY_MANAGER,
    role_pb2.ROLE_ADMIN: Role.ADMIN,
}
"""The roles of the API."""


@dataclass(frozen=True)
class Rights:
    """The rights that a method takes."""

    role: Role
    area: str
    """The area to which machine tokens can be limited: `policies` for `PoliciesService`."""
    is_for_people_only: bool
    """True if a machine token is refused, whatever its roles are."""


def rights_of(method: MethodDescriptor) -> Rights:
    """The rights that a method takes.

    Raises:
        ValueError: Its description does not say the role.
    """
    options = method.GetOptions()
    extensions: Any = options.Extensions
    role = ROLES.get(extensions[role_pb2.role])
    if role is None:
        message = f"the method `{method.full_name}` has no option `(callgate.admin.v1.role)`: nobody could call it"
        raise ValueError(message)
    area = method.containing_service.name.removesuffix("Service").lower()
    return Rights(role, area, extensions[role_pb2.people_only])


def authorise(principal: Principal, rights: Rights) -> None:
    """Refuses who may not call a method.

    Raises:
        AdminError: PERMISSION_DENIED, with the reason.
    """
    if rights.is_for_people_only and principal.person is None:
        raise _denied("this takes a person; a machine token is refused, whatever its roles are", "PEOPLE_ONLY")
    if not principal.may_use(rights.area):
        raise _denied(f"the token is not for the area `{rights.area}`", "SCOPE")
    if not principal.may(rights.role):
        raise _denied(f"this takes the role `{rights.role.value}`", "ROLE")


def _denied(message: str, reason: str) -> AdminError:
    return AdminError(grpc.StatusCode.PERMISSION_DENIED, message, reason=reason)
