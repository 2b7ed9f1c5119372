"""The policies under test: their engine, and their rules with places."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from callgate._callgate import Engine
from callgate.approvals.masking import MaskedPath, steps_of
from callgate.config.bundle import read_with_faults
from callgate.config.document import Positions, refuse_special
from callgate.config.engine_form import engine_form, engine_forms, engine_path
from callgate.config.faults import InvalidConfigError
from callgate.config.folder import documents_in
from callgate.config.load import Option
from callgate.config.server_files import by_server
from callgate.config.units import to_ms
from callgate.errors import ConfigError, PolicyError
from callgate.exact_json import read_json, write_json
from callgate.store.model import PENDING_IN_ALL, PENDING_PER_GRANT
from callgate.workbench.catalogue import Catalogue, parse_catalogue
from callgate.workbench.rules import Policy, parse_policy

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from callgate._callgate import ApprovalQueue
    from callgate.config.bundle import Bundle
    from callgate.config.document import Document, KeyPath
    from callgate.config.faults import Fault
    from callgate.config.files import Files

_NO_KEY: Final = "00" * 32
"""A key of token hashes: tests name grants by their ids, so that the sidecar's own key is not needed."""

_NOT_NEEDED: Final = frozenset({"admin", "audit", "peps", "store", "tls"})
"""Sections whose files a test does not need, such as certificates, which are not on the machine that runs it."""


@dataclass(frozen=True)
class Place:
    """A place in a file."""

    file: str
    line: int
    column: int

    def __str__(self) -> str:
        """``file:line:column``."""
        return f"{self.file}:{self.line}:{self.column}"


@dataclass(frozen=True)
class KnownPolicy:
    """A policy with the place of each of its rules."""

    policy: Policy
    version: str
    """The version that decisions name."""
    positions: Positions = field(repr=False)
    """The file that contains it."""
    at: KeyPath = ()
    """Its place in that file."""

    def place(self, path: KeyPath, *, of_key: bool = False) -> Place:
        """The place of a value of the policy."""
        return Place(self.positions.file, *self.positions.place((*self.at, *path), of_key=of_key))


@dataclass(frozen=True)
class ApprovalTerms:
    """The settings of a configuration that approvals depend on."""

    mask: tuple[MaskedPath, ...] = ()
    per_grant: int = PENDING_PER_GRANT
    in_all: int = PENDING_IN_ALL
    max_arguments_bytes: int = 64 << 10
    owners: Mapping[str, str] = field(default_factory=dict)
    """The names of the people to whom grants belong, by grant."""


@dataclass(frozen=True)
class PolicySet:
    """The policies that decide the calls of a test."""

    known: tuple[KnownPolicy, ...]
    catalogue: Catalogue | None
    build: Callable[[ApprovalQueue | None], Engine] = field(repr=False)
    """Makes an engine with new counters."""
    reload: Callable[[Engine], None] | None = field(default=None, repr=False)
    """Puts these policies into an engine in place of others; None for those of a configuration."""
    approvals: ApprovalTerms = ApprovalTerms()


@dataclass(frozen=True)
class CatalogueSource:
    """A catalogue, and the form in which engines take it."""

    catalogue: Catalogue | None = None
    argument: Path | dict[str, Any] | None = None


def read_catalogue_of(given: Path | dict[str, Any] | None, document: Document | None, files: Files) -> CatalogueSource:
    """The catalogue in a file, or at `catalogue` of a document.

    Raises:
        ConfigError: It cannot be read.
        InvalidConfigError: It has faults.
    """
    if given is None:
        return CatalogueSource()
    if isinstance(given, Path):
        return CatalogueSource(parse_catalogue(str(given), files.read(given)), given)
    content = write_json(given).encode()
    try:
        return CatalogueSource(parse_catalogue("catalogue.json", content), given)
    except InvalidConfigError as error:
        raise _placed(error, content, document, ("catalogue",)) from None


def read_policies(path: Path, catalogue: CatalogueSource, files: Files) -> PolicySet:
    """The policy in a file, or those of a folder, in which a file's stem names its server.

    Raises:
        ConfigError: A file cannot be read.
        InvalidConfigError: A policy has faults.
    """
    files.add(path)
    refuse_special(path)
    found = documents_in(path) if path.is_dir() else [path]
    if not found:
        message = f"the folder `{path}` has no policies"
        raise ConfigError(message)
    known: list[KnownPolicy] = []
    faults: list[Fault] = []
    for file in found:
        try:
            known.append(_known(str(file), files.read(file)))
        except InvalidConfigError as error:  # noqa: PERF203  each has its faults
            faults += error.faults
    if faults:
        raise InvalidConfigError(faults)
    argument = catalogue.argument
    servers = {}
    if path.is_dir() and catalogue.catalogue is not None:
        servers = by_server(found, catalogue.catalogue.servers)
    if any(server != file.stem for server, file in servers.items()):
        return _named_otherwise(known, servers, catalogue)

    def compile_it() -> Engine:
        with engine_path(path) as converted:
            return Engine.from_file(converted, argument, counter_capacity=1, approvals=None)

    def reload(engine: Engine) -> None:
        with engine_path(path) as converted:
            engine.reload_file(converted, argument)

    return PolicySet(tuple(known), catalogue.catalogue, _once(compile_it), reload)


def _named_otherwise(known: list[KnownPolicy], servers: Mapping[str, Path], catalogue: CatalogueSource) -> PolicySet:
    """The policies of a folder in which a server has another name than its file, which the engine would take for it."""
    documents = [one.policy.document for one in known]
    forms = engine_forms((document.file, document.content) for document in documents)
    keywords: dict[str, Any] = {
        "policies": {form.file: (form.file, form.content) for form in forms},
        "servers": {server: str(file) for server, file in servers.items()},
        "catalogue": catalogue.argument,
    }
    return PolicySet(
        tuple(known),
        catalogue.catalogue,
        _once(lambda: Engine.from_config(**keywords, counter_capacity=1, approvals=None)),
        lambda engine: engine.reload_config(**keywords),
    )


def policy_in(document: Document, at: KeyPath, data: dict[str, Any], catalogue: CatalogueSource) -> PolicySet:
    """The policy that stands in a document.

    Raises:
        InvalidConfigError: It has faults.
    """
    content = write_json(data).encode()
    try:
        policy = parse_policy("policy.json", content)
    except InvalidConfigError as error:
        raise _placed(error, content, document, at) from None
    known = KnownPolicy(policy, _version("policy.json", content), document, at)
    exact, argument = read_json(content), catalogue.argument
    return PolicySet(
        (known,),
        catalogue.catalogue,
        _once(lambda: Engine.from_dict(exact, argument, counter_capacity=1, approvals=None)),
        lambda engine: engine.reload_dict(exact, argument),
    )


def read_configuration(path: Path, files: Files) -> PolicySet:
    """The policies of a configuration, with its servers, grants and catalogue.

    Certificates, tokens and the secrets of upstreams are not needed, so that they may be missing.

    Raises:
        ConfigError: A file cannot be read.
        InvalidConfigError: Something is wrong; all that was found.
    """
    bundle, found = read_with_faults(path, {("grant_key",): Option("the key of tests", _NO_KEY)}, files)
    if faults := [fault for fault in found if not _is_not_needed(fault)]:
        raise InvalidConfigError(faults)
    config, documents = bundle.config, bundle.policies.values()
    catalogue = None
    if config.catalogue is not None:
        catalogue = parse_catalogue(str(config.catalogue), files.read(config.catalogue))
    sizes: dict[str, Any] = {
        "counter_capacity": config.counters.capacity,
        "counters_per_grant": config.counters.per_grant,
        "reservation_ttl_ms": to_ms(config.reservations.ttl),
        "reservations_per_grant": config.reservations.per_grant,
        "reservations_per_pep": config.reservations.per_pep,
    }
    keywords = bundle.engine_keywords()
    owners = _owners(bundle)
    given = config.approvals
    approvals = ApprovalTerms(
        mask=tuple(MaskedPath(text, steps_of(text)) for text in given.mask),
        per_grant=given.pending_per_grant,
        in_all=given.pending,
        max_arguments_bytes=given.max_arguments_bytes,
        owners=owners,
    )
    policies = PolicySet(
        tuple(_known(file, content) for file, content in documents),
        catalogue,
        _once(lambda: Engine.from_config(**keywords, counter_capacity=1, approvals=None), sizes),
        approvals=approvals,
    )
    # Servers and grants that name what is not there are found now, not in the first test.
    try:
        policies.build(None)
    except PolicyError as error:
        raise ConfigError(str(error)) from None
    return policies


def _once(
    compile_it: Callable[[], Engine], sizes: Mapping[str, Any] = MappingProxyType({})
) -> Callable[[ApprovalQueue | None], Engine]:
    """Makes engines of policies that are compiled once, when the first one is needed."""
    compiled = lru_cache(maxsize=1)(compile_it)
    return lambda queue: compiled().with_new_counters(**sizes, approvals=queue)


def _known(file: str, content: bytes) -> KnownPolicy:
    """One policy with its rules."""
    policy = parse_policy(file, content)
    return KnownPolicy(policy, _version(file, engine_form(file, content).content), policy.document)


def _version(file: str, content: bytes) -> str:
    policies, servers = {"policy": (file, content)}, {"srv": "policy"}
    engine = Engine.from_config(policies=policies, servers=servers, counter_capacity=1, approvals=None)
    return engine.policies[0].version


def _owners(bundle: Bundle) -> dict[str, str]:
    return {
        placed.grant.id: placed.grant.owner.subject for placed in bundle.grants or () if placed.grant.owner is not None
    }


def _is_not_needed(fault: Fault) -> bool:
    path = fault.path or ()
    return bool(path) and (path[0] in _NOT_NEEDED or "upstream" in path[:3] or path[:2] == ("gateway", "oauth"))


def _placed(error: InvalidConfigError, content: bytes, document: Document | None, at: KeyPath) -> InvalidConfigError:
    """The faults of a document that stands inside another one, placed there."""
    if document is None:
        return error
    inner, faults = Positions("inner.json", content), []
    for fault in error.faults:
        path = inner.path_at(fault.line, fault.column)
        of_key = bool(path) and inner.place(path, of_key=True) == (fault.line, fault.column)
        faults.append(document.fault((*at, *path), fault.message, of_key=of_key))
    return InvalidConfigError(faults)
