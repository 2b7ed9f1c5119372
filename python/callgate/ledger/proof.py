"""Proofs that one entry is in a signed log, in C2SP's format `tlog-proof`.

A proof holds the entry itself, so that whoever has it and the public key needs nothing else.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from callgate.errors import ConfigError
from callgate.ledger.checkpoint import Checkpoint, parse_checkpoint
from callgate.ledger.files import blocks
from callgate.ledger.lines import Kind, index_of, kind_of, parse_checkpoint_line
from callgate.ledger.tree import Frontier, InclusionPath, leaf_hash, parse_hash, root_of_path

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from callgate.ledger.files import SignedFile
    from callgate.ledger.note import PublicKey

HEADER: Final = "c2sp.org/tlog-proof@v1"
_EXTRA: Final = "extra "
_INDEX: Final = "index "
_MOST_HASHES: Final = 64


@dataclass(frozen=True)
class Proof:
    """An entry, and the way from it to a signed root."""

    entry: bytes
    """The line, without its end."""
    index: int
    path: tuple[bytes, ...]
    checkpoint: Checkpoint

    def __str__(self) -> str:
        """The proof as a file."""
        lines = [HEADER, _EXTRA + base64.b64encode(self.entry).decode(), f"{_INDEX}{self.index}"]
        lines += [base64.b64encode(one).decode() for one in self.path]
        return "\n".join(lines) + "\n\n" + self.checkpoint.note

    def check(self, keys: Iterable[PublicKey]) -> PublicKey:
        """The key that has signed the checkpoint.

        Raises:
            ValueError: It proves nothing, with the reason.
        """
        signer = self.checkpoint.signer(keys)
        if signer is None:
            message = f"no key that was given has signed the checkpoint of `{self.checkpoint.origin}`"
            raise ValueError(message)
        root = root_of_path(leaf_hash(self.entry), self.index, self.checkpoint.size, self.path)
        if root != self.checkpoint.root:
            message = "the entry is not the one that was signed"
            raise ValueError(message)
        return signer


def parse_proof(text: str) -> Proof:
    """Reads a proof.

    Raises:
        ValueError: It is none.
    """
    head, separator, note = text.partition("\n\n")
    lines = head.split("\n")
    if lines[0] != HEADER or not separator:
        message = f"expected a proof, which begins with `{HEADER}`"
        raise ValueError(message)
    if len(lines) < 3 or not lines[1].startswith(_EXTRA) or not lines[2].startswith(_INDEX):  # noqa: PLR2004  the lines before the hashes
        message = "expected lines with `extra`, the entry, and `index`"
        raise ValueError(message)
    digits = lines[2].removeprefix(_INDEX)
    if not digits.isascii() or not digits.isdigit() or str(int(digits[:20])) != digits or len(lines) > 3 + _MOST_HASHES:
        message = "expected a whole number as `index`, and at most 64 hashes"
        raise ValueError(message)
    try:
        entry = base64.b64decode(lines[1].removeprefix(_EXTRA), validate=True)
    except ValueError:
        message = "expected the entry in base64"
        raise ValueError(message) from None
    return Proof(entry, int(digits), tuple(map(parse_hash, lines[3:])), parse_checkpoint(note))


def prove(files: Sequence[SignedFile], index: int, keys: Sequence[PublicKey]) -> Proof:
    """Proves the entry of an index, by the first checkpoint after it that one of the keys has signed.

    Raises:
        ConfigError: There is no such entry, or no checkpoint covers it, or the log is not as it was signed.
    """
    origin = files[0].first.origin
    # The last file that begins before the entry has all that is needed of the tree before it.
    from_file = [number for number, file in enumerate(files) if file.first.index <= index]
    if not from_file:
        message = f"entry {index} of `{origin}` is not here: the log begins at entry {files[0].first.index}"
        raise ConfigError(message)
    rest = files[from_file[-1] :]
    before = rest[0].first
    path = InclusionPath(Frontier(before.index, before.frontier.nodes))
    tree = Frontier(before.index, before.frontier.nodes)
    entry: bytes | None = None
    for line in _lines(rest):
        if entry is not None and kind_of(line) == Kind.CHECKPOINT:
            checkpoint = _checkpoint(line, keys)
            if checkpoint is not None:
                if checkpoint.size != tree.size or checkpoint.root != tree.root():
                    message = (
                        f"the log `{origin}` is not as it was signed: its {tree.size} lines have another root than the "
                        f"checkpoint over {checkpoint.size} entries; `callgate audit verify` says where"
                    )
                    raise ConfigError(message)
                return Proof(entry, index, tuple(path.hashes()), checkpoint)
        if tree.size == index:
            entry = line
        leaf = leaf_hash(line)
        path.append(leaf, is_entry=tree.size == index)
        tree.append(leaf)
    if entry is None:
        message = f"there is no entry {index} in `{origin}`: it has {tree.size} entries"
        raise ConfigError(message)
    message = f"no checkpoint of a key that was given covers entry {index} of `{origin}` yet"
    raise ConfigError(message)


def _lines(files: Sequence[SignedFile]) -> Iterator[bytes]:
    for file in files:
        for lines in blocks(file.path):
            yield from lines


def _checkpoint(line: bytes, keys: Sequence[PublicKey]) -> Checkpoint | None:
    """The checkpoint of a line, if one of the keys has signed it."""
    try:
        checkpoint = parse_checkpoint(parse_checkpoint_line(line).note)
    except ValueError:
        return None
    is_here = checkpoint.size == index_of(line)
    return checkpoint if is_here and checkpoint.signer(keys) is not None else None
