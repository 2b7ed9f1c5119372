"""Folders and files of SQLite's store that others could have written are refused, and left as they are."""

from __future__ import annotations

import grp
import os
import pwd
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from callgate.store.backup import back_up, open_existing, read_facts, restore
from callgate.store.errors import StoreUnsafeError
from callgate.store.open import open_database
from callgate.store.place import Place, at_path, in_folder

OTHER = 12_345

WAYS: list[Callable[[Place], object]] = [
    open_database,
    read_facts,
    open_existing,
    lambda place: back_up(place, Path(f"{place}.saved")),
]


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """A store that is as it should be."""
    place = in_folder(tmp_path / "state")
    open_database(place).close()
    return place


@pytest.fixture
def give_away(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], None]:
    """Makes a file somebody else's, or this process that of somebody else."""

    def give(path: Path) -> None:
        if os.geteuid() == 0:
            os.chown(path, OTHER, -1, follow_symlinks=False)
        else:
            monkeypatch.setattr(os, "geteuid", lambda: OTHER)

    return give


def file_of(place: Place) -> Path:
    assert place.path is not None
    return place.path


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("mode", [0o777, 0o1777, 0o703, 0o2777])
def test_a_folder_that_others_can_write(place: Place, way: Callable[[Place], object], mode: int) -> None:
    folder = file_of(place).parent
    folder.chmod(mode)
    with pytest.raises(StoreUnsafeError) as caught:
        way(place)
    assert str(caught.value) == (
        f"the folder `{folder}` of the store can be written by other users, who could write any answer into it; if you "
        f"trust what is in it, `chmod go-w {folder}`; or name a folder of its own with --state (key `state`)"
    )
    folder.chmod(0o755)
    open_database(place).close()


def test_no_store_is_made_in_a_folder_that_others_can_write(tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    with pytest.raises(StoreUnsafeError):
        open_database(in_folder(tmp_path))
    assert list(tmp_path.iterdir()) == []
    # A folder of its own inside is right: nobody can write into it.
    open_database(in_folder(tmp_path / "state")).close()


def test_a_folder_of_somebody_else(place: Place, give_away: Callable[[Path], None]) -> None:
    folder = file_of(place).parent
    give_away(folder)
    with pytest.raises(StoreUnsafeError, match=f"the folder `{folder}` of the store belongs to the user `"):
        open_database(place)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("suffix", ["", "-wal", "-shm", "-journal"])
def test_a_file_of_somebody_else(
    place: Place, way: Callable[[Place], object], suffix: str, give_away: Callable[[Path], None]
) -> None:
    file = Path(f"{place}{suffix}")
    file.touch()
    give_away(file)
    with pytest.raises(StoreUnsafeError, match=r"belongs to the user `.*`, who could write any answer into it"):
        way(place)


def test_the_remedies_for_a_file_of_somebody_else(place: Place, give_away: Callable[[Path], None]) -> None:
    give_away(file_of(place))
    with pytest.raises(StoreUnsafeError) as caught:
        open_database(place)
    if os.geteuid() == 0:
        assert str(caught.value) == (
            f"the file `{place}` of the store belongs to the user `#{OTHER}`, who could write any answer into it; run "
            f"callgate as this user (`sudo -u '#{OTHER}' callgate ...`), or, if you trust what is in it, "
            f"`chown root {place}`"
        )


@pytest.mark.parametrize("mode", [0o666, 0o602])
def test_a_file_that_others_could_write(place: Place, mode: int) -> None:
    file_of(place).chmod(mode)
    with pytest.raises(StoreUnsafeError, match=rf"the file `{place}` of the store can be written by other users"):
        open_database(place)
    assert stat.S_IMODE(file_of(place).stat().st_mode) == mode


@pytest.mark.parametrize("suffix", ["-wal", "-shm", "-journal"])
def test_a_link_beside_the_file(place: Place, tmp_path: Path, suffix: str) -> None:
    victim = tmp_path / "victim"
    victim.write_text("kept")
    victim.chmod(0o644)
    Path(f"{place}{suffix}").symlink_to(victim)
    with pytest.raises(StoreUnsafeError, match=rf"`{place}{suffix}` is a link, which callgate did not make; remove it"):
        open_database(place)
    assert (victim.read_text(), stat.S_IMODE(victim.stat().st_mode)) == ("kept", 0o644)


def test_a_restore_writes_into_no_folder_of_others(place: Place, tmp_path: Path) -> None:
    back_up(place, tmp_path / "saved")
    file_of(place).parent.chmod(0o777)
    with pytest.raises(StoreUnsafeError):
        restore(place, tmp_path / "saved", 0)
    assert [path.name for path in file_of(place).parent.iterdir()] == ["callgate.db"]


def test_a_link_leads_to_a_folder_of_its_own(place: Place, tmp_path: Path) -> None:
    link = tmp_path / "links" / "callgate.db"
    link.parent.mkdir()
    link.symlink_to(file_of(place))
    open_database(at_path(link)).close()
    for folder in (link.parent, file_of(place).parent):
        folder.chmod(0o777)
        with pytest.raises(StoreUnsafeError, match=rf"`{folder}`"):
            open_database(at_path(link))
        folder.chmod(0o700)


class Users:
    """The users and groups of a machine."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, own: int, groups: list[int]) -> None:
        self.primary = {own: 7}
        self.members: list[int] = []
        monkeypatch.setattr(os, "getgroups", lambda: groups)
        monkeypatch.setattr(os, "getegid", lambda: -1)
        monkeypatch.setattr(pwd, "getpwall", lambda: [self._user(uid) for uid in self.primary])
        monkeypatch.setattr(grp, "getgrgid", self._group)

    def _user(self, uid: int) -> pwd.struct_passwd:
        return pwd.struct_passwd((f"u{uid}", "x", uid, self.primary[uid], "", "/", "/bin/sh"))

    def _group(self, gid: int) -> grp.struct_group:
        if not self.members:
            raise KeyError(gid)
        return grp.struct_group(("g", "x", gid, [f"u{uid}" for uid in self.members]))


@pytest.mark.parametrize("mode", [0o775, 0o2775, 0o770])
def test_a_group_without_anybody_else(place: Place, monkeypatch: pytest.MonkeyPatch, mode: int) -> None:
    """The private group of a user, and the group of a volume of Kubernetes."""
    folder = file_of(place).parent
    gid = folder.stat().st_gid
    users = Users(monkeypatch, os.geteuid(), [gid])
    folder.chmod(mode)
    file_of(place).chmod(0o660)
    open_database(place).close()
    assert stat.S_IMODE(file_of(place).stat().st_mode) == 0o600
    users.primary[OTHER] = 7
    users.members = [os.geteuid()]
    open_database(place).close()
    users.members = [OTHER]
    with pytest.raises(StoreUnsafeError):
        open_database(place)
    users.members = []
    users.primary[OTHER] = gid
    with pytest.raises(StoreUnsafeError):
        open_database(place)


def test_a_group_of_which_this_process_is_no_member(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    Users(monkeypatch, os.geteuid(), [])
    file_of(place).parent.chmod(0o775)
    with pytest.raises(StoreUnsafeError):
        open_database(place)


def test_further_users_of_an_access_control_list(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = file_of(place).parent
    Users(monkeypatch, os.geteuid(), [folder.stat().st_gid])
    folder.chmod(0o770)
    monkeypatch.setattr(os, "listxattr", lambda _: ["system.posix_acl_access"], raising=False)
    with pytest.raises(StoreUnsafeError):
        open_database(place)
