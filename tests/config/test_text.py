"""YAML and JSON as the configuration reads them: the same values, and where each stands."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from callgate.config import json_text, yaml_text
from callgate.config.place import Malformed

PLAIN = st.text(st.characters(min_codepoint=32, max_codepoint=0x2FF, exclude_categories=["Cc"]), max_size=8)
# Without digits: the library that writes the YAML here takes `0E0` for text, as in YAML 1.1.
WORDS = st.text("abcäß yno~:#-'\"{}[],&*!|>%@`?<=", max_size=8)


def documents(texts: st.SearchStrategy[str]) -> st.SearchStrategy[dict[str, Any]]:
    values: st.SearchStrategy[Any] = st.recursive(
        st.none() | st.booleans() | st.integers(-(10**12), 10**12) | texts,
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
        max_leaves=12,
    )
    return st.dictionaries(texts, values, max_size=4)


@given(documents(PLAIN))
def test_json_is_read_as_it_is(document: dict[str, Any]) -> None:
    assert json_text.read(json.dumps(document)) == document
    # What is JSON is YAML as well.
    assert yaml_text.read(json.dumps(document, ensure_ascii=False)) == document


@given(documents(WORDS), st.sampled_from([None, False, True]))
def test_yaml_is_read_as_it_is(document: dict[str, Any], flow: bool | None) -> None:
    text = yaml.safe_dump(document, default_flow_style=flow, allow_unicode=True)
    assert yaml_text.read(text) == document


@given(documents(PLAIN), st.integers(0, 4))
def test_places_lead_to_the_values(document: dict[str, Any], indent: int) -> None:
    text = json.dumps(document, indent=indent or None, ensure_ascii=False)
    lines = text.split("\n")
    for reader in (json_text, yaml_text):
        places = reader.places(text)
        assert places.keys() == set(paths(document))
        for path, place in places.items():
            value = at(document, path)
            line, column = place.value
            rest = "\n".join([lines[line - 1][column - 1 :], *lines[line:]])
            assert json.JSONDecoder().raw_decode(rest)[0] == value
            if path and isinstance(path[-1], str):
                line, column = place.key
                assert json.JSONDecoder().raw_decode(lines[line - 1][column - 1 :])[0] == path[-1]


def paths(value: Any, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    members: list[tuple[str | int, Any]] = []
    if isinstance(value, dict):
        members = list(value.items())
    elif isinstance(value, list):
        members = list(enumerate(value))
    return [path, *(inner for step, member in members for inner in paths(member, (*path, step)))]


def at(value: Any, path: tuple[str | int, ...]) -> Any:
    for step in path:
        value = value[step]
    return value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("no", "no"),
        ("on", "on"),
        ("1:30", "1:30"),
        ("2027-01-31", "2027-01-31"),
        ("2027-01-31T00:00:00Z", "2027-01-31T00:00:00Z"),
        ("010", 10),
        ("0x1F", 31),
        ("0o17", 15),
        ("1_000", "1_000"),
        ("1e3", 1000.0),
        (".5", 0.5),
        ("1.2.3", "1.2.3"),
        ("~", None),
        ("", None),
        ("True", True),
        ("'1'", "1"),
        ('"true"', "true"),
        ("!", None),
        ("9" * 400, "9" * 400),
    ],
)
def test_scalars_of_yaml_1_2(text: str, value: object) -> None:
    if text == "!":
        with pytest.raises(Malformed, match="tags are not supported"):
            yaml_text.read(f"a: {text} b")
    else:
        assert yaml_text.read(f"a: {text}") == {"a": value}


@pytest.mark.parametrize(
    ("text", "line", "column", "message"),
    [
        ("a: 1\nb: 2\na: 3", 3, 1, "the key `a` stands here twice; keep one of them"),
        ("x:\n  - {a: 1, a: 2}", 2, 12, "the key `a` stands here twice; keep one of them"),
        ("a: &x 1", 1, 4, "anchors are not supported; write the value out"),
        ("a: *x", 1, 4, "aliases are not supported; write the value out"),
        ("a: !!str 1", 1, 4, "tags are not supported; remove it"),
        ("a: {<<: {}}", 1, 5, "merge keys are not supported; write the values out"),
        ("? [a]\n: 1", 1, 3, "expected a plain key"),
        ("a: 1\n---\nb: 1", 2, 1, "expected one document; remove what follows `---`"),
        ("[" * 65, 1, 65, "nested more than 64 levels deep"),
        ("[" * 100_000, 1, 65, "nested more than 64 levels deep"),
        ("a: [1", 2, 1, "not well-formed YAML: did not find expected ',' or ']'"),
        ("a:\n\tb: 1", 2, 1, "not well-formed YAML: found character that cannot start any token"),
        ("a: \x01", 1, 4, "not well-formed YAML: a control character is not allowed here"),
        ("ä: \x01", 1, 4, "not well-formed YAML: a control character is not allowed here"),
    ],
)
def test_what_is_no_yaml(text: str, line: int, column: int, message: str) -> None:
    with pytest.raises(Malformed) as raised:
        yaml_text.read(text)
    assert (raised.value.line, raised.value.column, raised.value.message) == (line, column, message)


@pytest.mark.parametrize(
    ("text", "line", "column", "message"),
    [
        ('{"a": 1,\n "a": 2}', 2, 2, "the key `a` stands here twice; keep one of them"),
        ('{"x": [{"a": 1, "a": 2}]}', 1, 17, "the key `a` stands here twice; keep one of them"),
        ('{"a": NaN}', 1, 7, "`NaN` is not JSON; write a number, or null"),
        ("{", 1, 2, "not well-formed JSON: expecting property name enclosed in double quotes"),
        ('{"a": 1} x', 1, 10, "not well-formed JSON: extra data"),
        ("", 1, 1, "expected a JSON object, the file is empty"),
        ("[" * 100_000, 1, 1, "nested too deeply"),
    ],
)
def test_what_is_no_json(text: str, line: int, column: int, message: str) -> None:
    with pytest.raises(Malformed) as raised:
        json_text.read(text)
    assert (raised.value.line, raised.value.column, raised.value.message) == (line, column, message)


@given(st.text(max_size=40), st.sampled_from([json_text.read, yaml_text.read]))
def test_any_text_is_read_or_refused(text: str, read: Callable[[str], Any]) -> None:
    try:
        read(text)
    except Malformed as error:
        assert min(error.line, error.column) >= 1  # noqa: PT017  both ways out are fine
