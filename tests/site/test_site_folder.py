"""The folder of a site: nothing of others is overwritten, and readers never see half of it."""

from __future__ import annotations

import errno
import fcntl
import json
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from callgate.config.locks import locked
from callgate.errors import ConfigError
from callgate.workbench.catalogue import Catalogue, CatalogueServer, Tool
from callgate.workbench.site import build_site
from callgate.workbench.site.folder import MARKER, SiteFolder
from support.catalogue_site import contents


def catalogue(*names: str) -> Catalogue:
    return Catalogue({"s": CatalogueServer({name: Tool(name, category="Read", risk="low") for name in names})})


def refused(folder: Path) -> str:
    before = contents(folder) if folder.is_dir() else {}
    with pytest.raises(ConfigError) as error:
        build_site(catalogue("a"), folder)
    assert (contents(folder) if folder.is_dir() else {}) == before
    assert [path.name for path in folder.resolve().parent.iterdir() if path.name.startswith(".")] == []
    return str(error.value)


def test_removed_tools_lose_their_pages(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "site"
    build_site(catalogue("a", "b"), folder)
    assert (folder / "tools/s/b.html").is_file()
    build_site(catalogue("a"), folder)
    assert (folder / "tools/s/a.html").is_file()
    assert not (folder / "tools/s/b.html").exists()
    assert [path.name for path in folder.parent.iterdir()] == ["site"]
    listed = json.loads((folder / MARKER).read_text())
    assert listed == sorted(contents(folder))


def test_an_empty_folder_is_taken(tmp_path: Path) -> None:
    (tmp_path / "site").mkdir()
    build_site(catalogue("a"), tmp_path / "site")
    assert (tmp_path / "site/index.html").is_file()


def test_folders_of_others_are_refused(tmp_path: Path) -> None:
    folder = tmp_path / "site"
    folder.mkdir()
    (folder / "thesis.txt").write_text("years of work")
    assert "is not a site that this command has made (it contains `thesis.txt`)" in refused(folder)
    # A marker of another program, or one that names nothing.
    for content in ("{}", "[1]", "no JSON", "[" * 100_000):
        (folder / MARKER).write_text(content)
        assert "is not a site that this command has made" in refused(folder)


def test_further_files_in_a_site_are_refused(tmp_path: Path) -> None:
    folder = tmp_path / "site"
    build_site(catalogue("a"), folder)
    (folder / "tools" / "CNAME").write_text("tools.example.com")
    assert "site/tools/CNAME` is not part of the site" in refused(folder)
    (folder / "tools" / "CNAME").unlink()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "kept").write_text("kept")
    (folder / "link").symlink_to(tmp_path / "elsewhere")
    assert "site/link` is not part of the site" in refused(folder)
    assert (tmp_path / "elsewhere" / "kept").read_text() == "kept"


def test_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "site").write_text("x")
    assert "is not a folder" in refused(tmp_path / "site")
    assert (tmp_path / "site").read_text() == "x"


def test_a_link_stays(tmp_path: Path) -> None:
    build_site(catalogue("a"), tmp_path / "real")
    (tmp_path / "site").symlink_to(tmp_path / "real")
    build_site(catalogue("b"), tmp_path / "site")
    assert (tmp_path / "site").is_symlink()
    assert (tmp_path / "real/tools/s/b.html").is_file()


def test_an_error_leaves_the_old_site(tmp_path: Path) -> None:
    folder = tmp_path / "site"
    build_site(catalogue("a"), folder)
    before = contents(folder)

    def fail() -> None:
        with SiteFolder(folder) as target:
            target.write("index.html", "half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert contents(folder) == before
    assert [path.name for path in tmp_path.iterdir()] == ["site"]


def test_a_file_that_comes_meanwhile_is_kept(tmp_path: Path) -> None:
    folder = tmp_path / "site"
    build_site(catalogue("a"), folder)

    def write() -> None:
        with SiteFolder(folder) as target:
            target.write("index.html", "new")
            (folder / "late").write_text("late")

    with pytest.raises(ConfigError, match="is not part of the site"):
        write()
    assert (folder / "late").read_text() == "late"
    assert [path.name for path in tmp_path.iterdir()] == ["site"]


@pytest.mark.parametrize("below", ["", "tools/s"])
def test_the_folder_of_a_shell_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, below: str) -> None:
    folder = tmp_path / "site"
    build_site(catalogue("a"), folder)
    (tmp_path / "link").symlink_to("site")
    for place in (Path(os.path.relpath(folder, folder / below)), folder, tmp_path / "link"):
        monkeypatch.chdir(folder / below)
        message = "would be replaced while this shell is in it; go to another folder, such as with `cd ..`"
        assert message in refused(place)
    monkeypatch.chdir(tmp_path)
    build_site(catalogue("a"), folder)


def test_a_shell_whose_folder_is_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    build_site(catalogue("a"), tmp_path / "site")
    assert (tmp_path / "site/index.html").is_file()


def test_builds_at_once_end_with_one_whole_site(tmp_path: Path) -> None:
    folder = tmp_path / "site"

    def build(name: str) -> None:
        with SiteFolder(folder) as target:
            for number in range(3):
                target.write(f"{name}{number}", name)

    with ThreadPoolExecutor(8) as pool:
        # It raises what a build has raised.
        list(pool.map(build, "abcdefgh" * 50))
    found = {path.name for path in folder.iterdir()} - {MARKER}
    assert found == {f"{min(found)[0]}{number}" for number in range(3)}
    assert [path.name for path in tmp_path.iterdir()] == ["site"]


def test_a_lock_that_another_process_keeps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever may read the folder may lock it, so a wait without an end would stop every build."""
    monkeypatch.setattr("callgate.config.locks._PATIENCE_S", 0.0)
    with locked(tmp_path, "it is free"):
        assert refused(tmp_path / "site") == f"another process has locked `{tmp_path}`; run the command again"
    build_site(catalogue("a"), tmp_path / "site")
    assert (tmp_path / "site/index.html").is_file()


def test_a_file_system_without_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_handle: int, _operation: int) -> None:
        raise OSError(errno.ENOLCK, "no locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    build_site(catalogue("a"), tmp_path / "site")
    assert (tmp_path / "site/index.html").is_file()


def test_a_folder_that_another_program_makes_meanwhile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, rename = tmp_path / "site", Path.rename

    def renamed(path: Path, target: Path) -> Path:
        (folder / "theirs").mkdir(parents=True)
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", renamed)
    with pytest.raises(ConfigError, match="another program wrote it at the same time, and its files are kept"):
        build_site(catalogue("a"), folder)
    assert [path.name for path in tmp_path.iterdir()] == ["site"]
    assert [path.name for path in folder.iterdir()] == ["theirs"]


def test_the_umask_decides_who_reads(tmp_path: Path) -> None:
    (tmp_path / "plain").mkdir()
    build_site(catalogue("a"), tmp_path / "site")
    assert (tmp_path / "site").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(ConfigError, match="cannot write"):
        build_site(catalogue("a"), tmp_path / "file" / "site")
