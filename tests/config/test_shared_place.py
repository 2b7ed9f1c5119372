"""The URL of shared counters: what it may be, what of it is shown, and that no message shows a password."""

from __future__ import annotations

import pytest

from callgate.config.shared_place import is_shared, parse_shared

FORMS = (
    "expected `redis://HOST:PORT/DB`, `rediss://...` for TLS, `unix:///PATH`, "
    "`redis+sentinel://HOST:PORT,HOST:PORT/MASTER` or `redis+cluster://HOST:PORT,HOST:PORT`"
)
PASSWORD = (
    "it contains a password, and everybody who may read this URL would have it: write the password to a file of its "
    "own, and name that as `counters.shared.password_file`"
)
QUERY = "expected neither `?` nor `#`; a password is in the file `counters.shared.password_file`"
USER = "expected a user's name before `@`: letters, digits and `._~-`, any other character as `%2F`"
HOST = "expected a host and a port, such as `redis.example.com:6379`, `10.0.0.7:6379` or `[::1]:6379`"
SOCKET = "expected the absolute path of a socket, `unix:///PATH`"
DATABASE = "expected the number of a database after the host, such as `redis://HOST:6379/0`"
MASTER = "expected the name of the master after the hosts, such as `redis+sentinel://HOST:26379/mymaster`"
CLUSTER = "expected nothing after the hosts: a Redis Cluster has one database"


@pytest.mark.parametrize(
    ("url", "full", "shown"),
    [
        ("redis://h:7", "redis://h:7/0", "redis://h:7/0"),
        ("redis://h", "redis://h:6379/0", "redis://h:6379/0"),
        ("redis://h/", "redis://h:6379/0", "redis://h:6379/0"),
        ("redis://h/007", "redis://h:6379/7", "redis://h:6379/7"),
        ("rediss://me@r.example.com:6380/2", "rediss://me@r.example.com:6380/2", "rediss://r.example.com:6380/2"),
        ("redis://a%40b@10.0.0.7", "redis://a%40b@10.0.0.7:6379/0", "redis://10.0.0.7:6379/0"),
        ("redis://[::1]:1", "redis://[::1]:1/0", "redis://[::1]:1/0"),
        ("unix:///run/a:b@c.sock", "unix:///run/a%3Ab%40c.sock", "unix:///run/a:b@c.sock"),
        (
            "unix:///run/a b%25\N{GREEK SMALL LETTER LAMDA}",
            "unix:///run/a%20b%2525%CE%BB",
            "unix:///run/a b%25\N{GREEK SMALL LETTER LAMDA}",
        ),
        ("unix://a%40b@/run/r.sock", "unix:///run/r.sock?user=a%40b", "unix:///run/r.sock"),
        ("redis+sentinel://a,b:1/my.m", "redis+sentinel://a:26379,b:1/my.m", "redis+sentinel://a:26379,b:1/my.m"),
        ("redis+cluster://a,b:1", "redis+cluster://a:6379,b:1", "redis+cluster://a:6379,b:1"),
        ("rediss+cluster://me@a/", "rediss+cluster://me@a:6379", "rediss+cluster://a:6379"),
        ("rediss+sentinel://me@a/m", "rediss+sentinel://me@a:26379/m", "rediss+sentinel://a:26379/m"),
    ],
)
def test_places(url: str, full: str, shown: str) -> None:
    place = parse_shared(url)
    assert (place.url, str(place)) == (full, shown)
    assert place.is_tls is url.startswith("rediss")
    assert is_shared(url)
    if place.hosts:
        # In full it is the same place.
        assert parse_shared(full) == place


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("", FORMS),
        ("h:6379", FORMS),
        ("http://h", FORMS),
        ("REDIS://h", FORMS),
        ("rediss+tls://me:pass-word@h", FORMS),
        ("redis+unix:///s", FORMS),
        ("redis://me:pass-word@h", PASSWORD),
        ("redis://:pass-word@h:1/0", PASSWORD),
        ("redis://me:@h", PASSWORD),
        ("redis://me:pass/word?pass#pass-word@h", PASSWORD),
        ("redis://me:p@pass-word@h", PASSWORD),
        ("redis+sentinel://:pass-word@a,b/m", PASSWORD),
        ("unix://me:pass-word@/s", PASSWORD),
        ("redis://h?password=pass-word", QUERY),
        ("redis://h/0#pass-word", QUERY),
        ("unix:///s?password=pass-word", QUERY),
        ("redis://@h", USER),
        ("redis://pass-word /@h", USER),
        ("redis://a%zz@h", USER),
        ("redis://a%00@h", USER),
        ("redis://a%20b@h", USER),
        ("redis://a%ff@h", USER),
        ("redis://a@b@h", USER),
        ("redis://", HOST),
        ("redis://:6379", HOST),
        ("redis://h:0", HOST),
        ("redis://h:65536", HOST),
        ("redis://h:x", HOST),
        ("redis://h:", HOST),
        ("redis://::1:6379", HOST),
        ("redis://a b", HOST),
        ("redis+sentinel://a,,b/m", HOST),
        ("redis://a,b", "expected one host; `redis+sentinel://` and `redis+cluster://` have several"),
        ("redis://h/x", DATABASE),
        ("redis://h/-1", DATABASE),
        ("redis://h/0/", DATABASE),
        ("redis+sentinel://h", MASTER),
        ("redis+sentinel://h/", MASTER),
        ("redis+sentinel://h/m/0", MASTER),
        ("redis+cluster://h/0", CLUSTER),
        ("redis+cluster://h/m", CLUSTER),
        ("redis+cluster://a,,b", HOST),
        ("redis+cluster://:pass-word@a,b", PASSWORD),
        ("unix://", SOCKET),
        ("unix:///", SOCKET),
        ("unix://run/s", SOCKET),
        ("unix:///run/\0", SOCKET),
    ],
)
def test_what_is_refused(url: str, expected: str) -> None:
    with pytest.raises(ValueError, match=r"^(expected|it contains) ") as raised:
        parse_shared(url)
    assert str(raised.value) == expected
    assert "pass-word" not in str(raised.value)


@pytest.mark.parametrize("text", ["memory", "file:redis://h", "redis:", "redis://", "http://h", "redis"])
def test_texts_that_are_not_meant_as_a_url(text: str) -> None:
    assert not is_shared(text)
