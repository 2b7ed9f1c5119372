"""The published schema of policy tests takes what the reader takes, and refuses what it refuses by its form."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from callgate.config.document import parse_document, read_document
from callgate.config.faults import InvalidConfigError
from callgate.workbench.policy_tests.cases import read_cases
from callgate.workbench.policy_tests.model import ACTIONS, Case, Step, Suite
from callgate.workbench.policy_tests.parts import Call, Expectation
from callgate.workbench.policy_tests.schema import suite_schema
from support.program import run

ROOT = Path(__file__).resolve().parents[2]
SCHEMA = suite_schema()
VALIDATOR = Draft202012Validator(SCHEMA)
CALL = {"call": {"tool": "t"}, "expect": "allow"}


def suite(*steps: object, **more: object) -> dict[str, Any]:
    """A file with one test of these steps."""
    return {"policy": "p.yaml", "tests": [{"name": "a", "steps": [*steps, CALL]}], **more}


GOOD: list[dict[str, Any]] = [
    suite(),
    suite(version="1", description="d", start="2026-01-01T00:00:00Z", defaults={"grant": "g", "labels": {"a": "b"}}),
    suite(calls={"c": {"tool": "t", "args": {"a": [1, None]}}}, people={"alice": ["x"]}),
    {"config": "callgate.yaml", "tests": [{"name": "a", **CALL, "times": 3}]},
    {
        "policy": {"version": "1", "default": "deny"},
        "catalogue": {"version": "1", "servers": {}},
        "tests": suite()["tests"],
    },
    suite(
        {"call": {"tool": "t", "args_json": "{"}, "expect": {"outcome": "deny", "rule": ""}, "times": 2, "name": "n"}
    ),
    suite({**CALL, "expect": {"remaining": {"a": 1.5}, "over": {"a": 1}, "retry_after": "30s", "policy": "p"}}),
    suite({**CALL, "expect": {"shadow": "none"}}, {**CALL, "expect": {"shadow": {"outcome": "deny", "rule": "/x"}}}),
    suite({"wait": "1s"}, {"at": "2027-01-01T00:00:00Z"}, {"roll_back": "last"}, {"thaw": {}}, {"reload": "p.yaml"}),
    suite({"freeze": {"server": "s", "tool": "t", "reason": "r", "duration": "1h"}}, {"reload": {"version": "1"}}),
    suite({"approve": "a", "groups": ["g"], "reason": "r", "expect": "refused"}, {"deny": "b"}),
    suite(
        {"permit": "a", "uses": 1, "duration": "1h", "terms": {"a": "any", "b": {"at_most": 1}, "c": {"one_of": [1]}}}
    ),
]
BAD: list[dict[str, Any]] = [
    {},
    {"tests": []},
    suite(polcy="x"),
    suite(version="2"),
    suite(people={"a": "x"}),
    suite({}),
    suite({"call": {"tool": "t"}}),
    suite({"call": {}, "expect": "allow"}),
    suite({**CALL, "wait": "1s"}),
    suite({"wait": "1 second"}),
    suite({"wait": "1s", "times": 2}),
    suite({"approve": "a", "uses": 2}),
    suite({"approve": "a", "expect": "fine"}),
    suite({**CALL, "expect": "fine"}),
    suite({**CALL, "expect": {}}),
    suite({**CALL, "expect": {"outcom": "allow"}}),
    suite({**CALL, "times": 0}),
    suite({"permit": "a", "terms": {"a": {"at_most": "x"}}}),
    {"policy": "p", "tests": [{"name": "a"}]},
    {"policy": "p", "tests": [{**CALL}]},
    {"policy": "p", "tests": [{"name": "a", **CALL, "steps": [CALL]}]},
]


def is_read(document: dict[str, Any]) -> bool:
    """True if the reader takes a document."""
    try:
        read_cases(parse_document("a_test.json", json.dumps(document).encode()))
    except InvalidConfigError:
        return False
    return True


def test_it_is_a_schema() -> None:
    Draft202012Validator.check_schema(SCHEMA)
    assert json.loads(run("schema", "tests").out) == SCHEMA


@pytest.mark.parametrize("document", GOOD, ids=str)
def test_good(document: dict[str, Any]) -> None:
    assert [error.message for error in VALIDATOR.iter_errors(document)] == []
    assert is_read(document)


@pytest.mark.parametrize("document", BAD, ids=str)
def test_bad(document: dict[str, Any]) -> None:
    assert not VALIDATOR.is_valid(document)
    assert not is_read(document)


@pytest.mark.parametrize("path", sorted(ROOT.glob("examples/**/*_test.yaml")), ids=str)
def test_examples(path: Path) -> None:
    assert VALIDATOR.is_valid(read_document(path).data)


def test_every_field_has_its_meaning() -> None:
    definitions = [SCHEMA, *SCHEMA["$defs"].values()]
    fields = [(name, field) for one in definitions for name, field in one.get("properties", {}).items()]
    assert len(fields) > 50
    assert [name for name, field in fields if not field.get("description") and "$ref" not in field] == []
    assert {*ACTIONS, *(name for names in ACTIONS.values() for name in names)} == set(Step.model_fields)


def test_the_page_describes_every_key() -> None:
    page = (ROOT / "docs" / "testing-policies.md").read_text(encoding="utf-8")
    described = {
        name for row in re.findall(r"^\| (`.*?) \|", page, re.MULTILINE) for name in re.findall(r"`(\w+)`", row)
    }
    sections = (Suite, Case, Step, Call, Expectation)
    assert [name for one in sections for name in one.model_fields if name not in described] == []
