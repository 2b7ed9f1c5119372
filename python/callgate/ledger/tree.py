"""The Merkle tree of RFC 6962, section 2.1, as far as a log that is read from its beginning needs it."""

from __future__ import annotations

import base64
from hashlib import sha256
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

HASH_BYTES: Final = 32
_LEAF: Final = b"\0"
_NODE: Final = b"\1"


def leaf_hash(entry: bytes) -> bytes:
    """The hash of one entry."""
    return sha256(_LEAF + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash of two subtrees."""
    return sha256(_NODE + left + right).digest()


def parse_hash(text: str) -> bytes:
    """A hash in base64.

    Raises:
        ValueError: It is none, or is not written as callgate writes it.
    """
    try:
        content = base64.b64decode(text, validate=True)
    except ValueError:
        content = b""
    # Base64 has bits at its end that mean nothing: one hash has one form.
    if len(content) != HASH_BYTES or base64.b64encode(content).decode() != text:
        message = "expected the base64 of 32 bytes"
        raise ValueError(message)
    return content


class Frontier:
    """The roots of the complete subtrees at the right edge of a tree, the largest first."""

    def __init__(self, size: int = 0, nodes: Sequence[bytes] = ()) -> None:
        """Takes the number of entries, and one root for each of its bits that is set.

        Raises:
            ValueError: There is another number of roots.
        """
        if len(nodes) != size.bit_count():
            message = f"expected {size.bit_count()} hashes for a tree of {size} entries, got {len(nodes)}"
            raise ValueError(message)
        self.size = size
        self.nodes = list(nodes)

    def append(self, leaf: bytes) -> None:
        """Adds an entry by its hash."""
        node, size, nodes = leaf, self.size, self.nodes
        while size & 1:
            node = sha256(_NODE + nodes.pop() + node).digest()
            size >>= 1
        nodes.append(node)
        self.size += 1

    def root(self) -> bytes:
        """The root of the tree."""
        if not self.nodes:
            return sha256(b"").digest()
        *rest, node = self.nodes
        for left in reversed(rest):
            node = node_hash(left, node)
        return node


class InclusionPath:
    """A tree that grows, and the hashes beside the way from one of its entries to the root."""

    def __init__(self, frontier: Frontier) -> None:
        """Takes the tree before the entry."""
        # Each subtree with true if it contains the entry.
        self._nodes = [(node, False) for node in frontier.nodes]
        self._size = frontier.size
        self._path: list[bytes] = []

    def append(self, leaf: bytes, *, is_entry: bool = False) -> None:
        """Adds an entry by its hash; `is_entry` marks the one whose path is wanted."""
        node, size = (leaf, is_entry), self._size
        while size & 1:
            node = self._joined(self._nodes.pop(), node, self._path)
            size >>= 1
        self._nodes.append(node)
        self._size += 1

    def hashes(self) -> list[bytes]:
        """The path in the tree of now, from the entry's sibling to a child of the root."""
        path = list(self._path)
        *rest, node = self._nodes
        for left in reversed(rest):
            node = self._joined(left, node, path)
        return path

    @staticmethod
    def _joined(left: tuple[bytes, bool], right: tuple[bytes, bool], path: list[bytes]) -> tuple[bytes, bool]:
        if left[1]:
            path.append(right[0])
        elif right[1]:
            path.append(left[0])
        return node_hash(left[0], right[0]), left[1] or right[1]


def root_of_path(leaf: bytes, index: int, size: int, path: Sequence[bytes]) -> bytes:
    """The root of a tree that has this entry at this index, by RFC 9162, section 2.1.3.2.

    Raises:
        ValueError: The path does not fit to the index and the size.
    """
    message = "the proof does not fit to its index and to the size of the tree"
    if not 0 <= index < size:
        raise ValueError(message)
    node, last = leaf, size - 1
    for beside in path:
        if last == 0:
            raise ValueError(message)
        if index & 1 or index == last:
            node = node_hash(beside, node)
            while not index & 1 and index:
                index, last = index >> 1, last >> 1
        else:
            node = node_hash(node, beside)
        index, last = index >> 1, last >> 1
    if last:
        raise ValueError(message)
    return node
