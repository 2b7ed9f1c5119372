"""The commands that follow on one that has written a policy or a configuration."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Final

from callgate.text import quoted, visible
from callgate.workbench.recommend import DEFAULT_SERVER, is_started, upstream_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from callgate.workbench.catalogue import CatalogueServer

_MOST: Final = 10
"""Servers that get a line of their own."""


def command(*words: str) -> str:
    """A command as a shell takes it, on one line."""
    return visible(shlex.join(["callgate", *words]))


def start_lines(source: Sequence[str], servers: Mapping[str, CatalogueServer], *, is_config: bool) -> Iterator[str]:
    """The commands that put callgate in front of servers, under the names that the policies are for.

    Args:
        source: The option that names the policy or the configuration, with its value.
        servers: The servers of the catalogue that have a policy.
        is_config: True for a configuration, which has the addresses itself.
    """
    programs = [name for name, server in servers.items() if is_started(server)]
    others = {name: upstream_of(name, server) for name, server in servers.items() if name not in programs}
    if others:
        given = {name: url for name, url in others.items() if url and "=" not in name and not is_config}
        upstreams = [word for name, url in given.items() for word in ("--upstream", f"{name}={url}")]
        yield f"start it: {command('serve', *source, *upstreams)}"
    for name in programs[:_MOST]:
        yield f"start it: {command('wrap', *source, '--server', name, '--')} COMMAND"
    if len(programs) > _MOST:
        yield f"and {len(programs) - _MOST:,} more servers that `callgate wrap` starts"
    unnamed = next((name for name, url in others.items() if not url and name != DEFAULT_SERVER), None)
    if unnamed is not None:
        yield naming(unnamed)


def naming(server: str) -> str:
    """The sentence about callers that talk to callgate themselves: they must name the server of the policy."""
    shown = visible(shlex.quote(server))
    return (
        f"callers name the server, as `callgate check --server {shown}` does: a call without a name is decided and "
        f"logged as one of {quoted(DEFAULT_SERVER)}"
    )
