"""A grant of the chart's example policies, and the Secrets that it takes."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from support.kubernetes import chart
from support.program import run

if TYPE_CHECKING:
    from pathlib import Path

KEY = "5a" * 32


@dataclass(frozen=True)
class Grant:
    """The token of the agent, and the Secrets that callgate knows it by."""

    token: str
    secrets: dict[str, dict[str, str]]


def new_grant(folder: Path) -> Grant:
    """Made as docs/helm.md says, for the policy `example`, which every shape has."""
    config = folder / "callgate.json"
    config.write_text(json.dumps({"servers": {"srv": {}}, "policies": {"example": "example.yaml"}, "grants": []}))
    (folder / "example.yaml").write_text(chart.maps("service")["callgate-policies"]["example.yaml"])
    words = ("--config", config, "--id", "agent", "--server", "srv", "--policy", "example")
    made = run("grants", "create", *words, variables={"CALLGATE_GRANT_KEY": KEY})
    assert made.code == 0, made
    token, *_, line = made.out.splitlines()
    secrets = {
        "callgate-grant-key": {"grant.key": KEY},
        "callgate-grants": {"grants.yaml": f"grants:\n{line}\n"},
        "agent-token": {"token": token},
    }
    return Grant(token, secrets)
