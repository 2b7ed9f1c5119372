"""The start of a sidecar, and changes while it runs."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from callgate._callgate import ApprovalQueue, Engine, ManagedGrants, Server
from callgate.config.bundle import Bundle, read_bundle
from callgate.config.check import check
from callgate.config.engine_form import engine_form, engine_path
from callgate.config.faults import Fault, InvalidConfigError
from callgate.config.files import Files
from callgate.config.folder import documents_in
from callgate.config.freezes import freezes_file
from callgate.config.hosts import served_hosts
from callgate.config.managed import ManagedDocument, ManagedDocuments, is_managed, merged
from callgate.config.model import Config
from callgate.config.policies import (
    policy_files,
    with_every_fault,
)
from callgate.config.shared_place import parse_shared
from callgate.config.state import counters_place, make_counters_place
from callgate.config.units import to_ms
from callgate.control.port.certificate import admin_certificate
from callgate.control.restart import refused_changes
from callgate.control.shared_counters import shared_counters
from callgate.errors import CallgateError, PolicyError
from callgate.text import quoted

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from callgate.config.document import KeyPath
    from callgate.config.load import Option
    from callgate.config.shared_place import SharedPlace


@dataclass(frozen=True)
class Source:
    """The source of a sidecar's configuration: a configuration file, or only a policy or a folder of policies."""

    config: Path | None
    policy: Path | None
    options: Mapping[KeyPath, Option] = field(default_factory=dict)
    pins: Path | None = None
    """A folder for pins if the state folder is the default one: a start that keeps nothing must not write there."""
    managed: ManagedDocuments = field(default_factory=ManagedDocuments)
    """The documents of the store."""

    def read(self, files: Files) -> Plan:
        """Reads and checks everything anew; records the files in `files`, even on failure.

        Raises:
            ConfigError: The configuration cannot be served, with the reason.
        """
        if self.policy is not None:
            files.add(self.policy)
            policy_files(self.policy)
        bundle = read_bundle(self.config, self.options, files)
        if bundle.loaded.origin(("state",)) == "default":
            bundle = replace(bundle, pins=self.pins)
        check(bundle, policy=self.policy)
        return Plan(bundle, self.policy, keyed=bundle.key is not None).with_documents(self.managed.in_force)


@dataclass(frozen=True)
class Plan:
    """A validated configuration that can be served."""

    bundle: Bundle
    """The configuration in files."""
    policy: Path | None = None
    keyed: bool = True
    """True if the running server was started with a key of token hashes."""
    managed: Bundle | None = None
    """The same with the documents of the store; None if there are none."""
    documents: tuple[ManagedDocument, ...] = ()
    """These documents."""

    def with_documents(self, documents: Sequence[ManagedDocument]) -> Plan:
        """The same files with these documents of the store.

        Raises:
            DocumentsError: They cannot be in force together.
        """
        managed = merged(self.bundle, documents) if documents else None
        return replace(self, managed=managed, documents=tuple(documents))

    def refusal(self, document: ManagedDocument) -> str | None:
        """The reason for which a policy or server could not be served beside those in force; None if it could."""
        if self.policy is not None:
            return None
        # Grants name policies and servers, and not the other way round; there may be a million of them.
        files = self.bundle if self.bundle.grants is None else replace(self.bundle, grants=())
        others = [one for one in self.documents if one.key != document.key]
        try:
            try_out(replace(self, bundle=files).with_documents([*others, document]))
        except CallgateError as error:
            return str(error)
        return None

    @property
    def in_force(self) -> Bundle:
        """The configuration in files and in the store."""
        return self.bundle if self.managed is None else self.managed

    @property
    def config(self) -> Config:
        """The values of the configuration, with the servers of the store."""
        return self.in_force.config

    @property
    def counters_place(self) -> str:
        """The place of the counters: ``memory`` or ``file:PATH``."""
        return counters_place(self.config.counters.store, self.config.state)

    @property
    def shared_place(self) -> SharedPlace | None:
        """The place of the counters that other callgates share; None if there is none."""
        shared = self.config.counters.shared
        return None if shared is None else parse_shared(shared.url)

    def servers(self) -> list[str]:
        """All servers that are known."""
        if self.policy is not None and self.policy.is_dir():
            return [file.stem for file in documents_in(self.policy)]
        return list(self.config.servers)

    def engine(
        self,
        *,
        on_trial: bool = False,
        counters: str | None = None,
        share_counters: bool = False,
        approvals: ApprovalQueue | None = None,
    ) -> Engine:
        """A new engine; on trial it counts in memory, and touches neither the counters of others nor the state folder.

        Args:
            on_trial: No call depends on the engine: it is only built, or asked about a call that nobody makes.
            counters: The place of the counters, ``memory`` or ``file:PATH``; None for that of the configuration.
            approvals: The queue of questions about calls that need a person's approval, if the engine has no server.
            share_counters: Share counters in a file with other processes that do the same.

        Raises:
            CallgateError: A policy, a grant or the catalogue has a fault.
        """
        config = self.config
        if on_trial:
            counters = "memory"
        elif counters is None:
            counters = make_counters_place(config.counters.store, config.state)
        sizes: dict[str, Any] = {
            "counter_capacity": config.counters.capacity,
            "counters_per_grant": config.counters.per_grant,
            "counters": counters,
            "share_counters": share_counters,
            "approvals": approvals,
            "flush_interval_ms": to_ms(config.counters.flush_interval),
            "reservation_ttl_ms": to_ms(config.reservations.ttl),
            "reservations_per_grant": config.reservations.per_grant,
            "reservations_per_pep": config.reservations.per_pep,
        }
        if not on_trial and (shared := shared_counters(self.in_force)) is not None:
            sizes["shared"] = shared
        with self._every_fault():
            if self.policy is not None:
                with engine_path(self.policy) as path:
                    return Engine.from_file(path, config.catalogue, **sizes)
            return Engine.from_config(**self.in_force.engine_keywords(), **sizes)

    def server(self, engine: Engine, approvals: ApprovalQueue | None = None) -> Server:
        """A server for an engine, not yet started; it asks about calls that need a person's approval in this queue.

        Raises:
            ConfigError: A certificate or a PEP has a fault.
        """
        config = self.config
        return Server(
            engine,
            config.listen,
            config.socket,
            config.workers,
            freeze_file=freezes_file(config.state),
            approvals=approvals,
            grace_ms=to_ms(config.grace),
            allowed_hosts=served_hosts(config),
            peps=self.in_force.peps(),
            pep_key=self.in_force.key,
            tls=self.in_force.tls,
            proxies=config.proxies.server_keywords(),
            gateway=self.in_force.gateway(),
            audit=None if config.audit is None else config.audit.server_keywords(),
            **config.limits.server_keywords(),
        )

    def replace(self, before: Plan, engine: Engine, server: Server) -> None:
        """Replaces the plan `before` by this one. On failure, everything stays as it was.

        Raises:
            CallgateError: A part has a fault, or cannot change while the sidecar runs.
        """
        faults = list(refused_changes(self.in_force, before.in_force, is_keyed=before.keyed))
        if self.bundle is not before.bundle:
            faults += _in_store(self.bundle, ManagedGrants(engine))
        if faults:
            raise InvalidConfigError(faults)
        # It is not started; this also checks the keys that are read only at the start.
        self.server(engine).check()
        admin_certificate(self.bundle)
        changed: dict[str, Any] = {}
        if self.in_force.tls != before.in_force.tls:
            changed["tls"] = self.in_force.tls
        if self.in_force.peps() != before.in_force.peps():
            changed["peps"] = self.in_force.peps()
        if self.config.proxies != before.config.proxies:
            changed["proxies"] = self.config.proxies.server_keywords()
        if self.in_force.gateway() != before.in_force.gateway():
            changed["gateway"] = self.in_force.gateway()
        with self._every_fault():
            if self.policy is not None:
                with engine_path(self.policy) as path:
                    server.reload(path, self.config.catalogue, **changed)
            else:
                server.reload(**self.in_force.engine_keywords(), **changed)

    @contextmanager
    def _every_fault(self) -> Iterator[None]:
        """Replaces the first fault of the policies and the catalogue by all of them."""
        try:
            yield
        except PolicyError as error:
            policies = self.in_force.policies.values()
            named = [Path(file) for file, _ in policies if not is_managed(file)]
            files = named if self.policy is None else policy_files(self.policy)
            # Of the store only the one at fault: there may be thousands.
            stored = [one for one in policies if is_managed(one[0]) and one[0] == error.file]
            at_fault = next((engine_form(*one).placed(error) for one in policies if one[0] == error.file), error)
            raise with_every_fault(at_fault, files, self.config.catalogue, stored) from None


def queue_of(bundle: Bundle) -> ApprovalQueue:
    """The queue of a new data plane, with the bounds of the configuration."""
    approvals = bundle.config.approvals
    return ApprovalQueue(deadline_ms=to_ms(approvals.deadline), max_arguments_bytes=approvals.max_arguments_bytes)


def trial(bundle: Bundle) -> None:
    """Builds all parts and drops them. Opens and creates nothing, because a sidecar may be serving them now.

    Raises:
        CallgateError: A part has a fault.
    """
    try_out(Plan(bundle))


def try_out(plan: Plan) -> None:
    """Works like `trial`, on a plan.

    Raises:
        CallgateError: A part has a fault.
    """
    plan.server(plan.engine(on_trial=True)).check()
    admin_certificate(plan.bundle)


def _in_store(bundle: Bundle, managed: ManagedGrants) -> Iterator[Fault]:
    """Faults of grants in files whose id a grant of the store has already."""
    grants = bundle.grants or ()
    taken = set(managed.among([placed.grant.id for placed in grants]))
    for placed in grants:
        if placed.grant.id in taken:
            message = f"the grant {quoted(placed.grant.id)} stands here and in the store; take it out of one of them"
            yield placed.fault((*placed.path, "id"), message)
