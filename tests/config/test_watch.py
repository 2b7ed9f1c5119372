"""Changed files are noticed, however they are changed."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from queue import Empty, Queue
from typing import Any

import pytest
import watchfiles

from callgate.config.files import Files
from callgate.control.watch import Watcher, folders_of
from support.volumes import config_map

TIMEOUT_S = 20.0


@contextmanager
def watching(*paths: Path) -> Iterator[Queue[None]]:
    """Gives a list that fills as changes are noticed."""
    noticed: Queue[None] = Queue()
    watcher = Watcher(lambda: noticed.put(None))
    watcher.watch(files_of(*paths))
    watcher.start()
    try:
        yield noticed
    finally:
        watcher.stop()


def files_of(*paths: Path) -> Files:
    files = Files()
    for path in paths:
        files.add(path)
    return files


def write(path: Path) -> None:
    path.write_text("changed in place")


def rename_over(path: Path) -> None:
    path.with_suffix(".new").write_text("changed by an editor")
    path.with_suffix(".new").rename(path)


def delete(path: Path) -> None:
    path.unlink()


def touch_with_equal_size(path: Path) -> None:
    path.write_text(path.read_text().upper())


@pytest.mark.parametrize("change", [write, rename_over, delete, touch_with_equal_size])
@pytest.mark.parametrize("events", [True, False], ids=["events", "polling"])
def test_a_file(change: Callable[[Path], None], events: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if not events:
        monkeypatch.setattr(watchfiles, "watch", no_watches_left)
    path = tmp_path / "a.yaml"
    path.write_text("as it was")
    with watching(path) as noticed:
        change(path)
        noticed.get(timeout=TIMEOUT_S)
        path.write_text("and once more")
        noticed.get(timeout=TIMEOUT_S)


def no_watches_left(*_args: Any, **_keywords: Any) -> Iterator[None]:
    raise OSError(28, "inotify watch limit reached")


def test_a_file_that_comes_later(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "a.yaml"
    with watching(path) as noticed:
        path.parent.mkdir()
        path.write_text("here")
        noticed.get(timeout=TIMEOUT_S)


def test_a_folder(tmp_path: Path) -> None:
    with watching(tmp_path) as noticed:
        (tmp_path / "a.yaml").write_text("new")
        noticed.get(timeout=TIMEOUT_S)
        (tmp_path / "a.yaml").unlink()
        noticed.get(timeout=TIMEOUT_S)


def test_a_config_map(tmp_path: Path) -> None:
    config_map(tmp_path, "1", {"a.yaml": "one"})
    with watching(tmp_path / "a.yaml") as noticed:
        config_map(tmp_path, "2", {"a.yaml": "two"})
        noticed.get(timeout=TIMEOUT_S)
        assert (tmp_path / "a.yaml").read_text() == "two"
        config_map(tmp_path, "3", {"a.yaml": "six"})
        noticed.get(timeout=TIMEOUT_S)


def test_links_into_other_folders_are_followed(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "a").write_text("1")
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "link").symlink_to("../real")
    named = tmp_path / "here" / "link" / "a"
    assert {tmp_path / "here", tmp_path / "real"} <= folders_of([named])
    with watching(named) as noticed:
        (tmp_path / "real" / "a").write_text("2")
        noticed.get(timeout=TIMEOUT_S)


def test_a_link_to_itself_ends(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    assert tmp_path in folders_of([tmp_path / "loop" / "a"])


def test_what_was_read_is_no_change(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text("1")
    noticed: Queue[None] = Queue()
    watcher = Watcher(lambda: noticed.put(None))
    watcher.watch(files_of(path))
    watcher.start()
    try:
        (tmp_path / "other").write_text("beside it")
        os.utime(path)
        noticed.get(timeout=TIMEOUT_S)
        # Somebody else has read what was written here, and says so before it is noticed.
        path.write_text("2")
        watcher.watch(files_of(path))
        path.write_text("three")
        noticed.get(timeout=TIMEOUT_S)
        with pytest.raises(Empty):
            noticed.get(timeout=0.5)
    finally:
        watcher.stop()


def test_other_files_from_now_on(tmp_path: Path) -> None:
    first, second = tmp_path / "1" / "a", tmp_path / "2" / "b"
    for path in (first, second):
        path.parent.mkdir()
        path.write_text("1")
    noticed: Queue[None] = Queue()
    watcher = Watcher(lambda: noticed.put(None))
    watcher.watch(files_of(first))
    watcher.start()
    try:
        watcher.watch(files_of(second))
        second.write_text("22")
        noticed.get(timeout=TIMEOUT_S)
    finally:
        watcher.stop()
