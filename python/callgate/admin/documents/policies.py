"""The faults and warnings of a policy document, found by the engine's own reader, and decisions by it on trial."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from contextlib import contextmanager
from threading import Lock
from typing import TYPE_CHECKING, Final

import grpc

from callgate._callgate import Engine
from callgate._proto.callgate.admin.v1 import policies_pb2 as pb
from callgate.admin.calls.errors import AdminError, Violation, invalid
from callgate.config.check import ineffective, of_policy
from callgate.config.engine_form import engine_form
from callgate.config.faults import Fault
from callgate.config.policies import faults_in, file_name, policy_document, read_catalogue, too_few_approvers
from callgate.errors import CallgateError, PolicyError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

LARGEST_BYTES: Final = 1 << 20
"""Largest policy that the API takes."""

_TURN_S: Final = 10.0
"""Longest wait for the check of another policy."""

_DIGESTS: Final = 1_024
_TRIAL_COUNTERS: Final = 10_000


_turn: Final = Lock()
"""Held while a policy is checked, whose regular expressions may take hundreds of megabytes."""


@contextmanager
def checking() -> Iterator[None]:
    """One check of a policy at a time, over all callers.

    Raises:
        AdminError: RESOURCE_EXHAUSTED, if another one takes too long.
    """
    if not _turn.acquire(timeout=_TURN_S):
        message = "other policies are being checked; try again"
        raise AdminError(grpc.StatusCode.RESOURCE_EXHAUSTED, message, reason="CHECKING")
    try:
        yield
    finally:
        _turn.release()


def faults_of(document: str, catalogue: Path | None) -> list[Fault]:
    """Every fault of a document, in its order; those that only show beside the catalogue if it has no others.

    Raises:
        AdminError: INVALID_ARGUMENT; it is too large.
    """
    size = len(document.encode("utf-8", "replace"))
    if size > LARGEST_BYTES:
        raise invalid("document", f"expected at most {LARGEST_BYTES} bytes, got {size}")
    if faults := faults_in(file_name("policy", document), document.encode()):
        return faults
    try:
        trial_engine("policy", document, catalogue, ())
    except PolicyError as error:
        return [Fault(error.message, error.file, error.line, error.column)]
    return []


def check_policy(document: str, catalogue: Path | None) -> None:
    """Refuses a document that the engine would not take.

    Raises:
        AdminError: INVALID_ARGUMENT, with every fault.
    """
    faults = faults_of(document, catalogue)
    if faults:
        first, more = faults[0], len(faults) - 1
        text = f"the policy has a fault: {first.line}:{first.column}: {first.message}" + (
            f" (and {more} more)" if more else ""
        )
        violations = [Violation("document", f"{one.line}:{one.column}: {one.message}") for one in faults]
        raise AdminError(grpc.StatusCode.INVALID_ARGUMENT, text, reason="POLICY_FAULTS", violations=violations)


def warnings_of(
    document: str, catalogue: Path | None, people: Sequence[frozenset[str]] | None, *, are_all_known: bool = True
) -> list[Fault]:
    """Warnings about a document without faults.

    Args:
        document: The document.
        catalogue: The file of the catalogue.
        people: The groups of each approver; None without people.
        are_all_known: False if people also log in at issuers, who alone know how many there are.
    """
    name, content = file_name("policy", document), document.encode()
    found = [*ineffective([(name, content)])]
    found += of_policy(name, content, None if catalogue is None else read_catalogue(catalogue), None)
    policy = policy_document(name, content)
    if policy is not None and are_all_known:
        found += too_few_approvers(policy, people)
    return found


def message_of(fault: Fault) -> pb.PolicyFault:
    """The message of a fault or a warning."""
    return pb.PolicyFault(line=fault.line, column=fault.column, message=fault.message)


def trial_engine(name: str, document: str, catalogue: Path | None, servers: Iterable[str]) -> Engine:
    """An engine with this policy alone for these servers, whose counters are its own and begin empty.

    Raises:
        PolicyError: The document has a fault.
        InvalidConfigError: It is one of Intercept's that cannot be converted.
    """
    form = engine_form(file_name(name, document), document.encode())
    try:
        return Engine.from_config(
            policies={name: (form.file, form.content)},
            servers=dict.fromkeys(servers or ("srv",), name),
            catalogue=catalogue,
            counters="memory",
            counter_capacity=_TRIAL_COUNTERS,
            approvals=None,
        )
    except PolicyError as error:
        raise form.placed(error) if error.file == form.file else error from None


class Digests:
    """The digests by which decisions name policies, remembered by the SHA-256 of the document."""

    def __init__(self) -> None:
        """Begins empty."""
        self._known: OrderedDict[bytes, str] = OrderedDict()
        self._lock = Lock()

    def of(self, document: str) -> str:
        """The first digits of the SHA-256 of the canonical document; empty if it has a fault."""
        key = hashlib.sha256(document.encode("utf-8", "replace")).digest()
        with self._lock:
            if key in self._known:
                self._known.move_to_end(key)
                return self._known[key]
        try:
            [policy] = trial_engine("policy", document, None, ()).policies
            digest = policy.version
        except CallgateError:
            digest = ""
        with self._lock:
            self._known[key] = digest
            if len(self._known) > _DIGESTS:
                self._known.popitem(last=False)
        return digest
