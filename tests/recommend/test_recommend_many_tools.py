"""A catalogue as large as those of big vendors: 844 tools, each with an input schema."""

from __future__ import annotations

import json
import re
from itertools import cycle
from typing import TYPE_CHECKING, Any

import pytest

from callgate import Engine
from callgate.config.policies import faults_in
from callgate.workbench.catalogue import CATEGORIES, Catalogue, CatalogueServer, Tool, parse_catalogue, write_catalogue
from callgate.workbench.recommend import Format, Places, Wishes, header_of, recommend, text_of
from support.program import run

if TYPE_CHECKING:
    from pathlib import Path

TOOLS = 844
SERVERS = 40
VERBS = {"Read": "list", "Write": "create", "Execute": "run", "Destructive": "delete", "Financial": "buy"}


def _schema(number: int) -> dict[str, Any]:
    properties = {
        "region": {"type": "string", "enum": [f"region-{one}" for one in range(number % 30 + 1)]},
        "limit": {"anyOf": [{"type": "integer", "minimum": 1, "maximum": 100}, {"type": "null"}], "default": None},
        "name": {"type": "string", "maxLength": 64, "description": f"The name of the thing number {number}. " * 5},
        "tags": {"type": "array", "maxItems": 50, "items": {"$ref": "#/$defs/Tag"}},
        "filter": {"type": "object", "properties": {"kind": {"$ref": "#/$defs/Kind"}, "text": {"type": "string"}}},
        "output_path": {"type": "string", "description": "Absolute path of the result"},
    }
    definitions = {
        "Tag": {"type": "object", "properties": {"key": {"type": "string", "maxLength": 9}}, "required": ["key"]},
        "Kind": {"enum": ["a", "b"], "type": "string"},
    }
    return {"type": "object", "properties": properties, "required": ["region"], "$defs": definitions}


def _catalogue() -> Catalogue:
    """Its tools by turns of each category; every fiftieth has none, as if nobody had classified it."""
    servers: dict[str, dict[str, Tool]] = {f"server-{number}": {} for number in range(SERVERS)}
    categories = zip(range(TOOLS), cycle(CATEGORIES), cycle(servers.values()), strict=False)
    for number, category, tools in categories:
        name = f"{VERBS[category]}_thing_{number}"
        known = None if number % 50 == 49 else category
        tools[name] = Tool(name, category=known, input_schema=_schema(number), description="Does it. " * 20)
    return Catalogue({name: CatalogueServer(tools) for name, tools in servers.items()})


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    known = _catalogue()
    assert parse_catalogue("catalogue.json", write_catalogue(known).encode()) == known
    return known


ARGUMENTS = {
    "region": "region-0",
    "limit": None,
    "tags": [{"key": "k"}],
    "filter": {"kind": "a"},
    "output_path": "/data/x",
}
RULES = {"Destructive": "(hidden)", "Financial": "(approval store unavailable)", None: "(default deny)"}


@pytest.mark.parametrize("form", Format)
def test_every_tool_gets_its_rule(catalogue: Catalogue, form: Format) -> None:
    wishes = Wishes(arguments=Places(roots=("/data",)))
    found = recommend(catalogue, wishes=wishes)
    assert sum(len(one.rules) + len(one.hidden) + len(one.left_out) for one in found) == TOOLS
    for one in found:
        text = text_of(one, form, header_of(one, None)).encode()
        assert faults_in(f"policy.{form.value}", text) == []
        policies = {one.server: (f"policy.{form.value}", text)}
        engine = Engine.from_config(policies=policies, servers={one.server: one.server})
        for tool in catalogue.servers[one.server].tools.values():
            asked: dict[str, Any] = {"server": one.server, "tool": tool.name, "grant": "ann"}
            assert engine.check(**asked, args=ARGUMENTS).rule == RULES.get(tool.category, "")
            if tool.category in {"Read", "Write", "Execute"}:
                refused = engine.check(**asked, args={**ARGUMENTS, "region": "other"})
                assert refused.rule == f"/tools/{tool.name}/require/args.region-{'in' if _values(tool) > 1 else 'eq'}"


def _values(tool: Tool) -> int:
    assert tool.input_schema is not None
    return len(tool.input_schema["properties"]["region"]["enum"])


def test_one_server_with_all_of_them(catalogue: Catalogue, tmp_path: Path) -> None:
    every = {name: tool for server in catalogue.servers.values() for name, tool in server.tools.items()}
    (tmp_path / "all.json").write_text(write_catalogue(Catalogue({"all": CatalogueServer(every)})))
    done = run("recommend", "--arguments", "-o", "all.yaml", "all.json", cwd=tmp_path)
    assert done.code == 0, done.err
    *notes, last = run("validate", "--catalogue", "all.json", "all.yaml", cwd=tmp_path).out.splitlines()
    assert last == "all.yaml: ok"
    assert all(": note: calls that need an approval" in note for note in notes)
    deep = run("validate", "--deep", "--catalogue", "all.json", "all.yaml", cwd=tmp_path)
    unnamed = [line for line in deep.out.splitlines() if "[CG" in line]
    assert all("unknown" not in line for line in unnamed), deep
    # A stricter limit of one tool and a wider one of another one.
    policy = (tmp_path / "all.yaml").read_text()
    first = next(name for name in every if name.startswith("list_"))
    second = next(name for name in every if name.startswith("run_"))
    changed = policy
    for name, most in ((first, 1), (second, 9999)):
        changed, count = re.subn(rf"({name}_rate, window: minute, max: )\d+", rf"\g<1>{most}", changed)
        assert count == 1
    (tmp_path / "new.yaml").write_text(changed)
    compared = run("diff", "--json", "--catalogue", "all.json", "all.yaml", "new.yaml", cwd=tmp_path)
    found = json.loads(compared.out)
    assert found["verdict"] == "both", compared
    (tmp_path / "all_test.yaml").write_text(_tests(catalogue))
    tested = run("test", "--coverage", "--catalogue", "all.json", cwd=tmp_path)
    assert (tested.code, tested.out.splitlines()[-1]) == (0, f"{SERVERS} passed"), tested


def _tests(catalogue: Catalogue) -> str:
    """For each server a test that calls its tools, with their outcomes under the recommended policy."""
    outcomes = {"Destructive": "deny", "Financial": "approval_required", None: "deny"}
    arguments = json.dumps(ARGUMENTS)
    # Each by a grant of its own: one may not wait for many approvals.
    call = "      - {{call: {{tool: {0}, grant: {0}, args: {1}}}, expect: {2}}}\n"
    tests = [
        f"  - name: {name}\n    steps:\n"
        + "".join(
            call.format(tool.name, arguments, outcomes.get(tool.category, "allow")) for tool in server.tools.values()
        )
        for name, server in catalogue.servers.items()
    ]
    return "policy: all.yaml\n\ntests:\n" + "".join(tests)


def test_the_same_catalogue_gives_the_same_bytes(catalogue: Catalogue) -> None:
    texts = [
        [text_of(one, Format.YAML, []) for one in recommend(of, wishes=Wishes(arguments=Places()))]
        for of in (catalogue, parse_catalogue("catalogue.json", write_catalogue(catalogue).encode()))
    ]
    assert texts[0] == texts[1]
