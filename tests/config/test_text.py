"""YAML and JSON as the configuration reads them: the values of policies' reader, and the place of each."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from callgate._callgate import DocumentTree
from callgate.config.document import parse_document
from callgate.config.faults import InvalidConfigError
from callgate.errors import PolicyError
from support.cases import CASES

PLAIN = st.text(st.characters(min_codepoint=32, max_codepoint=0x2FF, exclude_categories=["Cc"]), max_size=8)
# Without digits: the library that writes the YAML here takes `0E0` for text, as in YAML 1.1.
WORDS = st.text("abcäß yno~:#-'\"{}[],&*!|>%@`?<=", max_size=8)
DOCUMENTS = json.loads((CASES / "documents.json").read_text(encoding="utf-8"))


def documents(texts: st.SearchStrategy[str]) -> st.SearchStrategy[dict[str, Any]]:
    values: st.SearchStrategy[Any] = st.recursive(
        st.none() | st.booleans() | st.integers(-(10**12), 10**12) | texts,
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
        max_leaves=12,
    )
    return st.dictionaries(texts, values, max_size=4)


def tree(text: str, *, is_json: bool) -> DocumentTree:
    return DocumentTree("file", text.encode(), is_json=is_json)


def read(text: str, *, is_json: bool) -> Any:
    return tree(text, is_json=is_json).value()


@pytest.mark.parametrize("case", DOCUMENTS, ids=lambda case: case["name"])
def test_documents_have_one_meaning(case: dict[str, Any]) -> None:
    is_json = case["format"] == "json"
    if "error" not in case:
        value = read(case["document"], is_json=is_json)
        assert json.dumps(value) == json.dumps(case["value"]), "types count as well: 1.0 is not 1"
        return
    with pytest.raises(PolicyError) as raised:
        read(case["document"], is_json=is_json)
    assert str(raised.value) == f"file:{case['error']}"


@given(documents(PLAIN))
def test_json_is_read_as_it_is(document: dict[str, Any]) -> None:
    assert read(json.dumps(document), is_json=True) == document
    # What is JSON is YAML as well.
    assert read(json.dumps(document, ensure_ascii=False), is_json=False) == document


@given(documents(WORDS), st.sampled_from([None, False, True]))
def test_yaml_is_read_as_it_is(document: dict[str, Any], flow: bool | None) -> None:
    text = yaml.safe_dump(document, default_flow_style=flow, allow_unicode=True)
    assert read(text, is_json=False) == document


@given(documents(PLAIN), st.integers(0, 4))
def test_places_lead_to_the_values(document: dict[str, Any], indent: int) -> None:
    text = json.dumps(document, indent=indent or None, ensure_ascii=False)
    lines = text.split("\n")
    for is_json in (True, False):
        found = tree(text, is_json=is_json)
        for path in paths(document):
            line, column = found.place(path)
            rest = "\n".join([lines[line - 1][column - 1 :], *lines[line:]])
            assert json.JSONDecoder().raw_decode(rest)[0] == at(document, path)
            if path and isinstance(path[-1], str):
                line, column = found.place(path, of_key=True)
                assert json.JSONDecoder().raw_decode(lines[line - 1][column - 1 :])[0] == path[-1]
            assert found.place((*path, "\udcff", 1), of_key=True) == found.place(path), "the nearest above"


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


@pytest.mark.parametrize("is_json", [False, True])
def test_depth_has_a_bound_and_is_no_crash(is_json: bool) -> None:
    with pytest.raises(PolicyError, match=r"^file:1:[0-9]+: nested deeper than the 64 levels allowed$"):
        read("[" * 100_000, is_json=is_json)


@pytest.mark.parametrize("text", ["", "# only a comment\n", "~", "---\n"])
def test_a_file_without_a_value_is_empty(text: str) -> None:
    assert parse_document("a.yaml", text.encode()).data == {}


def test_an_empty_file_is_no_json() -> None:
    with pytest.raises(InvalidConfigError, match=r"^a\.json:1:1: the document is empty, expected JSON$"):
        parse_document("a.json", b" \n")


@given(st.text(max_size=40), st.booleans())
def test_any_text_is_read_or_refused(text: str, is_json: bool) -> None:
    try:
        read(text, is_json=is_json)
    except PolicyError as error:
        assert min(error.line, error.column) >= 1  # noqa: PT017  both ways out are fine
