"""Owners and modes of SQLite's store: refused where somebody else could have written it, as ssh does with its keys.

Whoever can write the file can write any answer into it, and whoever can write its folder can put another file there.
Folders above are not looked at: who swaps the folder for one of their own fails at its owner.
"""

from __future__ import annotations

import grp
import os
import pwd
import shlex
import stat
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from callgate.store.errors import StoreUnsafeError
from callgate.store.sqlite_file import files_beside

if TYPE_CHECKING:
    from pathlib import Path

    from callgate.store.place import Place

_ROOT: Final = 0
_ACL: Final = "system.posix_acl_access"


def check_owners(place: Place) -> None:
    """Refuses a store that others than this user and root could have written; nothing is said of what is not there.

    Raises:
        StoreUnsafeError: The folder, the file or one beside it belongs to somebody else, can be written by others, or
            is a link.
    """
    if place.path is None:
        return
    folders = [place.path.parent] if place.link is None else [place.link.parent, place.path.parent]
    for folder in folders:
        with suppress(FileNotFoundError):
            _check("folder", folder, folder.stat())
    for file in (place.path, *files_beside(place.path)):
        with suppress(FileNotFoundError):
            facts = file.lstat()
            if stat.S_ISLNK(facts.st_mode):
                message = f"`{file}` is a link, which callgate did not make; remove it"
                raise StoreUnsafeError(message)
            _check("file", file, facts)


def _check(noun: str, path: Path, facts: os.stat_result) -> None:
    if facts.st_uid not in {_ROOT, os.geteuid()}:
        owner, word = _name(facts.st_uid), shlex.quote(str(path))
        message = (
            f"the {noun} `{path}` of the store belongs to the user `{owner}`, who could write any answer into it; run "
            f"callgate as this user (`sudo -u {shlex.quote(owner)} callgate ...`), or, if you trust what is in it, "
            f"`chown {shlex.quote(_name(os.geteuid()))} {word}`"
        )
        raise StoreUnsafeError(message)
    if facts.st_mode & stat.S_IWOTH or (facts.st_mode & stat.S_IWGRP and not _is_private(path, facts.st_gid)):
        other = "; or name a folder of its own with --state (key `state`)" if noun == "folder" else ""
        message = (
            f"the {noun} `{path}` of the store can be written by other users, who could write any answer into it; if "
            f"you trust what is in it, `chmod go-w {shlex.quote(str(path))}`{other}"
        )
        raise StoreUnsafeError(message)


def _is_private(path: Path, group: int) -> bool:
    """True for a group of this process of which nobody else is known to be a member.

    Such are the private group of a user, and the group that Kubernetes gives a volume (`fsGroup`).
    """
    if group not in {os.getegid(), *os.getgroups()} or _has_acl(path):
        return False
    users = pwd.getpwall()
    members = {user.pw_uid for user in users if user.pw_gid == group}
    # A container's group may have no name.
    with suppress(KeyError):
        names = set(grp.getgrgid(group).gr_mem)
        members |= {user.pw_uid for user in users if user.pw_name in names}
    return members <= {_ROOT, os.geteuid()}


def _has_acl(path: Path) -> bool:
    """True if an access control list may let further users write; the mode shows their rights as those of the group."""
    if not hasattr(os, "listxattr"):
        return False
    with suppress(OSError):
        return _ACL in os.listxattr(path)
    return False


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"#{uid}"
