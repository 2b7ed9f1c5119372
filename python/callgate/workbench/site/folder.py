"""The folder of a site: built beside its place, and swapped in as a whole."""

from __future__ import annotations

import errno
import json
import os
import secrets
import shutil
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from callgate.config.locks import locked
from callgate.errors import ConfigError
from callgate.text import masked, reason_of, visible

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

MARKER: Final = ".callgate-catalogue"
"""The file that names every file of a site, so that nothing else is ever deleted."""

_MOST_MARKER_BYTES: Final = 1 << 27
_LONGEST_NAME: Final = 60
"""Characters of the folder's name in that of the new one; file systems take some 255 bytes."""


class SiteFolder:
    """A folder that is written as a whole or not at all.

    Use it as a context manager: the end of the block puts the new files in the place of the old ones, and an error
    leaves the old ones as they were.
    """

    def __init__(self, folder: Path) -> None:
        """Takes the place of the folder, which need not exist."""
        self._named = folder
        # A symbolic link stays, and the folder that it leads to is replaced.
        self._folder = Path(os.path.realpath(folder))
        self._files: list[str] = []
        self._new: Path | None = None

    def __enter__(self) -> SiteFolder:  # noqa: PYI034  `Self` is newer than Python 3.10
        """Refuses a folder with files of others or with this process in it, and makes the new one.

        Raises:
            ConfigError: The folder has such files, is or contains the present folder, or nothing can be written beside
                it.
        """
        self._refuse_present_folder()
        with self._alone():
            self._check()
        try:
            self._folder.parent.mkdir(parents=True, exist_ok=True)
            # Made as any other folder, so that the umask of this process decides who may read the site.
            name = f".{self._folder.name[:_LONGEST_NAME]}.{secrets.token_hex(4)}.new"
            (self._folder.parent / name).mkdir()
            self._new = self._folder.parent / name
        except OSError as error:
            raise self._unwritable(error) from None
        return self

    def write(self, path: str, content: str | bytes) -> None:
        """Writes one file; `path` is relative, with `/` between its parts.

        Raises:
            ConfigError: It cannot be written.
        """
        assert self._new is not None, "a site is written inside its `with` block"  # noqa: S101  a fault of this package
        target = self._new / path
        data = content.encode() if isinstance(content, str) else content
        try:
            try:
                target.write_bytes(data)
            except FileNotFoundError:
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(data)
        except OSError as error:
            raise self._unwritable(error) from None
        self._files.append(path)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Puts the new files in place, or removes them after an error."""
        if self._new is None:
            return
        try:
            if kind is None:
                self.write(MARKER, json.dumps(sorted([*self._files, MARKER]), indent=0) + "\n")
                with self._alone():
                    # Again, because building took a while.
                    self._check()
                    self._swap(self._new)
                shutil.rmtree(_old_of(self._new), ignore_errors=True)
        finally:
            shutil.rmtree(self._new, ignore_errors=True)

    def _swap(self, new: Path) -> None:
        old = _old_of(new)
        try:
            if not self._folder.exists():
                new.rename(self._folder)
                return
            self._folder.rename(old)
            try:
                new.rename(self._folder)
            except OSError:
                old.rename(self._folder)
                raise
        except OSError as error:
            if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
                message = (
                    f"cannot write `{self._shown}`: another program wrote it at the same time, and its files are kept"
                )
                raise ConfigError(message) from None
            raise self._unwritable(error) from None

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Waits until no other build checks or swaps a folder beside this one.

        Raises:
            ConfigError: Another process keeps the lock.
        """
        parent = self._folder.parent
        refusal = f"another process has locked `{visible(masked(str(parent)))}`; run the command again"
        with ExitStack() as held:
            # A folder that does not exist yet, or that may not be listed, has no lock, and some file systems of
            # networks have none. What then goes wrong is told where it does.
            with suppress(OSError):
                held.enter_context(locked(parent, refusal))
            yield

    def _refuse_present_folder(self) -> None:
        """Refuses to take the folder from under this process, and from under the shell that has started it."""
        try:
            present = Path(os.path.realpath(Path.cwd()))
        except OSError:
            # It is gone, or may not be looked at: then nobody can be there by its name.
            return
        if self._folder.is_dir() and present.is_relative_to(self._folder):
            message = (
                f"`{self._shown}` would be replaced while this shell is in it; go to another folder, such as with "
                "`cd ..`, or name a new one"
            )
            raise ConfigError(message)

    def _check(self) -> None:
        """Refuses a folder that holds anything but a site of this command."""
        if not os.path.lexists(self._folder):
            return
        if not self._folder.is_dir():
            message = f"`{self._shown}` is not a folder; name a folder that does not exist yet"
            raise ConfigError(message)
        try:
            self._check_files(self._own_files())
        except OSError as error:
            message = f"cannot read `{self._shown}`: {reason_of(error)}"
            raise ConfigError(message) from None

    def _check_files(self, own: frozenset[str]) -> None:
        """Refuses a folder with a file that is not its own."""

        def fail(error: OSError) -> None:
            raise error

        for place, folders, files in os.walk(self._folder, onerror=fail):
            links = [name for name in folders if (Path(place) / name).is_symlink()]
            for name in sorted([*files, *links]):
                found = Path(place) / name
                relative = found.relative_to(self._folder).as_posix()
                if relative not in own:
                    raise ConfigError(self._foreign(relative, has_marker=bool(own)))

    def _own_files(self) -> frozenset[str]:
        """The files that the marker names; none without a marker."""
        marker = self._folder / MARKER
        try:
            if marker.is_symlink() or marker.stat().st_size > _MOST_MARKER_BYTES:
                return frozenset()
            names = json.loads(marker.read_bytes())
        except FileNotFoundError:
            return frozenset()
        except (OSError, ValueError, RecursionError):
            return frozenset()
        is_list = isinstance(names, list) and all(isinstance(name, str) for name in names)
        return frozenset(names) if is_list else frozenset()

    def _foreign(self, relative: str, *, has_marker: bool) -> str:
        file = visible(masked(f"{self._named}/{relative}"))
        if has_marker:
            return f"`{file}` is not part of the site, and building it again would delete it; move it out of the folder"
        return (
            f"`{self._shown}` is not a site that this command has made (it contains `{visible(masked(relative))}`), "
            "and nothing is overwritten; name a new or empty folder"
        )

    @property
    def _shown(self) -> str:
        return visible(masked(str(self._named)))

    def _unwritable(self, error: OSError) -> ConfigError:
        return ConfigError(f"cannot write `{self._shown}`: {reason_of(error)}")


def _old_of(new: Path) -> Path:
    """The name that the folder before gets until it is deleted."""
    return new.with_suffix(".old")
