"""Volumes as the kubelet makes them: owners, modes, and files behind one symbolic link that is swapped."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

_DEFAULT_MODE = 0o644


class Files:
    """The volume of a ConfigMap or a Secret."""

    def __init__(self, folder: Path, group: int, mode: int | None) -> None:
        """An empty one; `mode` as the manifest says."""
        self.folder = folder
        self._group = group
        # With a group for the pod's files, the kubelet lets that group read them.
        self._mode = (_DEFAULT_MODE if mode is None else mode) | 0o440
        self._version = 0
        folder.mkdir()
        os.chown(folder, 0, group)
        folder.chmod(0o2777)
        self.put({})

    def put(self, files: Mapping[str, str]) -> None:
        """Puts these files in place of the others, in one step."""
        self._version += 1
        data = self.folder / f"..2026_11_21_20_00_00.{self._version:09}"
        data.mkdir()
        for name, text in files.items():
            path = data / name
            path.write_text(text, encoding="utf-8")
            os.chown(path, 0, self._group)
            path.chmod(self._mode)
        os.chown(data, 0, self._group)
        data.chmod(0o2755)
        link = self.folder / "..data"
        before = link.resolve() if link.is_symlink() else None
        partial = self.folder / "..data_tmp"
        partial.symlink_to(data.name)
        partial.rename(link)
        for name in files:
            if not (self.folder / name).is_symlink():
                (self.folder / name).symlink_to(f"..data/{name}")
        for entry in self.folder.iterdir():
            if not entry.name.startswith("..") and entry.name not in files:
                entry.unlink()
        if before is not None:
            shutil.rmtree(before)


def empty_dir(folder: Path, group: int) -> None:
    """An `emptyDir` for a pod whose files belong to this group."""
    folder.mkdir()
    os.chown(folder, 0, group)
    folder.chmod(0o2777)


def chosen(source: Mapping[str, Any], files: Mapping[str, str]) -> dict[str, str]:
    """The files of a ConfigMap or a Secret that a volume takes, under the names that it gives them."""
    unknown = source.keys() - {"name", "secretName", "optional", "defaultMode", "items"}
    assert not unknown, f"the kubelet of these tests does not know {unknown}"
    if "items" not in source:
        return dict(files)
    missing = {item["key"] for item in source["items"]} - files.keys()
    assert not missing or source.get("optional"), f"{missing} are not there"
    return {item["path"]: files[item["key"]] for item in source["items"] if item["key"] in files}
