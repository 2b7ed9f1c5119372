"""The tree and the proofs, against the definition of RFC 6962."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callgate.ledger.tree import Frontier, InclusionPath, leaf_hash, node_hash, parse_hash, root_of_path
from support.signed_logs import root, shown, subtrees


def entries(count: int) -> list[bytes]:
    return [f"entry {number}".encode() for number in range(count)]


def grown(items: list[bytes]) -> Frontier:
    tree = Frontier()
    for item in items:
        tree.append(leaf_hash(item))
    return tree


def test_every_size_has_the_root_of_the_definition() -> None:
    items = entries(70)
    for size in range(len(items) + 1):
        tree = grown(items[:size])
        assert (tree.size, tree.root(), tree.nodes) == (size, root(items[:size]), subtrees(items[:size]))
        assert Frontier(size, tree.nodes).root() == tree.root()


def path_of_definition(items: list[bytes], index: int) -> list[bytes]:
    """`PATH` of RFC 6962, section 2.1.1."""
    if len(items) == 1:
        return []
    split = 1 << (len(items) - 1).bit_length() - 1
    left, right = items[:split], items[split:]
    if index < split:
        return [*path_of_definition(left, index), root(right)]
    return [*path_of_definition(right, index - split), root(left)]


@given(st.integers(1, 40), st.data())
def test_a_path_is_that_of_the_definition_from_any_beginning(size: int, data: st.DataObject) -> None:
    index = data.draw(st.integers(0, size - 1))
    begin = data.draw(st.integers(0, index))
    items = entries(size)
    path = InclusionPath(Frontier(begin, subtrees(items[:begin])))
    for number, item in enumerate(items[begin:], begin):
        path.append(leaf_hash(item), is_entry=number == index)
    assert path.hashes() == path_of_definition(items, index)
    assert root_of_path(leaf_hash(items[index]), index, size, path.hashes()) == root(items)


def test_no_other_place_size_or_path_gives_the_root() -> None:
    items = entries(13)
    for index in range(len(items)):
        path, leaf = path_of_definition(items, index), leaf_hash(items[index])
        for other in range(-1, 15):
            if other != index:
                assert_not_proven(leaf, other, 13, path, items)
        for size in (0, index, 12, 14, 26):
            assert_not_proven(leaf, index, size, path, items, is_other_size=True)
        assert_not_proven(leaf, index, 13, path[:-1], items)
        assert_not_proven(leaf, index, 13, [*path, path[0]], items)
        assert_not_proven(leaf, index, 13, path[::-1], items)


def assert_not_proven(
    leaf: bytes, index: int, size: int, path: list[bytes], items: list[bytes], *, is_other_size: bool = False
) -> None:
    try:
        found = root_of_path(leaf, index, size, path)
    except ValueError:
        return
    # A size is compared with that of the checkpoint, whose root is of another tree.
    assert found != (root(entries(30)[:size]) if is_other_size else root(items))


def test_an_entry_is_no_subtree() -> None:
    left, right = leaf_hash(b"a"), leaf_hash(b"b")
    assert leaf_hash(left + right) != node_hash(left, right)


def test_a_hash_has_one_form() -> None:
    text = shown(leaf_hash(b""))
    assert parse_hash(text) == leaf_hash(b"")
    for other in ("", text[:-1], text + "=", f" {text}", text[:-2] + "B=" if text[-2] != "B" else text[:-2] + "C="):
        with pytest.raises(ValueError, match="base64"):
            parse_hash(other)
    with pytest.raises(ValueError, match="expected 2 hashes"):
        Frontier(3, [leaf_hash(b"")])
