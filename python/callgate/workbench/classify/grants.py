"""The tools that grants may call, by their policies."""

from __future__ import annotations

from typing import TYPE_CHECKING

from callgate.config.bundle import read_bundle
from callgate.config.server_files import server_of
from callgate.workbench.classify.leaks import Grant
from callgate.workbench.rules import parse_policy, read_policy

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from callgate.workbench.catalogue import Catalogue
    from callgate.workbench.rules import Policy


def every_tool(catalogue: Catalogue) -> Grant:
    """A caller that may call every tool, which stands for a catalogue without policies."""
    return Grant("(every tool)", tuple((server, tool.name) for server, tool in catalogue.tools()))


def grant_of_policy(catalogue: Catalogue, path: Path) -> Grant:
    """The tools of the catalogue that a policy admits, on the server of the file's name or, failing that, on all."""
    policy = read_policy(path)
    named = server_of(path.stem, catalogue.servers)
    servers = [named] if named in catalogue.servers else list(catalogue.servers)
    return Grant(policy.name, tuple(admitted(catalogue, policy, servers)))


def grants_of_config(catalogue: Catalogue, path: Path) -> list[Grant]:
    """The tools that each grant of a configuration may call; without grants, those of each server's own policy.

    Raises:
        ConfigError: A file cannot be read.
        InvalidConfigError: Something is wrong with the configuration or a policy.
    """
    bundle = read_bundle(path)
    policies = {key: parse_policy(name, content) for key, (name, content) in bundle.policies.items()}
    if bundle.grants is None:
        places = [(f"(any caller of {name})", {name: server.policy}) for name, server in bundle.config.servers.items()]
    else:
        places = [(one.grant.id, dict(one.grant.places())) for one in bundle.grants if not one.grant.revoked]
    return [
        Grant(
            name,
            tuple(
                place
                for server, policy in servers.items()
                if policy is not None and policy in policies
                for place in admitted(catalogue, policies[policy], [server])
            ),
        )
        for name, servers in places
    ]


def admitted(catalogue: Catalogue, policy: Policy, servers: list[str]) -> Iterator[tuple[str, str]]:
    """The tools that a policy does not always deny; calls that need an approval are among them."""
    for server, tool in catalogue.tools():
        if server not in servers or policy.is_hidden(tool.name, tool.category):
            continue
        entries = policy.applying(tool.name, tool.category)
        if not entries and policy.default == "deny":
            continue
        if not any(entry.action == "deny" and entry.mode == "enforce" for entry in entries):
            yield server, tool.name
