"""Keys are taken out of sections, and everything else stays as it is."""

from __future__ import annotations

import pytest

from callgate.config.document import parse_document
from callgate.workbench.edit import remove_member
from callgate.workbench.layout import UneditableError


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("a:\n  b: 1\n  # of c\n  c:\n    - 2\n\n  # of d\n  d: 3\n", "a:\n  b: 1\n  # of c\n\n  # of d\n  d: 3\n"),
        ("a:\n  b: 1\n  c:\n  - 2\n  - 3\n  d: 3\n", "a:\n  b: 1\n  d: 3\n"),
        ("a:\n  b: 1\n  c: {x: 1,\n    y: 2}\ne: 5\n", "a:\n  b: 1\ne: 5\n"),
        ("a: {b: 1, c: 2}  # kept\n", "a: {b: 1}  # kept\n"),
        ("a: {c: 2, d: 3}\n", "a: {d: 3}\n"),
        ("a: {c: [1, {x: 2}]}\n", "a: {}\n"),
        ("a:\n  c: 2\ne: 5\n", "a: {}\ne: 5\n"),
        ("a:\r\n  c: 2\r\n  d: 3\r\n", "a:\r\n  d: 3\r\n"),
    ],
)
def test_a_key_is_removed(before: str, after: str) -> None:
    assert remove_member(parse_document("f.yaml", before.encode()), ("a", "c")).content.decode() == after


def test_json_keeps_its_layout() -> None:
    before = '{\n  "a": {\n    "b": 1,\n    "c": {"x": [1, 2]}\n  }\n}\n'
    after = '{\n  "a": {\n    "b": 1\n  }\n}\n'
    assert remove_member(parse_document("f.json", before.encode()), ("a", "c")).content.decode() == after


def test_the_first_key_of_a_list_item_stays() -> None:
    with pytest.raises(UneditableError):
        remove_member(parse_document("f.yaml", b"a:\n  - c: 1\n    d: 2\n"), ("a", 0, "c"))
