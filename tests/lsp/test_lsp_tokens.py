"""Keys, values and the cursor of documents that are unfinished."""

from __future__ import annotations

import json
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callgate.config.document import KeyPath, parse_document
from callgate.errors import ConfigError
from callgate.workbench.lsp.tokens import cursor_at, read_tokens, token_at
from support.editor import MARK, split

BLOCK = """\
version: "1"
default: deny
tools:
  a:
    limits:
      - {counter: c, window: minute, max: 3}
      - counter: d  # a comment: not a key
        window: hour
    require:
    - conditions: [{path: args.x, op: eq}, {path: args.y}]
  "b: c": {rate_limit: 5/minute}
  d:
    reason: |
      tools: this is text

      hide: as well
    action: deny
hide: ["x", y*]
"""


def paths(text: str, *, keys: bool) -> list[KeyPath]:
    return [one.path for one in read_tokens(text) if one.is_key is keys]


def test_every_key_and_value_of_a_finished_document_is_found() -> None:
    data = parse_document("p.yaml", BLOCK.encode()).data
    found = {one.path: one.text for one in read_tokens(BLOCK) if not one.is_key}

    def check(value: object, path: KeyPath) -> None:
        if isinstance(value, dict):
            for key, member in value.items():
                assert (*path, key) in keys
                check(member, (*path, key))
        elif isinstance(value, list):
            for index, item in enumerate(value):
                check(item, (*path, index))
        elif path[-1] != "reason":
            assert found.pop(path) == str(value)

    keys = set(paths(BLOCK, keys=True))
    check(data, ())
    assert found == {}


@pytest.mark.parametrize(
    ("text", "path", "is_key"),
    [
        ("‸", (), True),
        ("ver‸", (), True),
        ("version: ‸", ("version",), False),
        ('version: "1‸"', ("version",), False),
        ("tools:\n  a:\n    ‸", ("tools", "a"), True),
        ("tools:\n  a:\n    action: deny\n    ‸\n  b: {}\n", ("tools", "a"), True),
        ("tools:\n  a:\n    action: deny\n  ‸", ("tools",), True),
        ("tools:\n  a:\n    limits:\n    - ‸", ("tools", "a", "limits", 0), True),
        ("tools:\n  a:\n    limits:\n    - counter: x\n      ‸", ("tools", "a", "limits", 0), True),
        ("tools:\n  a:\n    limits:\n    - counter: x\n    - win‸", ("tools", "a", "limits", 1), True),
        ("tools:\n  a: {‸", ("tools", "a"), True),
        ("tools:\n  a: {action: ‸}", ("tools", "a", "action"), False),
        ("tools:\n  a: {limits: [{counter: x, ‸", ("tools", "a", "limits", 0), True),
        ("tools:\n  a: {limits: [{counter: x}, {window: m‸", ("tools", "a", "limits", 1, "window"), False),
        ("hide: [a, ‸", ("hide", 1), False),
        ("hide:\n- a‸", ("hide", 0), True),
        ('{"tools": {"a": {"limits": [{"counter": "c", "win‸', ("tools", "a", "limits", 0), True),
        ('{"tools": {"a": {"action": "‸', ("tools", "a", "action"), False),
        ('{"tools": {"a": {"action": "deny"}, ‸', ("tools",), True),
        ("a: {b: 1\nc:\n  ‸", ("c",), True),
        ("\ufeffver‸", (), True),
        ("a:\r\n  b: ‸\r\n", ("a", "b"), False),
    ],
)
def test_the_cursor_knows_where_it_is(text: str, path: KeyPath, is_key: bool) -> None:
    found = cursor_at(*split(text))
    assert found is not None
    assert (found.path, found.is_key) == (path, is_key)


@pytest.mark.parametrize("text", ["# a ‸", "a: b # c‸", "a: |\n  b‸\n", "a: |\n  b:\n    ‸c\n", "a: {b: 1} # ‸"])
def test_nothing_is_typed_in_comments_and_block_text(text: str) -> None:
    assert cursor_at(*split(text)) is None


def test_long_runs_of_blanks_are_read() -> None:
    blanks = " " * 100_000
    found = read_tokens(f"x: a{blanks}b\ny: c{blanks}# comment\nd{blanks}e: f\ng{blanks}\n{{h: i{blanks}j}}")
    assert [(one.text, one.is_key) for one in found] == [
        ("x", True),
        (f"a{blanks}b", False),
        ("y", True),
        ("c", False),
        (f"d{blanks}e", True),
        ("f", False),
        ("h", True),
        (f"i{blanks}j", False),
    ]
    assert read_tokens(f"a{blanks}b{blanks}c\nd # e: f") == []


def test_the_token_at_an_offset() -> None:
    text = 'a: "b c"\n'
    tokens = read_tokens(text)
    assert [(one.text, one.is_key) for offset in (0, 1, 3, 8) if (one := token_at(tokens, offset))] == [
        ("a", True),
        ("a", True),
        ("b c", False),
        ("b c", False),
    ]
    assert token_at(tokens, 2) is None
    assert token_at([], 0) is None


@pytest.mark.parametrize("end", ["\r\n", "\r"])
def test_lines_end_as_in_yaml(end: str) -> None:
    expected = [(one.path, one.is_key, one.text) for one in read_tokens(BLOCK)]
    text = BLOCK.replace("\n", end)
    assert [(one.path, one.is_key, one.text) for one in read_tokens(text)] == expected
    assert all(text[one.start : one.end].strip("\"'") == one.text for one in read_tokens(text))
    begun = text.rpartition("hide")[0]
    found = cursor_at(begun, len(begun))
    assert found is not None
    assert (found.path, found.is_key) == ((), True)


def test_depth_is_bounded() -> None:
    deep = "[" * 100_000
    assert read_tokens(deep) == []
    assert cursor_at(deep, len(deep)) is None
    dashes = "- " * 100_000
    assert read_tokens(f"{dashes}a") == []
    assert cursor_at(dashes, len(dashes)) is None
    nested = "".join(f"{' ' * depth}a:\n" for depth in range(5_000))
    assert len(read_tokens(nested)) <= 70


DOCUMENTS = st.recursive(
    st.one_of(st.integers(), st.booleans(), st.text(string.ascii_letters + "äöü😀\"'\\: #{}[],", max_size=8)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.text(string.ascii_letters + "é: #", max_size=5), inner, max_size=3),
    ),
    max_leaves=12,
)


@given(st.dictionaries(st.text(string.ascii_letters, min_size=1, max_size=5), DOCUMENTS, max_size=4), st.booleans())
def test_tokens_of_json_are_those_of_the_strict_reader(data: dict[str, object], is_wide: bool) -> None:
    text = json.dumps(data, indent=2 if is_wide else None, ensure_ascii=False)
    document = parse_document("p.json", text.encode())
    starts = [0, *(at + 1 for at, char in enumerate(text) if char == "\n")]
    for one in read_tokens(text):
        line, column = document.place(one.path, of_key=one.is_key)
        assert one.start == starts[line - 1] + column - 1


@given(st.text(st.sampled_from("abx:{}[],\"'#-|> \n\t\\\r😀"), max_size=60), st.integers(0, 60))
def test_any_text_is_read(text: str, offset: int) -> None:
    tokens = read_tokens(text)
    assert all(one.start <= one.end <= len(text) for one in tokens)
    assert [one.start for one in tokens] == sorted(one.start for one in tokens)
    found = cursor_at(text, min(offset, len(text)))
    assert found is None or found.start <= len(text)


def test_the_mark_of_these_cases() -> None:
    assert split(f"a{MARK}b") == ("ab", 1)
    with pytest.raises(ConfigError):
        parse_document("p.yaml", f"a: {MARK}: b".encode())
