"""Files that commands make or replace: nothing of others is lost."""

from __future__ import annotations

import os
from pathlib import Path
from threading import Barrier, Thread

import pytest

from callgate.errors import ConfigError
from callgate.workbench.replace import create, put, refuse_sources


def test_of_two_that_make_a_file_one_is_told(tmp_path: Path) -> None:
    file = tmp_path / "made.json"
    start, told = Barrier(8), []

    def make(number: int) -> None:
        start.wait()
        try:
            create(file, str(number).encode())
        except ConfigError as error:
            told.append(str(error))

    threads = [Thread(target=make, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert told == [f"`{file}` was made while the command was running; run it again"] * 7
    assert file.read_text() in map(str, range(8))
    assert [one.name for one in tmp_path.iterdir()] == ["made.json"]


def test_file_systems_without_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_links(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "link", no_links)
    file = tmp_path / "made.json"
    create(file, b"first")
    with pytest.raises(ConfigError, match="was made while the command was running"):
        create(file, b"second")
    assert file.read_bytes() == b"first"
    assert [one.name for one in tmp_path.iterdir()] == ["made.json"]


def test_a_link_that_leads_nowhere_gets_its_file(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "file")
    put(tmp_path / "link", b"text")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "file").read_bytes() == b"text"


def test_permissions_stay(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"before")
    file.chmod(0o600)
    put(file, b"after")
    assert (file.read_bytes(), file.stat().st_mode & 0o777) == (b"after", 0o600)


def test_a_folder_that_is_missing(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"cannot write `.*/none/file`: no such file or directory"):
        put(tmp_path / "none" / "file", b"text")


def test_sources_are_known_by_each_of_their_names(tmp_path: Path) -> None:
    source, other = tmp_path / "source", tmp_path / "other"
    source.write_bytes(b"")
    other.write_bytes(b"")
    (tmp_path / "link").symlink_to(source)
    (tmp_path / "hard").hardlink_to(source)
    refuse_sources([other, tmp_path / "none"], [source, tmp_path / "gone"])
    for name in ("source", "link", "hard"):
        with pytest.raises(ConfigError, match="is read by this command; name another file for its output"):
            refuse_sources([tmp_path / name], [source])
