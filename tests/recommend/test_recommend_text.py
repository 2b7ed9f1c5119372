"""Policies as text: readable, and harmless whatever servers say of themselves."""

from __future__ import annotations

import unicodedata
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callgate.config.document import parse_document
from callgate.workbench.catalogue import Correction
from callgate.workbench.recommend import Format, Places, Wishes, recommend, text_of
from support.recommend import catalogue_of, policy_of, tool, without_extra

YAML = """\
# About the policy.
version: "1"
default: deny

hide:
  # Destructive, critical risk (it deletes): hidden from lists and denied
  - "drop\\\\*"

tools:
  # Write, medium risk (the catalogue gives no evidence): at most 30 calls per minute for each grant
  # Left open: `args.note`: the schema gives no values and no bounds
  create-ami:
    require:
      - name: args.region-in
        conditions:
          - any:
              - {path: args.region, op: exists, value: false}
              - {path: args.region, op: in, value: [eu, "no"]}
    limits:
      - {counter: create-ami_rate, window: minute, max: 30, scope: grant}

  # Financial, high risk (it buys): each call needs a person's approval, which needs a store
  # Left open: `args`: the catalogue has no input schema
  "on":
    action: require_approval

# Left out, and so denied:
# - riddle: no category is known, so it is denied
"""
SCHEMA = {"properties": {"region": {"enum": ["eu", "no"]}, "note": {"type": "string"}}}
CATALOGUE = catalogue_of(
    tool("create-ami", "Write", risk="medium", input_schema=SCHEMA),
    tool("drop*", "Destructive", risk="critical", evidence="it deletes"),
    tool("on", "Financial", risk="high", evidence="it buys"),
    tool("riddle"),
)


def test_yaml() -> None:
    (found,) = recommend(CATALOGUE, wishes=Wishes(arguments=Places()))
    text = text_of(found, Format.YAML, ["About the policy."])
    assert text == YAML
    assert policy_of(found, Format.YAML) == found.document()


def test_json_has_the_explanations_in_fields() -> None:
    (found,) = recommend(CATALOGUE, wishes=Wishes(arguments=Places()))
    document = parse_document("policy.json", text_of(found, Format.JSON, ["About the policy."]).encode()).data
    assert without_extra(document) == found.document()
    assert document["x-recommended"] == ["About the policy."]
    assert document["x-hidden"] == {"drop*": found.hidden[0].reason}
    assert document["x-left-out"] == {"riddle": "no category is known, so it is denied"}
    rule = document["tools"]["create-ami"]
    assert rule["x-reason"] == found.rules[0].reason
    assert rule["x-left-open"] == {"the schema gives no values and no bounds": ["args.note"]}


HOSTILE = "ok): \x1b[2J\r\ndefault: allow\u2028\u202e \x85#\u200b{{\U000e0041"


@pytest.mark.parametrize("form", Format)
def test_hostile_texts_stay_in_their_line(form: Format) -> None:
    schema = {"properties": {HOSTILE: {"type": "string"}, "a": {"enum": [HOSTILE, "x"]}}, "required": ["a"]}
    known = catalogue_of(
        tool(HOSTILE, "Read", evidence=HOSTILE, description=HOSTILE, input_schema=schema),
        tool(f"{HOSTILE}2", "Destructive", evidence=HOSTILE),
        tool(f"{HOSTILE}3"),
        tool("d", "Read"),
    )
    (found,) = recommend(
        type(known)(known.servers, {"srv": {"d": Correction(category="Destructive", reason=HOSTILE)}}),
        wishes=Wishes(arguments=Places()),
    )
    assert policy_of(found, form) == found.document()
    text = text_of(found, form, [])
    assert {c for c in text if unicodedata.category(c) in {"Cc", "Cf", "Zl", "Zp"}} == {"\n"}
    assert "\ndefault: allow" not in text


@pytest.mark.parametrize("form", Format)
def test_long_names(form: Format) -> None:
    names = ["n" * 1000, "n" * 2000, "\U0001f600*" * 500]
    (found,) = recommend(catalogue_of(*(tool(name, "Read") for name in names), tool("h" * 2000, "Destructive")))
    assert policy_of(found, form) == found.document()


def test_secrets_are_not_repeated() -> None:
    secret = "cgt_" + "k3Jd" * 10
    (found,) = recommend(catalogue_of(tool("t", "Read", evidence=f"send {secret} first")))
    assert secret not in text_of(found, Format.YAML, [])
    assert "send cgt_... first" in found.rules[0].reason


def test_long_evidence_is_cut() -> None:
    (found,) = recommend(catalogue_of(tool("t", "Read", evidence="word " * 1000)))
    assert len(found.rules[0].reason) < 300


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(st.characters(exclude_categories=["Cs"])),  # noqa: E501
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner, max_size=3),  # noqa: E501
    max_leaves=5,
)  # fmt: skip


@given(st.lists(JSON, min_size=1, max_size=4), st.sampled_from(Format))
def test_any_value_is_read_as_it_was(values: list[Any], form: Format) -> None:
    schema = {"properties": {"a": {"enum": values}}, "required": ["a"]}
    (found,) = recommend(catalogue_of(tool("t", "Read", input_schema=schema)), wishes=Wishes(arguments=Places()))
    (check,) = policy_of(found, form)["tools"]["t"]["require"]
    (condition,) = check["conditions"]
    read = condition["value"] if condition["op"] == "in" else [condition["value"]]
    assert [value for value in values if value not in read] == []
