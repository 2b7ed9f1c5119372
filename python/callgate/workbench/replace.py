"""Files that are made or replaced in one step."""

from __future__ import annotations

import os
import secrets
import stat
import tempfile
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from callgate.config.document import read_bytes
from callgate.config.locks import locked
from callgate.disk import sync
from callgate.errors import ConfigError
from callgate.text import masked, reason_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_LONGEST_NAME: Final = 60
"""Characters of a file's name in that of its new contents; file systems take some 255 bytes."""


def replace(path: Path, before: bytes, after: bytes) -> None:
    """Gives a file new contents: a reader sees the old ones or the new ones, and never a part.

    A symbolic link stays, and the file that it leads to is replaced. The new file has the permissions, the owner and
    the extended attributes of the old one.

    Raises:
        ConfigError: The file does not contain `before` any more, or cannot be replaced; it is then unchanged.
    """
    target = Path(os.path.realpath(path))
    try:
        # The name begins with a dot, so that nobody who reads the folder takes it for a file of grants.
        handle, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    except OSError as error:
        raise _unwritable(path, error) from None
    partial = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(after)
            _take_over(target, file.fileno())
            file.flush()
            os.fsync(file.fileno())
        # Other commands neither compare nor replace the file meanwhile.
        with locked(target, f"another process has locked `{target}`; run the command again"):
            # By its path: whoever had the lock before has put another file there.
            if read_bytes(target) != before:
                message = f"`{path}` has changed while the command was running; run it again"
                raise ConfigError(message)
            partial.replace(target)
        sync(target.parent)
    except OSError as error:
        raise _unwritable(path, error) from None
    finally:
        partial.unlink(missing_ok=True)


def create(path: Path, content: bytes) -> None:
    """Makes a file: a reader sees all of it or no file. A link that leads nowhere stays, and gets its file.

    Raises:
        ConfigError: There is such a file by now, or it cannot be made.
    """
    target = Path(os.path.realpath(path))
    partial = target.with_name(f".{target.name[:_LONGEST_NAME]}.{secrets.token_hex(4)}")
    try:
        try:
            with partial.open("xb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            _place(partial, target)
        finally:
            partial.unlink(missing_ok=True)
        sync(target.parent)
    except FileExistsError:
        message = f"`{masked(str(path))}` was made while the command was running; run it again"
        raise ConfigError(message) from None
    except OSError as error:
        raise _unwritable(path, error) from None


def check_folder(path: Path) -> None:
    """Makes sure that a file can be made or replaced where a path leads.

    Raises:
        ConfigError: It cannot.
    """
    target = Path(os.path.realpath(path))
    try:
        # Each way to write it makes another file beside it first.
        with tempfile.TemporaryFile(prefix=f".{target.name[:_LONGEST_NAME]}.", dir=target.parent):
            pass
    except OSError as error:
        raise _unwritable(path, error) from None


def _place(partial: Path, target: Path) -> None:
    """Gives a new file its name, unless another process has made one with it meanwhile."""
    try:
        os.link(partial, target)
    except FileExistsError:
        raise
    except OSError:
        # Some file systems have no links. A moment stays in which the other process is not seen.
        if os.path.lexists(target):
            raise FileExistsError from None
        partial.rename(target)


def put(path: Path, content: bytes) -> None:
    """Gives a file contents, as `replace` does if it exists and as `create` does if not.

    Raises:
        ConfigError: It cannot be written, or somebody else writes it at the same time.
    """
    if path.exists():
        replace(path, read_bytes(path), content)
    else:
        create(path, content)


def refuse_sources(outputs: Iterable[Path], sources: Iterable[Path]) -> None:
    """Makes sure that a command does not overwrite what it reads.

    Raises:
        ConfigError: A file of the output is one of the sources, by the same or another name.
    """
    known = {identity for source in sources if (identity := identity_of(source)) is not None}
    for output in outputs:
        if identity_of(output) in known:
            message = f"`{masked(str(output))}` is read by this command; name another file for its output"
            raise ConfigError(message)


def identity_of(path: Path) -> tuple[int, int] | None:
    """The identity of a file, which links to it share; None if there is no such file."""
    try:
        facts = path.stat()
    except (OSError, ValueError):
        return None
    return (facts.st_dev, facts.st_ino) if stat.S_ISREG(facts.st_mode) else None


def _take_over(target: Path, handle: int) -> None:
    """Gives an open file the owner, the extended attributes and the permissions of another one."""
    facts = target.stat()
    own = os.fstat(handle)
    if (facts.st_uid, facts.st_gid) != (own.st_uid, own.st_gid):
        os.chown(handle, facts.st_uid, facts.st_gid)
    for name, value in _attributes(target):
        # A label of the system's own policy may not be given away: the new file then has that of its folder.
        with suppress(OSError) if name.startswith("security.") else nullcontext():
            os.setxattr(handle, name, value)
    # Last, because a new owner and an access list change the permissions.
    os.chmod(handle, stat.S_IMODE(facts.st_mode))


def _attributes(target: Path) -> Iterator[tuple[str, bytes]]:
    """The extended attributes, such as an access list; none where the file system has none."""
    try:
        names = os.listxattr(target)
    except OSError:
        return
    for name in names:
        yield name, os.getxattr(target, name)


def _unwritable(path: Path, error: OSError) -> ConfigError:
    return ConfigError(f"cannot write `{masked(str(path))}`: {reason_of(error)}")
