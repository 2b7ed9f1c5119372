"""Documents that Intercept refuses, or whose meaning cannot be kept, are refused with place, rule and reason."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from callgate.config.document import parse_document
from callgate.config.engine_form import engine_form
from callgate.config.faults import InvalidConfigError
from callgate.config.intercept.convert import convert

CASES = json.loads((Path(__file__).resolve().parent.parent / "cases" / "intercept" / "refused.json").read_text())


@pytest.mark.parametrize("case", [pytest.param(case, id=case["name"]) for case in CASES])
def test_refused(case: dict[str, Any]) -> None:
    content = case["text"].encode()
    with pytest.raises(InvalidConfigError) as raised:
        convert(parse_document("p.yaml", content))
    told = [str(fault) for fault in raised.value.faults]
    # A case may leave out the end of a message.
    assert [line[: len(wanted) + 7] for line, wanted in zip(told, case["faults"], strict=True)] == [
        f"p.yaml:{wanted}" for wanted in case["faults"]
    ]
    # In memory it is refused as well, or was none of Intercept's for the engine to begin with.
    with pytest.raises(InvalidConfigError):
        engine_form("p.yaml", content)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('version: "1"\ntools: {a: &r {rules: []}, b: *r}\n', "p.yaml:2:12: anchors are not supported"),
        ('version: "1"\ntools: {a: {rules: []}, a: {rules: []}}\n', "p.yaml:2:25: key `a` appears twice"),
        ('version: "1"\ntools: [a]\n', "p.yaml:2:8: expected keys and values at `tools`"),
        ("", 'p.yaml:1:1: expected the version "1"'),
    ],
)
def test_documents_that_nobody_takes_for_rules(text: str, told: str) -> None:
    with pytest.raises(InvalidConfigError, match=f"^{told}"):
        convert(parse_document("p.yaml", text.encode()))


def test_hostile_text_in_a_message_is_harmless() -> None:
    text = json.dumps({"version": "1", "tools": {"a\x1b[2J": {"rules": [{"name": "\u202er", "action": "x\x07"}]}}})
    with pytest.raises(InvalidConfigError) as raised:
        convert(parse_document("p.json", text.encode()))
    assert str(raised.value).isprintable()
