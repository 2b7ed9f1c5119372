"""The verification of one log: is what is there as it was signed, and is anything missing?

The two questions have different answers. Lines that were changed, moved or taken out between others do not fit to the
checkpoints in the log itself. Lines that were cut off at its end take their checkpoints with them, so that only a
checkpoint that was kept elsewhere shows that they existed.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, Final

from callgate.ledger.checkpoint import Checkpoint, parse_checkpoint
from callgate.ledger.files import blocks
from callgate.ledger.lines import (
    BEGINNING,
    CheckpointLine,
    FileLine,
    Kind,
    fields_of,
    index_of,
    kind_of,
    parse_checkpoint_line,
    parse_file_line,
    time_of,
)
from callgate.ledger.statement import Statement, parse_statement
from callgate.ledger.tree import Frontier, leaf_hash

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from callgate.ledger.files import SignedFile
    from callgate.ledger.note import PublicKey

_MOST_FAULTS: Final = 100
"""Most faults that are told one by one."""


@dataclass(frozen=True)
class TrustedKey:
    """A public key that is believed."""

    key: PublicKey
    expires: datetime | None = None
    """The time from which on it signs nothing any more; None for never."""


@dataclass(frozen=True)
class KnownCheckpoint:
    """A checkpoint that was kept outside of the log."""

    checkpoint: Checkpoint
    is_local: bool = False
    """True for the file beside the log: it shows that lines are missing, and never that none are."""


@dataclass(frozen=True)
class Place:
    """A line of a file."""

    file: Path
    line: int
    """The first has the number 1."""

    def __str__(self) -> str:
        """The place as editors read it."""
        return f"{self.file}:{self.line}"


@dataclass(frozen=True)
class LogFault:
    """Something in a log that is not as it was signed."""

    place: Place
    message: str
    until: Place | None = None
    """The last line among which it is; None for the one line."""


@dataclass
class Verification:
    """The result for one log."""

    origin: str
    first: int
    """The first entry that is there."""
    kept_from: int = 0
    """The first entry that rotation has kept, as the log says."""
    entries: int = 0
    """The number of entries of the log, from its beginning on."""
    decisions: int = 0
    admin_changes: int = 0
    sampled: int = 0
    dropped: int = 0
    resumed: int = 0
    """Entries that were signed after a restart."""
    faults: list[LogFault] = field(default_factory=list)
    more_faults: int = 0
    missing: list[str] = field(default_factory=list)
    """The parts of the log that are known to be missing."""
    signed: int = 0
    """The number of entries that a checkpoint of a trusted key covers, from the beginning of the log on."""
    signed_until: str | None = None
    """The time of the last of them that has one."""
    other_keys: int = 0
    """Checkpoints that no trusted key has signed."""
    breaks: list[str] = field(default_factory=list)
    """The reason for which the log before this one ended."""
    known_until: int | None = None
    """The size of the largest checkpoint from elsewhere that the log agrees with."""
    admin: dict[int, dict[str, Any]] = field(default_factory=dict)
    """The admin changes by their number, if they are wanted."""

    @property
    def is_intact(self) -> bool:
        """True if everything that is signed is as it was signed, and something is signed."""
        return not self.faults and self.signed > 0

    @property
    def is_complete(self) -> bool | None:
        """False if something is missing; true if nothing is up to a checkpoint from elsewhere; None if unknown."""
        if self.missing:
            return False
        return None if self.known_until is None else True

    @property
    def unsigned(self) -> int:
        """Lines at the end that no checkpoint covers yet."""
        return max(0, self.entries - max(self.signed, self.first))


class _Verifier:
    """Reads the files of one log."""

    def __init__(
        self, origin: str, keys: Iterable[TrustedKey], known: Sequence[KnownCheckpoint], *, keeps_admin: bool
    ) -> None:
        self._keys = {one.key: one for one in keys}
        self._known = [one for one in known if one.checkpoint.origin == origin]
        self._wanted = sorted({one.checkpoint.size for one in self._known}, reverse=True)
        self._roots: dict[int, bytes] = {}
        self._keeps_admin = keeps_admin
        self.result = Verification(origin, 0)
        self._tree = Frontier()
        # From a fault on, the tree is unknown, until a line has its hashes.
        self._is_lost = False
        self._is_first = True
        self._file: Path | None = None
        self._line = 0
        # The last line that was known to be right.
        self._right: Place | None = None
        self._last: bytes = b""

    def read(self, file: SignedFile, progress: Callable[[int], None]) -> None:
        """Reads the next file."""
        self._file, self._line = file.path, 0
        if self._is_first:
            self._is_first = False
            self._begin(file.first)
        for lines in blocks(file.path):
            self._read_lines(lines)
            progress(sum(map(len, lines)) + len(lines))

    def _begin(self, first: FileLine) -> None:
        self._tree = Frontier(first.index, first.frontier.nodes)
        self.result.first = first.index
        if first.broken is not None:
            self.result.breaks.append(first.broken)

    def _read_lines(self, lines: Iterable[bytes]) -> None:
        # One local name each: this runs once for each line of gigabytes.
        beginning, tree, result = BEGINNING, self._tree, self.result
        for line in lines:
            self._line += 1
            if self._wanted and tree.size >= self._wanted[-1]:
                self._take_roots()
            if line.startswith(beginning):
                self._own(line)
                tree = self._tree
            else:
                if not line.endswith(b',"index":%d}' % tree.size):
                    self._other_index(line)
                result.decisions += 1
            tree.append(leaf_hash(line))
            self._last = line

    def _here(self) -> Place:
        assert self._file is not None  # noqa: S101  a line is of a file
        return Place(self._file, self._line)

    def _fault(self, message: str, begin: Place | None = None) -> None:
        """Notes a fault, at this line or from `begin` to it; the next line with hashes ends it."""
        here = self._here()
        fault = LogFault(here, message) if begin is None else LogFault(begin, message, here)
        if self._is_lost:
            return
        if len(self.result.faults) < _MOST_FAULTS:
            self.result.faults.append(fault)
        else:
            self.result.more_faults += 1
        self._is_lost = True

    def _take_roots(self) -> None:
        """Keeps the root of the tree for the checkpoints from elsewhere that have its size."""
        while self._wanted and self._tree.size >= self._wanted[-1]:
            size = self._wanted.pop()
            if size == self._tree.size and not self._is_lost:
                self._roots[size] = self._tree.root()

    def _other_index(self, line: bytes) -> None:
        """Judges a line that is not the next entry, by what stands in it: one without an index was cut by a crash."""
        index = index_of(line)
        if index is not None and index != self._tree.size:
            self._fault(f"expected entry {self._tree.size}, found entry {index}")

    def _own(self, line: bytes) -> None:
        kind = kind_of(line)
        if kind is None:
            return
        if kind == Kind.FILE:
            self._file_line(line)
        elif kind == Kind.CHECKPOINT:
            self._checkpoint_line(line)
        else:
            self._other_index(line)
            self._told(kind, line)

    def _told(self, kind: str, line: bytes) -> None:
        """Takes the facts of a line; whether they were signed shows at the next checkpoint."""
        try:
            fields = fields_of(line)
            if kind == Kind.GAP:
                count = int(fields["count"])
                if fields["reason"] == "sampled":
                    self.result.sampled += count
                else:
                    self.result.dropped += count
            elif kind == Kind.RESUME:
                self.result.resumed += int(fields["unsigned"])
            elif kind == Kind.ADMIN:
                self.result.admin_changes += 1
                if self._keeps_admin:
                    self.result.admin[int(fields["number"])] = fields
            elif kind == Kind.KEY:
                self._key(parse_statement(fields["statement"]))
        except (ValueError, KeyError, TypeError) as error:
            self._fault(f"a line of the kind `{kind}` cannot be read: {error}")

    def _key(self, statement: Statement) -> None:
        """Believes a key that a trusted one has named as the next."""
        former = statement.former
        if former in self._keys and statement.is_signed_by(former) and statement.is_signed_by(statement.key):
            self._keys.setdefault(statement.key, TrustedKey(statement.key, statement.expires))

    def _file_line(self, line: bytes) -> None:
        try:
            read = parse_file_line(line)
        except ValueError as error:
            self._fault(f"the first line of a file cannot be read: {error}")
            return
        if read.origin != self.result.origin:
            self._fault(f"expected the log `{self.result.origin}`, found `{read.origin}`")
            return
        if read.index > self._tree.size and not self._is_lost:
            self.result.missing.append(f"entries {self._tree.size} to {read.index - 1} before {self._here()}")
            self._fault(f"expected entry {self._tree.size}, found entry {read.index}: a file is missing")
        elif read.index < self._tree.size:
            self._fault(f"expected entry {self._tree.size}, found entry {read.index}")
        elif read.frontier.nodes != self._tree.nodes:
            self._fault("the hashes of the tree do not fit to the lines before", self._next_after_right())
        self.result.kept_from = read.kept_from
        if self._is_lost:
            self._find(read.frontier)

    def _find(self, frontier: Frontier) -> None:
        """Goes on with the hashes that a line has: the next checkpoint shows that they are right."""
        self._tree = Frontier(frontier.size, frontier.nodes)
        self._is_lost = False
        self._right = self._here()

    def _next_after_right(self) -> Place | None:
        """The first line after the last one that was known to be right, if it is in this file."""
        right, here = self._right, self._here()
        if right is None or right.file != here.file:
            return Place(here.file, 1) if here.line > 1 else None
        return Place(right.file, right.line + 1) if right.line + 1 < here.line else None

    def _checkpoint_line(self, line: bytes) -> None:
        self._other_index(line)
        try:
            read = parse_checkpoint_line(line)
            checkpoint = parse_checkpoint(read.note)
        except ValueError as error:
            self._fault(f"a checkpoint cannot be read: {error}")
            return
        signer = checkpoint.signer(self._keys)
        if signer is None:
            # One of a key that is unknown, or a forged one: it shows nothing, and a later one may cover it.
            self.result.other_keys += 1
            return
        if checkpoint.origin != self.result.origin or checkpoint.size != index_of(line):
            self._fault(f"a checkpoint of the log `{checkpoint.origin}` over {checkpoint.size} entries stands here")
            return
        if self._is_lost:
            self._recover(read, checkpoint)
        elif checkpoint.root != self._tree.root():
            self._fault("these lines are not as they were signed", self._next_after_right())
            self._recover(read, checkpoint)
        elif read.frontier is not None and read.frontier.nodes != self._tree.nodes:
            self._fault("the hashes of a checkpoint are not those of the tree")
        if not self._is_lost and self._is_in_time(signer):
            self._signed(checkpoint)

    def _recover(self, read: CheckpointLine, checkpoint: Checkpoint) -> None:
        """Goes on with the hashes of a checkpoint after a fault."""
        if read.frontier is not None and read.frontier.root() == checkpoint.root:
            self._find(read.frontier)

    def _is_in_time(self, signer: PublicKey) -> bool:
        expires = self._keys[signer].expires
        if expires is None:
            return True
        at = _moment(time_of(self._last))
        if at is not None and at >= expires:
            self._fault(f"signed after the end of its key, {expires.isoformat()}")
            self._is_lost = False
            return False
        return True

    def _signed(self, checkpoint: Checkpoint) -> None:
        # The line of the checkpoint is covered as well: it has one form for each checkpoint.
        self.result.signed = checkpoint.size + 1
        self.result.signed_until = time_of(self._last) or self.result.signed_until
        self._right = self._here()

    def finish(self) -> Verification:
        """Compares with the checkpoints from elsewhere."""
        self._take_roots()
        result = self.result
        last = index_of(self._last)
        result.entries = last + 1 if self._is_lost and last is not None else self._tree.size
        if result.first > result.kept_from:
            result.missing.append(
                f"entries {result.kept_from} to {result.first - 1}, which rotation had kept: older files are not here"
            )
        for known in sorted(self._known, key=lambda one: one.checkpoint.size):
            self._compare(known)
        return result

    def _compare(self, known: KnownCheckpoint) -> None:
        result, checkpoint = self.result, known.checkpoint
        if checkpoint.signer(self._keys) is None:
            return
        if checkpoint.size > result.entries:
            what = f"entries {result.entries} to {checkpoint.size - 1}, cut off: a checkpoint is over them"
            result.missing = [one for one in result.missing if "cut off" not in one] + [what]
            return
        root = self._roots.get(checkpoint.size)
        if root is None:
            return
        if root != checkpoint.root:
            assert self._file is not None  # noqa: S101  a root is of lines
            message = (
                f"another checkpoint over {checkpoint.size} entries was signed: the log was replaced or continued twice"
            )
            result.faults.append(LogFault(Place(self._file, self._line), message))
        elif not known.is_local:
            result.known_until = checkpoint.size


def verify(
    origin: str,
    files: Sequence[SignedFile],
    keys: Iterable[TrustedKey],
    known: Sequence[KnownCheckpoint] = (),
    *,
    keeps_admin: bool = False,
    progress: Callable[[int], None] = lambda _bytes: None,
) -> Verification:
    """Verifies one log, in constant memory.

    Args:
        origin: The name of the log.
        files: Its files, in the order of their entries.
        keys: The keys that are believed.
        known: Checkpoints that were kept outside of it, of this and other logs.
        keeps_admin: Keep the admin changes, to be compared with those of the store.
        progress: Takes the bytes that were read since the last call.

    Raises:
        ConfigError: A file cannot be read.
    """
    verifier = _Verifier(origin, keys, known, keeps_admin=keeps_admin)
    for file in files:
        verifier.read(file, progress)
    return verifier.finish()


def _moment(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        return datetime.fromisoformat(text.replace("Z", "+00:00")).astimezone(timezone.utc)
    except ValueError:
        return None
