"""The section `store` of the configuration."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from callgate.config.load import load
from callgate.config.store_place import store_place
from callgate.errors import ConfigError
from support.program import run
from support.setup import Setup

URL = "postgresql://callgate:pass-word@db.example.com/callgate"


def test_the_default_is_a_file_in_the_state_folder(tmp_path: Path) -> None:
    setup = Setup(tmp_path)
    setup.configure()
    assert str(store_place(load(setup.file))) == str(tmp_path / "state" / "callgate.db")


def test_a_path_starts_at_the_folder_of_the_file(tmp_path: Path) -> None:
    setup = Setup(tmp_path)
    setup.configure(store={"url": "sqlite:///data/store.db"})
    assert store_place(load(setup.file)).path == tmp_path / "data" / "store.db"


def test_a_password_in_a_file_of_its_own(tmp_path: Path) -> None:
    setup = Setup(tmp_path)
    setup.write("secret", URL + "\n")
    setup.configure(store={"url_file": "secret"})
    place = store_place(load(setup.file))
    assert place.url == URL.replace("postgresql", "postgresql+psycopg")
    assert str(place) == "postgresql+psycopg://callgate:***@db.example.com/callgate"
    assert "may read the URL" not in run("config", "check", setup.file).out
    (tmp_path / "secret").chmod(0o644)
    warning = f"other users may read the URL of the store `{tmp_path / 'secret'}`; chmod 600 it"
    assert warning in run("config", "check", setup.file).out
    setup.write("secret", "mysql://me:pass-word@h/d")
    with pytest.raises(ConfigError, match="secret`: expected `sqlite:///PATH` or") as raised:
        store_place(load(setup.file))
    assert "pass-word" not in str(raised.value)


def test_a_password_in_the_configuration_is_refused(tmp_path: Path) -> None:
    setup = Setup(tmp_path)
    setup.configure(store={"url": URL})
    done = run("config", "check", setup.file)
    assert done.code == 2
    assert "callgate.yaml:1:" in done.err
    assert "write the URL to a file of its own and name that as `store.url_file`" in done.err
    shown = run("config", "show", "--json", setup.file)
    assert json.loads(shown.out)["store.url"]["value"] == "postgresql://callgate:***@db.example.com/callgate"
    assert "pass-word" not in done.out + done.err + shown.out + shown.err


def test_a_password_in_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    setup = Setup(tmp_path)
    setup.configure()
    monkeypatch.setenv("CALLGATE_STORE__URL", URL)
    loaded = load(setup.file)
    assert store_place(loaded).url.endswith("@db.example.com/callgate")
    assert "pass-word" not in repr(loaded.config)
    assert run("config", "check", setup.file, variables={"CALLGATE_STORE__URL": URL}).code == 0


@pytest.mark.parametrize(
    ("store", "expected"),
    [
        ({"url": "mysql://me:pass-word@h/d"}, "`store.url`: expected `sqlite:///PATH` or `postgresql+psycopg://"),
        ({"url": "sqlite:///a", "url_file": "b"}, "give either `store.url` or `store.url_file`"),
        ({"file": "a"}, "unknown key `file`"),
    ],
)
def test_what_is_refused(tmp_path: Path, store: dict[str, str], expected: str) -> None:
    setup = Setup(tmp_path)
    setup.configure(store=store)
    done = run("config", "check", setup.file)
    assert done.code == 2
    assert expected in done.err
    assert "pass-word" not in done.err
