"""Warnings about a configuration that can be served, and the tools that it names."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from callgate._callgate import pins_read
from callgate.config.check import of_policy, of_sharing, policy_warnings, warnings
from callgate.config.document import read_bytes
from callgate.config.folder import documents_in
from callgate.config.policies import approvals, named_tools, policy_document, read_catalogue, too_few_approvers
from callgate.errors import CallgateError, ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from callgate.config.faults import Fault
    from callgate.control.sidecar import Plan


def warnings_of(plan: Plan) -> list[str]:
    """Warnings about a valid configuration."""
    found = warnings(plan.in_force, quick=plan.policy is not None)
    if plan.in_force.pins is not None and plan.in_force.upstreams:
        found.append(
            f"with --counters memory, accepted tools are kept in `{plan.in_force.pins}` until callgate ends; "
            "--state keeps them"
        )
    return found if plan.policy is None else found + policy_warnings_of(plan)


def policy_warnings_of(plan: Plan) -> list[str]:
    """Warnings about the contents of the policies."""
    if plan.policy is None:
        return list(map(str, policy_warnings(plan.in_force)))
    read = _policies(plan)
    sharing = of_sharing(read, is_shared=plan.config.counters.shared is not None)
    return list(map(str, (*sharing, *_of_tools(plan, read))))


def approval_warnings_of(plan: Plan) -> list[str]:
    """Warnings about policies that ask for approvals, for a sidecar without a store."""
    documents = (policy_document(file, content) for file, content in _policies(plan))
    return [str(fault) for document in documents if document is not None for fault in approvals(document)]


def approver_warnings_of(plan: Plan, people: Sequence[frozenset[str]] | None) -> list[str]:
    """Warnings about policies that ask more people than exist; `people` as `too_few_approvers` takes them.

    None if people also log in at issuers, who alone know how many there are.
    """
    if plan.config.admin.login is not None:
        return []
    documents = (policy_document(file, content) for file, content in _policies(plan))
    known = (document for document in documents if document is not None)
    return [str(fault) for document in known for fault in too_few_approvers(document, people)]


def known_tools(plan: Plan) -> set[str]:
    """The tools that policies name without a pattern, and those of the catalogue and of accepted lists."""
    documents = (policy_document(file, content) for file, content in _policies(plan))
    known = {tool for document in documents if document is not None for tool in named_tools(document)}
    catalogue = None if plan.config.catalogue is None else read_catalogue(plan.config.catalogue)
    if catalogue is not None:
        known |= catalogue.tools(None) or set()
    # A file of pins that cannot be read is reported by the calls that need it.
    with suppress(CallgateError):
        servers = pins_read(plan.in_force.pins_folder)
        known |= {tool["tool"] for server in servers for tool in server["tools"]}
    return known


def _policies(plan: Plan) -> list[tuple[str, bytes]]:
    """The name and the contents of each file of policies."""
    if plan.policy is None:
        return list(plan.in_force.policies.values())
    # If a file is gone by now, the engine reports it.
    with suppress(ConfigError):
        files = documents_in(plan.policy) if plan.policy.is_dir() else [plan.policy]
        return [(str(file), read_bytes(file)) for file in files]
    return []


def _of_tools(plan: Plan, policies: list[tuple[str, bytes]]) -> Iterator[Fault]:
    """Warnings about policies without a configuration: in a folder, the stem of a file is its server."""
    is_folder = plan.policy is not None and plan.policy.is_dir()
    catalogue = None if plan.config.catalogue is None else read_catalogue(plan.config.catalogue)
    if catalogue is not None and is_folder:
        yield from catalogue.unconfigured([Path(file).stem for file, _ in policies])
    for file, content in policies:
        yield from of_policy(file, content, catalogue, {Path(file).stem} if is_folder else None)
