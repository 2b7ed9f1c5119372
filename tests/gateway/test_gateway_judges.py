"""The recommended policies in front of the servers that really offer their tools, and what each SDK makes of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from support.gateway.clients import CLIENTS, PYTHON, TYPESCRIPT, Client, see
from support.gateway.running import TOKENS, gateway
from support.gateway.seeds import SEEDS, offering
from support.gateway.servers import sdk_server
from support.proxies.envoy import ROOT

CASES = ROOT / "tests" / "cases" / "seeds"
ANSWERS = {"sampling": "yes", "elicitation": {"action": "accept", "content": {"city": "Lisbon"}}}
LIST: dict[str, Any] = {"do": "list"}


@pytest.mark.parametrize("tool", SEEDS)
def test_a_recommended_policy_holds_at_the_real_server(tmp_path: Path, tool: str) -> None:
    policy = json.loads((CASES / f"{tool}.policy.json").read_text(encoding="utf-8"))
    [limit] = policy["tools"][tool]["limits"]
    seed = SEEDS[tool]
    call = {"do": "call", "name": tool, "arguments": seed.arguments}
    with (
        offering(tool) as offered,
        gateway(
            tmp_path, {"s": offered.url}, policy, grants={"alice": "s"}, gateway={"list": "allowed_only"}
        ) as running,
    ):
        steps = [LIST, *[call] * (limit["max"] + 1), {"do": "call", "name": "something_else"}]
        tools, *called, other = see(PYTHON, running.url("s"), steps, token=TOKENS["alice"]).did
        again, _ = see(TYPESCRIPT, running.url("s"), [call, LIST], token=TOKENS["alice"]).did
    assert tools == [tool], "of all that the server offers"
    assert seed.says in called[0]["text"]
    *passed, refused = called
    assert not [step for step in passed if "try again in" in step["text"]]
    for step in (refused, again):
        assert step["outcome"] == "refused"
        assert "try again in" in step["text"]
        assert step["meta"]["callgate/decision"]["rule"] == f"/tools/{tool}/limits/{limit['counter']}"
    assert other["outcome"] == "refused"
    assert other["meta"]["callgate/decision"]["rule"] == "(tool changed)", "no list of the server had it"
    assert len(offered.asked) == (limit["max"] if seed.asks else 0), "what was refused reached nobody"


@pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.name)
def test_each_sdk_goes_on_after_a_denial(tmp_path: Path, client: Client) -> None:
    policy = {
        "version": "1",
        "name": "example",
        "default": "allow",
        "hide": ["large"],
        "tools": {
            "add": {"deny_if": [{"conditions": [{"path": "args.a", "op": "gt", "value": 1}], "on_deny": "too many"}]}
        },
    }
    steps = [
        LIST,
        {"do": "call", "name": "add", "arguments": {"a": 2, "b": 2}},
        {"do": "call", "name": "large", "arguments": {"kibibytes": 1}},
        {"do": "call", "name": "add", "arguments": {"a": 1, "b": 2}},
        {"do": "call", "name": "sample", "arguments": {"question": "is it?"}},
        {"do": "call", "name": "travel", "arguments": {}},
    ]
    with sdk_server() as url, gateway(tmp_path, {"s": url}, policy, grants={"alice": "s", "bob": "s"}) as running:
        direct = see(client, url, [LIST])
        for grant in TOKENS:
            saw = see(client, running.url("s"), steps, token=TOKENS[grant], answers=ANSWERS)
            tools, denied, hidden, added, sampled, travelled = saw.did
            assert saw.version == direct.version
            assert sorted([*tools, "large"]) == direct.did[0]
            assert [denied["outcome"], denied["text"]] == ["refused", "too many"]
            assert hidden["outcome"] == "refused"
            assert [added["text"], sampled["text"], travelled["text"]] == ["3", "is it? yes", "to Lisbon"]
            assert saw.asked == ["sampling: is it?", "elicitation: where to?"]
