"""Files that are replaced in one step."""

from __future__ import annotations

import os
import stat
import tempfile
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from callgate.config.document import read_bytes
from callgate.config.locks import locked
from callgate.disk import sync
from callgate.errors import ConfigError
from callgate.text import reason_of

if TYPE_CHECKING:
    from collections.abc import Iterator


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
    return ConfigError(f"cannot write `{path}`: {reason_of(error)}")
