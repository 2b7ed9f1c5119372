"""Grants, servers and other sections out of documents: one reader for files, the store and the admin API."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from pydantic import ValidationError

from callgate.config import shape
from callgate.config.faults import Fault, InvalidConfigError
from callgate.config.fields import Section
from callgate.config.grants import Grant
from callgate.config.messages import message_of
from callgate.config.servers import Server
from callgate.errors import ConfigError
from callgate.text import quoted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from callgate.config.document import Document, KeyPath

_Section = TypeVar("_Section", bound=Section)


class Faulting(Protocol):
    """Creates a fault of the value at a path."""

    def __call__(self, path: KeyPath, message: str, *, of_key: bool = False) -> Fault:
        """The fault, placed at the value's origin."""


@dataclass(frozen=True)
class SectionFault:
    """A fault of a section, by its keys alone."""

    about: KeyPath
    """Leads to the faulty value; to its section if a key is missing or should not be there."""
    message: str
    at: KeyPath
    """Leads to the place of the fault in the document."""
    of_key: bool = False
    """True if the place is that of the key, not of its value."""

    def placed(self, fault: Faulting) -> Fault:
        """The fault with its place."""
        message = f"`{dotted(self.about)}`: {self.message}" if self.about else self.message
        return fault(self.at, message, of_key=self.of_key)


class SectionError(ConfigError):
    """Values are not valid as a section.

    Attributes:
        faults: All that was found.
    """

    def __init__(self, faults: Iterable[SectionFault]) -> None:
        """Takes one or more faults."""
        self.faults = tuple(faults)
        super().__init__("\n".join(one.message for one in self.faults))


def section_of(section: type[_Section], data: Mapping[str, Any]) -> _Section:
    """A section with these values.

    Raises:
        SectionError: They are not valid.
    """
    try:
        return section(**data)
    except ValidationError as error:
        raise SectionError(section_faults(error, shape.Shape(section=section))) from None


def grant_of(data: Mapping[str, Any], name: str) -> Grant:
    """The grant that is kept under an id.

    Raises:
        SectionError: It is not valid.
    """
    grant = section_of(Grant, data)
    if grant.id != name:
        message = f"expected the id {quoted(name)}, under which the store keeps it, got {quoted(grant.id)}"
        raise SectionError([SectionFault((), message, ("id",))])
    return grant


def server_of(data: Mapping[str, Any]) -> Server:
    """A server of the store.

    Raises:
        SectionError: It is not valid, or it names files of this machine.
    """
    server = section_of(Server, data)
    if server.upstream is not None and (server.upstream.ca is not None or server.upstream.headers):
        # Otherwise a person who may change servers could read every file and variable of the sidecar.
        message = "`ca` and `headers` read files and variables of this machine, so they stand in files alone"
        raise SectionError([SectionFault((), message, ("upstream",))])
    return server


def read_from(document: Document, read: Callable[[Mapping[str, Any]], _Section]) -> _Section:
    """The section that `read` finds in the values of a document.

    Raises:
        InvalidConfigError: It is not valid; all that was found, with the places.
    """
    try:
        return read(document.data)
    except SectionError as error:
        raise InvalidConfigError(in_order(one.placed(document.fault) for one in error.faults)) from None


def faults_of(error: ValidationError, fault: Faulting) -> list[Fault]:
    """The faults of a configuration, in document order; `fault` gives the place of each."""
    return in_order(one.placed(fault) for one in section_faults(error))


def section_faults(error: ValidationError, top: shape.Shape = shape.TOP) -> list[SectionFault]:
    """The faults that pydantic found, in the words of this project."""
    faults = []
    for detail in error.errors(include_url=False):
        path, of_key, is_missing = detail["loc"], detail["type"] == "extra_forbidden", detail["type"] == "missing"
        if path[-1:] == ("[key]",):
            path, of_key = path[:-1], True
        message = message_of(detail, shape.keys_at(path[:-1], top))
        about = path[:-1] if of_key or is_missing else path
        faults.append(SectionFault(about, message, path[:-1] if is_missing else path, of_key))
    return faults


def in_order(faults: Iterable[Fault]) -> list[Fault]:
    """Faults in the order of their files and places."""
    return sorted(faults, key=lambda fault: (fault.file or "", fault.line, fault.column))


def dotted(path: KeyPath) -> str:
    """A path in its usual notation: ``servers.aws.policy``, ``grants[0].id``."""
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f"{'.' if text else ''}{step}"
    return text
