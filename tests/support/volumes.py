"""Volumes as a kubelet writes them."""

from __future__ import annotations

from pathlib import Path


def config_map(folder: Path, version: str, contents: dict[str, str]) -> None:
    """Writes a volume like the kubelet: into a new folder, to which one symbolic link is switched."""
    data = folder / f"..{version}"
    data.mkdir()
    for name, content in contents.items():
        (data / name).write_text(content)
    (folder / "..data_tmp").symlink_to(data.name)
    (folder / "..data_tmp").rename(folder / "..data")
    for name in contents:
        if not (folder / name).is_symlink():
            (folder / name).symlink_to(f"..data/{name}")
