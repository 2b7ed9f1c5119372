"""Checks of arguments: what a schema allows passes, and what they are for is refused."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import example, given, reject, settings
from hypothesis import strategies as st

from callgate import Engine
from callgate.errors import PolicyError
from callgate.workbench.recommend import Format, Places, Wishes, argument_checks, recommend
from support.recommend import catalogue_of, policy_of, tool

PLACES = Places(roots=("/data", "/srv/files"), hosts=("example.com", "*.example.org"))


def engine_of(schema: dict[str, Any], places: Places = PLACES) -> Engine:
    """An engine with the recommended policy of one tool, in both formats."""
    known = catalogue_of(tool("t", "Read", input_schema=schema))
    (found,) = recommend(known, wishes=Wishes(arguments=places))
    policies = [policy_of(found, form) for form in Format]
    assert policies == [found.document()] * 2
    return Engine.from_dict(policies[0])


def refusal(engine: Engine, args: dict[str, Any]) -> str:
    """The rule that refuses a call; empty if it is allowed."""
    decision = engine.explain(tool="t", grant="ann", args=args).decision
    assert decision.outcome in {"allow", "deny"}
    return decision.rule


def one(schema: dict[str, Any] | bool, *, required: bool = True, name: str = "a") -> dict[str, Any]:
    """A schema of one argument."""
    return {"type": "object", "properties": {name: schema}, "required": [name] if required else []}


REGION = {"enum": ["eu", "us"]}
REGIONS = {"type": "array", "maxItems": 1, "items": REGION}
OBJECT_OR_NULL = {"type": ["object", "null"], "properties": {"b": REGION}}
NULLABLE = {"anyOf": [{"type": "integer", "maximum": 9}, {"type": "null"}]}


@pytest.mark.parametrize(
    ("schema", "good", "bad"),
    [
        (one({"type": "string", "enum": ["eu", "us"]}), [{"a": "eu"}], [{"a": "asia"}, {}, {"a": 1}]),
        (one(REGION, required=False), [{}, {"a": "us"}], [{"a": None}, {"a": "asia"}]),
        (one({"const": "x"}), [{"a": "x"}], [{"a": "y"}]),
        (one({"anyOf": [REGION, {"type": "null"}]}), [{"a": None}, {"a": "eu"}], [{"a": "asia"}]),
        (one({"oneOf": [{"const": "x"}, {"const": 2}]}), [{"a": "x"}, {"a": 2.0}], [{"a": 3}]),
        (one({"type": "string", "enum": ["x"], "nullable": True}), [{"a": "x"}, {"a": None}], [{"a": "y"}]),
        (one({"type": "integer", "minimum": 1, "maximum": 5}), [{"a": 1}, {"a": 5}], [{"a": 0}, {"a": 6}, {"a": "1"}]),
        (one({"type": "number", "exclusiveMaximum": 1.5}), [{"a": 1.49}, {"a": -3}], [{"a": 1.5}]),
        (one({"type": "integer", "maximum": 5, "exclusiveMaximum": True}), [{"a": 5}], [{"a": 6}]),
        (one(NULLABLE, required=False), [{}, {"a": None}, {"a": 9}], [{"a": 10}]),
        (one({"type": ["integer", "null"], "minimum": 0}), [{"a": None}, {"a": 0}], [{"a": -1}]),
        (one({"allOf": [{"type": "integer"}, {"maximum": 3}]}), [{"a": 3}], [{"a": 4}]),
        (one({"anyOf": [{"type": "integer", "maximum": 3}, {"type": "number", "maximum": 7}]}), [{"a": 7}], [{"a": 8}]),
        (one({"type": "string", "maxLength": 3}), [{"a": "äöü"}, {"a": ""}], [{"a": "four"}]),
        (one(REGIONS), [{"a": []}, {"a": ["eu"]}], [{"a": ["asia"]}, {"a": ["eu", "us"]}]),
        (one(one(REGION, name="b")), [{"a": {"b": "eu"}}], [{"a": {"b": 1}}, {"a": {}}, {"a": "x"}]),
        (one(OBJECT_OR_NULL), [{"a": None}, {"a": {}}, {"a": {"b": "eu"}}], [{"a": {"b": 1}}]),
        ({"$defs": {"r": REGION}, **one({"$ref": "#/$defs/r"})}, [{"a": "eu"}], [{"a": "asia"}]),
        ({"$defs": {"r": REGION}, **one({"allOf": [{"$ref": "#/$defs/r"}]})}, [{"a": "eu"}], [{"a": 1}]),
        ({"$defs": {"o": one(REGION)}, "$ref": "#/$defs/o"}, [{"a": "eu"}], [{"a": "asia"}]),
        (one(REGION, name="a.b"), [{"a.b": "eu"}], [{"a.b": "asia"}]),
        (one(REGION, name='a"]\\'), [{'a"]\\': "eu"}], [{'a"]\\': "asia"}]),
        (one(REGION, name="*"), [{"*": "eu"}], [{"*": "asia"}]),
        (one(REGION, name=""), [{"": "eu"}], [{"": "asia"}]),
    ],
)  # fmt: skip
def test_checks(schema: dict[str, Any], good: list[dict[str, Any]], bad: list[dict[str, Any]]) -> None:
    engine = engine_of(schema)
    assert [refusal(engine, args) for args in good] == [""] * len(good)
    assert all(refusal(engine, args).startswith("/tools/t/require/") for args in bad)


RELATIVE = "a path that may be relative, which `path_within` would refuse"
ROOTLESS = "an absolute path; `--root` limits it to folders"
OPEN = "the schema gives no values and no bounds"


@pytest.mark.parametrize(
    ("schema", "left_open"),
    [
        (None, {"the catalogue has no input schema": ("args",)}),
        ({"type": "object"}, {"the schema names no arguments": ("args",)}),
        (one({"type": "string"}), {OPEN: ("args.a",)}),
        (one(True), {OPEN: ("args.a",)}),
        (one({"type": "boolean"}), {}),
        (one({"type": ["string", "integer"], "maximum": 3}), {"values of several types": ("args.a",)}),
        (one({"type": "array", "items": REGION}), {"a list that may have more than 10,000 elements": ("args.a",)}),
        (one({"enum": [str(number) for number in range(200)]}), {"more than 100 values": ("args.a",)}),
        (one({"type": "object"}), {"an object whose keys the schema does not name": ("args.a",)}),
        (one({"type": "string", "maxLength": 10**30}), {OPEN: ("args.a",)}),
        (one({"type": "number", "maximum": Decimal("1e400")}), {OPEN: ("args.a",)}),
        (one({"const": Decimal("1e9999")}), {"values that a policy cannot hold": ("args.a",)}),
        (one({"$ref": "other.json#/a"}), {OPEN: ("args.a",)}),
        (one({"$ref": "#/properties/a"}), {OPEN: ("args.a",)}),
        (one(REGION, name="a\n"), {"arguments with names that are not printable": ("args",)}),
        (one({"type": "string"}, name="path"), {RELATIVE: ("args.path",)}),
        (one({"type": "string", "format": "uri"}, name="page"), {"a URL; `--host` limits it to hosts": ("args.page",)}),
        (one({"type": "string", "pattern": "^/[a-z]+"}, name="dir"), {ROOTLESS: ("args.dir",)}),
    ],
)  # fmt: skip
def test_what_is_left_open(schema: dict[str, Any] | None, left_open: dict[str, tuple[str, ...]]) -> None:
    found = argument_checks(schema, Places())
    assert (found.require, found.left_open) == ((), left_open)


ABSOLUTE = {"type": "string", "description": "Absolute path of the file"}


@pytest.mark.parametrize(
    ("name", "schema", "is_checked"),
    [
        ("path", ABSOLUTE, True),
        ("absolute_path", {"type": "string"}, True),
        ("filePath", {"type": "string", "pattern": "^/.+"}, True),
        ("working_dir", {"anyOf": [ABSOLUTE, {"type": "null"}]}, True),
        ("dir", {"anyOf": [{"type": "string", "pattern": "^/x"}, {"type": "string"}]}, False),
        ("dir", {"$ref": "#/$defs/absolute", "description": "May be relative"}, False),
        ("page", {"anyOf": [{"type": "string", "format": "uri"}, {"type": "string"}]}, False),
        ("page", {"oneOf": [{"type": "string", "format": "uri"}, {"type": "null"}]}, True),
        ("dir", {"type": "string", "title": "Dir", "description": "Folder; it must be absolute."}, True),
        ("path", {"type": "string", "description": "Path of a file, the absolute best one"}, False),
        ("path", {"type": "string"}, False),
        ("path", {"type": "string", "description": "Absolute or relative path"}, False),
        ("path", {"type": "string", "pattern": "^/?x"}, False),
        ("path", {"type": "string", "pattern": "^/x|y"}, False),
        ("absolute_error", {"type": "string"}, False),
        ("profile", ABSOLUTE, False),
        ("url", {"type": "string", "description": "Address of the page"}, True),
        ("pageURL", {"type": "string"}, True),
        ("page", {"type": "string", "format": "uri"}, True),
        ("repo_url", {"type": "string", "description": "URL, or a local path"}, False),
        ("curl", {"type": "string"}, False),
        ("image_uri", {"type": "string"}, False),
        ("page", {"type": "string", "format": "uri-reference"}, False),
    ],
)  # fmt: skip
def test_places(name: str, schema: dict[str, Any], is_checked: bool) -> None:
    engine = engine_of({**one(schema, name=name), "$defs": {"absolute": ABSOLUTE}})
    good = ["/data/a", "/srv/files"] if "absolute" in json.dumps(schema).lower() + name or "/" in str(schema) else []
    good = good or ["https://example.com/x", "http://a.example.org"]
    bad = ["/etc/passwd", "/data/../etc", "https://evil.example/", "relative", "http://127.1/"]
    assert [bool(refusal(engine, {name: value})) for value in bad] == [is_checked] * len(bad)
    assert [refusal(engine, {name: value}) for value in good] == [""] * len(good)


SCALARS: list[Any] = [None, True, False, -2, -1, 0, 1, 1.5, 2, 3, "", "a", "eu", "aaa", "\U0001f600", "/"]
OBJECTS: list[Any] = [{}, {"a": 1}, {"b": None}, {"a": "eu", "b": 2}, {"a": {"a": 1}}, {"a": None}, {"a": [1]}]
LISTS: list[Any] = [[], *([one] for one in (*SCALARS, *OBJECTS, [])), [1, None], ["a", "eu", "a"], [{"a": 1}, {}]]
LISTS += [[{"a": 1}, {"a": None}], [{"a": "eu"}, {"a": "eu"}], [[1, 2]], [0, 3]]
VALUES = [*SCALARS, *OBJECTS, *LISTS]
ARGUMENTS: list[dict[str, Any]] = [{}, *({"a": value} for value in VALUES), *({"b": value} for value in SCALARS)]
"""Calls that are tried with every schema: a few of them are valid under most."""

TYPE = st.sampled_from(["array", "boolean", "integer", "null", "number", "object", "string"])
SMALL = st.integers(-2, 3)
LEAVES = st.sampled_from([*SCALARS, [], {}])
NUMBER = {"minimum": SMALL, "exclusiveMinimum": SMALL, "maximum": SMALL, "exclusiveMaximum": SMALL}


def _shaped(kind: str, **optional: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    kinds = st.just(kind) | st.just([kind, "null"])
    return st.fixed_dictionaries({"type": kinds}, optional=optional)


def _schemas(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    choices = st.lists(inner, min_size=1, max_size=3)
    properties = st.dictionaries(st.sampled_from("ab"), inner, min_size=1, max_size=2)
    names = st.lists(st.sampled_from("ab"), unique=True)
    null = st.just({"type": "null"})
    anything = {
        "type": TYPE | st.lists(TYPE, min_size=1, max_size=2, unique=True),
        "enum": st.lists(LEAVES, min_size=1, max_size=3),
        "maxLength": st.integers(0, 2),
        "properties": properties,
        "required": names,
        "items": inner,
        "anyOf": choices,
        "oneOf": choices,
        "allOf": choices,
        "not": inner,
        "nullable": st.just(True),
        "$ref": st.sampled_from(["#", "#/$defs/x", "#/$defs/y", "#/properties/a"]),
    }
    return st.one_of(
        _shaped("object", properties=properties, required=names),
        _shaped("array", maxItems=st.integers(0, 3), items=inner, prefixItems=choices),
        st.tuples(inner, null | inner).map(lambda pair: {"anyOf": list(pair)}),
        st.tuples(inner, null | inner).map(lambda pair: {"oneOf": list(pair)}),
        choices.map(lambda parts: {"allOf": parts}),
        st.fixed_dictionaries({"$ref": anything["$ref"]}, optional={"maximum": SMALL}),
        st.fixed_dictionaries({}, optional={**anything, **NUMBER}),
    )


LEAF = st.one_of(
    _shaped("integer", **NUMBER),
    _shaped("number", **NUMBER),
    _shaped("string", maxLength=st.integers(0, 2)),
    st.fixed_dictionaries({"enum": st.lists(LEAVES, min_size=1, max_size=3)}, optional={"nullable": st.just(True)}),
    st.fixed_dictionaries({"const": LEAVES}),
    st.booleans(),
)
SCHEMA = st.recursive(LEAF, _schemas, max_leaves=5)


@settings(max_examples=400)
@given(SCHEMA, SCHEMA, SCHEMA, SCHEMA, st.sets(st.sampled_from("ab")))
@example({"anyOf": [{"type": "null"}]}, True, True, True, set())
@example(
    {"type": "array", "maxItems": 2, "items": {"type": "object", "properties": {"a": {"const": 1}}}},
    True,
    True,
    True,
    {"a"},
)
@example({"type": "array", "maxItems": 2, "items": {"type": ["number", "null"], "maximum": 2}}, True, True, True, {"a"})
@example({"type": "array", "maxItems": 2, "prefixItems": [True], "items": {"const": 1}}, True, True, True, {"a"})
@example({"anyOf": [{"type": "integer", "maximum": 0}, {"type": "number", "maximum": 2}]}, True, True, True, {"a"})
@example({"$ref": "#/$defs/x", "maximum": 0}, True, {"type": "integer", "maximum": 2}, True, {"a"})
def test_no_check_refuses_a_valid_call(a: Any, b: Any, x: Any, y: Any, required: set[str]) -> None:
    schema = {
        "type": "object",
        "properties": {"a": a, "b": b},
        "required": sorted(required),
        "$defs": {"x": x, "y": y},
    }
    found = argument_checks(schema, Places())
    policy = {"version": "1", "default": "deny", "tools": {"t": {"require": list(found.require)}}}
    engine = Engine.from_dict(policy)
    try:
        judge = Engine.from_dict({**policy, "tools": {"t": {"schema": schema}}})
    except PolicyError:
        # No catalogue has such a schema: it refers back to itself in several places.
        reject()
    for args in ARGUMENTS:
        assert refusal(judge, args) or not refusal(engine, args), (args, found)


@settings(max_examples=50)
@given(SCHEMA)
def test_policies_with_checks_load(schema: Any) -> None:
    engine_of(one(schema))


def test_wide_schemas_end() -> None:
    """Each level refers to the next one twice, so that the whole has a million parts."""
    defs: dict[str, Any] = {"l20": {"type": "integer", "maximum": 3}}
    for level in range(20):
        below = {"$ref": f"#/$defs/l{level + 1}"}
        defs[f"l{level}"] = {"allOf": [below, below]}
    found = argument_checks({"$defs": defs, **one({"$ref": "#/$defs/l0"})}, Places())
    assert found.left_open == {"the input schema is too large": ("args",)}


def test_many_arguments_get_only_so_many_checks() -> None:
    schema = {"type": "object", "properties": {f"a{number}": REGION for number in range(150)}}
    found = argument_checks(schema, Places())
    assert len(found.require) == 100
    assert [len(paths) for paths in found.left_open.values()] == [50]
