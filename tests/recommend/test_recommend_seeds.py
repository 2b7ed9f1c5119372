"""The recommended policies of five tools, which the contract has as examples."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from callgate import Engine
from callgate.config.document import read_document
from callgate.workbench.recommend import Format, recommend
from support.recommend import canonical, catalogue_of, policy_of, tool

if TYPE_CHECKING:
    from callgate.workbench.catalogue import Tool

SEEDS = Path(__file__).resolve().parents[1] / "cases" / "seeds"
FACTS = {
    "AWS MCP Server": tool("create-ami", "Write", risk="medium", description="Create an AMI"),
    "awslabs.ecs-mcp-server": tool("create_access_key", "Write", risk="medium"),
    "Amazon ECS MCP Server": tool("stream_group_create", "Write", risk="medium", description="Create consumer group"),
    "michael-abdo/tmux-claude-mcp-server": tool(
        "vm_create_image", "Execute", risk="high", description="Create an AMI from a VM instance"
    ),
    "@awslabs/mcp": tool("update_image_set_metadata", "Write", risk="medium"),
}


def test_every_seed_is_here() -> None:
    names = {path.name.removesuffix(".policy.json") for path in SEEDS.iterdir()}
    assert names == {of.name for of in FACTS.values()}


@pytest.mark.parametrize("form", Format)
@pytest.mark.parametrize(("server", "of"), FACTS.items(), ids=lambda value: value if isinstance(value, str) else "")
def test_seeds(server: str, of: Tool, form: Format) -> None:
    (recommended,) = recommend(catalogue_of(of, server=server))
    path = SEEDS / f"{of.name}.policy.json"
    assert canonical(policy_of(recommended, form)) == canonical(read_document(path).data)
    versions = [Engine.from_dict(recommended.document()), Engine.from_json(path.read_bytes())]
    assert len({engine.policies[0].version for engine in versions}) == 1
