"""Places of stores, and passwords that are never shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from callgate.store.place import has_password, parse_place, shown


@pytest.mark.parametrize(
    ("url", "path"),
    [("sqlite:///a/b.db", "a/b.db"), ("sqlite:////var/b.db", "/var/b.db"), ("sqlite:///a b%20.db", "a b%20.db")],
)
def test_files(url: str, path: str) -> None:
    place = parse_place(url)
    assert (place.path, str(place), has_password(url)) == (Path(path), path, False)


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("postgresql+psycopg://u@h:5/d", "postgresql+psycopg://u@h:5/d"),
        ("postgresql://u:p%40ss@h/d", "postgresql+psycopg://u:***@h/d"),
        ("postgres://u:p%40ss@h/d", "postgresql+psycopg://u:***@h/d"),
        ("postgresql://h/d?PASSWORD=p%40ss", "postgresql+psycopg://h/d?PASSWORD=***"),
        ("postgresql://h/d?user=u&password=p%40ss", "postgresql+psycopg://h/d?user=u&password=***"),
        ("postgresql://h/d?sslpassword=p%40ss&host=/run", "postgresql+psycopg://h/d?sslpassword=***&host=/run"),
        ("postgresql://:p%40ss@/d?host=/run", "postgresql+psycopg://:***@/d?host=/run"),
    ],
)
def test_databases(url: str, text: str) -> None:
    place = parse_place(url)
    assert (place.path, str(place), shown(place.url)) == (None, text, text)
    assert has_password(url) == ("***" in text)
    assert not any(
        secret in text for secret in ("p%40ss", "p@ss") for text in (str(place), repr(place), place.hide(url))
    )


def test_a_password_is_hidden_as_drivers_write_it() -> None:
    place = parse_place("postgresql://u:p%40ss@h/d")
    assert place.hide("no p%40ss, and no p@ss") == "no ***, and no ***"
    assert parse_place("postgresql://h/d?password=a+b").hide("no a+b, and no a b") == "no ***, and no ***"


@pytest.mark.parametrize(
    "url",
    [
        "",
        "sqlite://",
        "sqlite:///",
        "mysql://u:secret@h/d",
        "postgresql://u:secret@h",
        "postgresql://u:secret@h:x/d",
        "postgresql://u:/secret@h/d",
        "postgresql://u:123/secret@h/d",
        "postgresql://u:1?secret@h/d",
        "postgresql://u:1#secret@h/d",
        "postgresql://u:x@secret@h/d",
        "x",
    ],
)
def test_what_is_no_place(url: str) -> None:
    with pytest.raises(ValueError, match=r"^expected `sqlite:///PATH` or `postgresql") as raised:
        parse_place(url)
    assert "secret" not in str(raised.value)
