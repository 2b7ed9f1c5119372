"""Volumes as a kubelet writes them."""

from __future__ import annotations

from pathlib import Path


def config_map(folder: Path, version: str, contents: dict[str, str]) -> None:
    """Writes a volume as the kubelet does: a folder of its own, to which one symbolic link is swapped."""
    data = folder / f"..{version}"
    data.mkdir()
    for name, content in contents.items():
        (data / name).write_text(content)
    (folder / "..data_tmp").symlink_to(data.name)
    (folder / "..data_tmp").rename(folder / "..data")
    for name in contents:
        if not (folder / name).is_symlink():
            (folder / name).symlink_to(f"..data/{name}")
