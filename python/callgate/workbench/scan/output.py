"""The file of a catalogue before and after a scan."""

from __future__ import annotations

from typing import TYPE_CHECKING

from callgate.config.document import read_bytes
from callgate.errors import ConfigError
from callgate.text import quoted
from callgate.workbench.catalogue import Catalogue, parse_catalogue, write_catalogue
from callgate.workbench.replace import check_folder, create, replace

if TYPE_CHECKING:
    from pathlib import Path


class CatalogueFile:
    """A file that is read before a scan and written after it."""

    def __init__(self, path: Path) -> None:
        """Reads the file; without one, the catalogue is empty.

        Raises:
            ConfigError: It cannot be read or written, or its name does not end with `.json`.
            InvalidConfigError: It has faults.
        """
        if path.suffix != ".json":
            message = f"--out: expected a name that ends with `.json`, got {quoted(str(path))}"
            raise ConfigError(message)
        # So that nobody waits for servers in vain.
        check_folder(path)
        self.path = path
        self._content = read_bytes(path) if path.exists() or path.is_symlink() else None
        self.catalogue = Catalogue() if self._content is None else parse_catalogue(str(path), self._content)

    def save(self, catalogue: Catalogue) -> None:
        """Writes the file in one step.

        Raises:
            ConfigError: It cannot be written, or has changed since it was read.
        """
        text = write_catalogue(catalogue)
        # A catalogue that cannot be read any more must not take the place of one that can.
        parse_catalogue(str(self.path), text.encode())
        if self._content is None:
            create(self.path, text.encode())
        else:
            replace(self.path, self._content, text.encode())
