"""The matrix of scenarios, servers and versions of the protocol."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from support.gateway import scenarios
from support.gateway.clients import MODERN
from support.gateway.facts import SERVERS, Facts

if TYPE_CHECKING:
    from collections.abc import Callable

    from _pytest.mark import ParameterSet

    from support.gateway.scenarios import Scenario

HANDSHAKE: dict[str, tuple[Scenario, Callable[[Facts], object]]] = {
    "lists": (scenarios.lists, lambda facts: facts.pages),
    "calls": (scenarios.calls, lambda facts: facts.works),
    "ping": (scenarios.ping, lambda facts: facts.works),
    "progress": (scenarios.progress, lambda facts: facts.progress),
    "streamed": (scenarios.streamed, lambda facts: facts.gates),
    "large": (scenarios.large, lambda facts: facts.large),
    "resources": (scenarios.resources, lambda facts: facts.resource),
    "prompts": (scenarios.prompts, lambda facts: facts.prompt),
    "completion": (scenarios.completion, lambda facts: facts.completion),
    "logging": (scenarios.logging, lambda facts: facts.logs),
    "sampling": (scenarios.sampling, lambda facts: facts.sessions and facts.samples),
    "elicitation": (scenarios.elicitation, lambda facts: facts.sessions and facts.elicits),
    "cancellation": (scenarios.cancellation, lambda facts: facts.sessions and facts.gates),
    "pushed": (scenarios.pushed, lambda facts: facts.sessions and facts.changes),
    "subscribed": (scenarios.subscribed, lambda facts: facts.subscribes),
    "levels": (scenarios.levels, lambda facts: facts.levels),
    "tasks": (scenarios.tasks, lambda facts: facts.tasks),
    "resumption": (scenarios.resumption, lambda facts: facts.resumes and facts.gates),
    "broken off": (scenarios.broken_off, lambda facts: facts.resumes and facts.gates),
    "ended": (scenarios.ended, lambda facts: facts.sessions),
    "foreign": (scenarios.foreign, lambda facts: facts.sessions),
}
"""Scenarios of the versions with a handshake, and the facts of a server that each needs."""
SINCE = {"resumption": "2025-11-25", "tasks": "2025-11-25"}
"""The first version with the subject of a scenario."""

MODERN_SCENARIOS: dict[str, tuple[Scenario, Callable[[Facts], object]]] = {
    "discovery": (scenarios.discovery, lambda facts: facts.works),
    "lists": HANDSHAKE["lists"],
    "calls": HANDSHAKE["calls"],
    "progress": HANDSHAKE["progress"],
    "streamed": HANDSHAKE["streamed"],
    "large": HANDSHAKE["large"],
    "resources": HANDSHAKE["resources"],
    "prompts": HANDSHAKE["prompts"],
    "completion": HANDSHAKE["completion"],
    "logging": HANDSHAKE["logging"],
    "sampling": (scenarios.sampling, lambda facts: facts.samples),
    "elicitation": (scenarios.elicitation, lambda facts: facts.elicits),
    "cancellation": (scenarios.cancellation, lambda facts: facts.gates),
    "listening": (scenarios.listening, lambda facts: facts.changes),
    "mirrored": (scenarios.mirrored, lambda facts: facts.gates),
}
"""The same of 2026-07-28."""


def cases() -> list[ParameterSet]:
    """Every scenario with every server that has what it needs: `server`, `version`, `scenario`."""
    found = []
    for server, kind in SERVERS.items():
        for version in kind.versions:
            for name, (scenario, needs) in (MODERN_SCENARIOS if version == MODERN else HANDSHAKE).items():
                if needs(kind.facts) and version >= SINCE.get(name, version):
                    found.append(pytest.param(server, version, scenario, id=f"{server}-{version}-{name}"))
    return found
