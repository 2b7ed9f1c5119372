"""Changes of the files of a run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from callgate.config.document import SUFFIXES
from callgate.config.files import fingerprint

if TYPE_CHECKING:
    from callgate.config.files import Files, Fingerprint


def is_changed(files: Files) -> bool:
    """True if another run may have other results: a file that was read has changed, or a document has come or gone.

    Other files in the folders of tests do not matter, such as the state of a sidecar, which changes with each call.
    """
    return _of_documents(files.seen, files) != _of_documents(fingerprint(files.paths), files)


def _of_documents(stamps: Fingerprint, files: Files) -> Fingerprint:
    found: Fingerprint = {}
    for name, stamp in stamps.items():
        path = Path(name)
        if path in files.paths and not path.is_dir():
            found[name] = stamp
        elif path.suffix in SUFFIXES:
            # Its name alone: it may be a new file of tests.
            found[name] = None
    return found
