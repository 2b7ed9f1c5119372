"""The methods of the admin API by name. A face looks a method up here and runs it; it decides nothing itself."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeAlias, cast

import grpc
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from callgate.admin.calls.authorise import Rights, authorise, rights_of
from callgate.admin.calls.call import Call, CallObserver, CallReport, no_call_observer
from callgate.admin.calls.errors import AdminError, admin_error
from callgate.admin.calls.fields import check_fields
from callgate.admin.calls.open_streams import OpenStreams
from callgate.errors import CallgateError
from callgate.identity.principal import Principal

if TYPE_CHECKING:
    from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor

_READING: Final = ("Get", "List", "Watch", "Tail", "Diff", "Validate", "DryRun")
"""The first words of methods that change nothing."""

Method: TypeAlias = Callable[[Principal, Any, Call], "Message | Iterator[Message]"]
"""A method: the caller, the request and the circumstances of the call; the answer, or the messages of a stream."""

Report: TypeAlias = Callable[[str, Exception], None]
"""Takes the name of a method and an error that nobody expected."""


class Service(Protocol):
    """A service: a description, and a method in `snake_case` for each of it."""

    DESCRIPTOR: ServiceDescriptor


@dataclass(frozen=True)
class RegisteredMethod:
    """A method that faces may run."""

    name: str
    """Its full name: `callgate.admin.v1.PoliciesService/GetPolicy`."""
    descriptor: MethodDescriptor
    request_type: type[Message]
    answer_type: type[Message]
    rights: Rights
    _method: Method
    _report: Report
    _observe: CallObserver

    @property
    def is_change(self) -> bool:
        """True if it changes something."""
        return not self.descriptor.name.startswith(_READING)

    @property
    def is_stream(self) -> bool:
        """True if the answer is a stream of messages."""
        return self.descriptor.server_streaming

    def run(self, principal: Principal, request: Message, call: Call) -> Message:
        """Answers one call.

        Raises:
            AdminError: It cannot, with the status and the reason. There is no other error.
        """
        began_ns, code = time.time_ns(), grpc.StatusCode.OK
        try:
            self._admit(principal, request, call)
            answer = self._method(principal, request, call)
        except Exception as error:  # noqa: BLE001  a face gets one kind of errors
            refused = self._error(error)
            code = refused.code
            raise refused from None
        finally:
            if self.is_change:
                report = CallReport(self.name, principal.name, call.source, began_ns, time.time_ns(), code.name)
                self._observe(report)
        return cast("Message", answer)

    def stream(self, principal: Principal, request: Message, call: Call) -> Iterator[Message]:
        """Answers one call of a stream, until `call.ended` is set.

        Raises:
            AdminError: As of `run`, also while it goes on.
        """
        try:
            self._admit(principal, request, call)
            yield from cast("Iterator[Message]", self._method(principal, request, call))
        except Exception as error:  # noqa: BLE001  as above
            raise self._error(error) from None

    def _admit(self, principal: Principal, request: Message, call: Call) -> None:
        # First, so that nobody learns anything by faults of requests.
        authorise(principal, self.rights)
        check_fields(request)
        if call.is_late():
            raise AdminError(grpc.StatusCode.DEADLINE_EXCEEDED, "the deadline is over; nothing was done")

    def _error(self, error: Exception) -> AdminError:
        if not isinstance(error, CallgateError):
            self._report(self.name, error)
        return admin_error(error)


class Registry:
    """The methods of all services."""

    def __init__(self, report: Report = lambda _name, _error: None, observe: CallObserver = no_call_observer) -> None:
        """Begins without methods; `observe` takes reports of calls that may have changed something."""
        self._methods: dict[str, RegisteredMethod] = {}
        self._report = report
        self._observe = observe
        self.open_streams = OpenStreams()
        """The streams that faces have open."""

    @property
    def methods(self) -> Mapping[str, RegisteredMethod]:
        """The methods by full name."""
        return self._methods

    def add(self, service: Service) -> None:
        """Adds all methods that a service's description has.

        Raises:
            ValueError: A method does not say who may call it.
            AttributeError: The service lacks a method of its description.
        """
        for descriptor in service.DESCRIPTOR.methods:
            name = f"{service.DESCRIPTOR.full_name}/{descriptor.name}"
            self._methods[name] = RegisteredMethod(
                name,
                descriptor,
                GetMessageClass(descriptor.input_type),
                GetMessageClass(descriptor.output_type),
                rights_of(descriptor),
                getattr(service, _snake_case(descriptor.name)),
                self._report,
                self._observe,
            )


def _snake_case(name: str) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name).removeprefix("_")
