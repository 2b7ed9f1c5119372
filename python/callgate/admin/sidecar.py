"""The running sidecar as the services of the admin API see it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from callgate._callgate import pins_accept, pins_read
from callgate.config.managed import ManagedDocument
from callgate.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from callgate._callgate import DecisionListener, Engine, Peek, Server
    from callgate.config.bundle import Bundle
    from callgate.store.documents import DocumentKind
    from callgate.store.targets import Target


class Sidecar(Protocol):
    """The running sidecar. Its methods may be called from every thread."""

    def catalogue(self) -> Path | None:
        """The file of the catalogue; None if there is none."""

    def grant_key(self) -> bytes | None:
        """The key of token hashes; None if there is none yet."""

    def unused_documents(self, kind: DocumentKind) -> str | None:
        """The reason for which documents of this kind have no effect in the store; None if they have."""

    def refusal(self, kind: DocumentKind, name: str, content: str) -> str | None:
        """The reason for which a document could not be served beside those in force; None if it could."""

    def takes_two(self, kind: DocumentKind) -> bool:
        """True if changes of documents of this kind take effect once another person has confirmed them."""

    def unknown_name(self, target: Target) -> str | None:
        """A warning about a name of a freeze that is unknown; None if all are known, or nobody can tell."""

    def status(self) -> dict[str, Any]:
        """The state of this replica, as `callgate status --json` prints it, without secrets."""

    def peek(
        self,
        *,
        grant: str,
        tool: str | None,
        args: str | None,
        server: str | None,
        session: str | None,
        labels: dict[str, str] | None,
    ) -> Peek:
        """Reads the remaining units of a grant.

        Raises:
            CallgateError: It cannot.
            ValueError: An argument is not valid.
        """

    def reset(self, names: Mapping[str, str]) -> dict[str, Any]:
        """Lets counts begin anew, as `Engine.reset` does.

        Raises:
            CallgateError: No limit was reset, and why.
        """

    def listen(self, *, grants: Sequence[str], tools: Sequence[str], outcomes: Sequence[str]) -> DecisionListener:
        """Follows decisions.

        Raises:
            ConfigError: There are too many listeners.
        """

    def pins(self, server: str | None) -> list[dict[str, Any]]:
        """The tools that were seen, as `pins_read` gives them.

        Raises:
            CallgateError: They cannot be read.
        """

    def accept_pin(self, server: str, tool: str, digest: str, *, keeps_others: bool) -> None:
        """Accepts a listed form of a tool in this replica.

        Raises:
            CallgateError: It cannot be accepted, and why.
        """


class Plan(Protocol):
    """The configuration in force: `control.sidecar.Plan`, which stands above this room."""

    @property
    def bundle(self) -> Bundle:
        """The configuration with the contents of its files."""

    @property
    def policy(self) -> Path | None:
        """The policy, or the folder of policies, of a sidecar without a configuration."""

    def refusal(self, document: ManagedDocument) -> str | None:
        """The reason for which a policy or server could not be served beside those in force; None if it could."""


@dataclass(frozen=True)
class RunningSidecar:
    """The sidecar of this process."""

    engine: Engine
    server: Server
    report: Callable[[], dict[str, Any]]
    """Gives the state."""
    plan: Callable[[], Plan]
    """Gives the configuration in force, which a reload replaces."""
    unknown: Callable[[Target], str | None]
    """Gives a warning about a name of a freeze."""

    def catalogue(self) -> Path | None:
        """The file of the catalogue; None if there is none."""
        return self.plan().bundle.config.catalogue

    def grant_key(self) -> bytes | None:
        """The key of token hashes; None if there is none yet."""
        return self.plan().bundle.key

    def unused_documents(self, kind: DocumentKind) -> str | None:
        """The reason for which documents of this kind have no effect in the store; None if they have."""
        plan = self.plan()
        if plan.policy is not None:
            return (
                f"this sidecar serves `--policy {plan.policy}` alone, and nothing of the store; start it with a "
                "configuration"
            )
        if kind.value == "grants" and plan.bundle.grants is None:
            return (
                "no grants are configured, so that callers name the grant that is charged; write `grants: []` in the "
                "configuration, after which a grant is needed to call"
            )
        return None

    def refusal(self, kind: DocumentKind, name: str, content: str) -> str | None:
        """The reason for which a document could not be served beside those in force; None if it could."""
        return self.plan().refusal(ManagedDocument(kind.value, name, 0, content))

    def takes_two(self, kind: DocumentKind) -> bool:
        """True if changes of documents of this kind take effect once another person has confirmed them."""
        return any(one.value == kind.value for one in self.plan().bundle.config.admin.four_eyes)

    def unknown_name(self, target: Target) -> str | None:
        """A warning about a name of a freeze that is unknown; None if all are known, or nobody can tell."""
        return self.unknown(target)

    def status(self) -> dict[str, Any]:
        """The state of this replica."""
        return self.report()

    def peek(
        self,
        *,
        grant: str,
        tool: str | None,
        args: str | None,
        server: str | None,
        session: str | None,
        labels: dict[str, str] | None,
    ) -> Peek:
        """Reads the remaining units of a grant; an operator may name any grant by its id."""
        return self.engine.peek(grant=grant, tool=tool, args=args, server=server, session=session, labels=labels)

    def reset(self, names: Mapping[str, str]) -> dict[str, Any]:
        """Lets counts begin anew."""
        return self.engine.reset(
            grant=names.get("grant"),
            policy=names.get("policy"),
            tool=names.get("tool"),
            counter=names.get("counter"),
        )

    def listen(self, *, grants: Sequence[str], tools: Sequence[str], outcomes: Sequence[str]) -> DecisionListener:
        """Follows decisions."""
        return self.server.listen(grants=grants, tools=tools, outcomes=outcomes)

    def pins(self, server: str | None) -> list[dict[str, Any]]:
        """The tools that were seen; none of a server that was not."""
        folder = self.plan().bundle.pins_folder
        if not folder.is_dir():
            return []
        try:
            return pins_read(folder, server)
        except ConfigError:
            # No list of this server was seen yet.
            return []

    def accept_pin(self, server: str, tool: str, digest: str, *, keeps_others: bool) -> None:
        """Accepts a listed form of a tool in this replica."""
        pins_accept(self.plan().bundle.pins_folder, server, [tool], digest, keeps_others)
