"""Addresses of sidecars, as clients and commands take them."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from callgate import Client
from callgate.cli import app
from callgate.target import parse


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("127.0.0.1:9191", ("127.0.0.1:9191", False)),
        ("localhost:5", ("localhost:5", False)),
        ("unix:/run/callgate.sock", ("unix:/run/callgate.sock", False)),
        ("unix:callgate.sock", ("unix:callgate.sock", False)),
        ("dns:///sidecar:9191", ("dns:///sidecar:9191", False)),
        ("[::1]:9191", ("[::1]:9191", False)),
        ("127.0.0.1", ("127.0.0.1:9191", False)),
        ("localhost", ("localhost:9191", False)),
        ("::1", ("[::1]:9191", False)),
        ("[::1]", ("[::1]:9191", False)),
        ("http://127.0.0.1:9191", ("127.0.0.1:9191", False)),
        ("HTTP://127.0.0.1:9191/", ("127.0.0.1:9191", False)),
        ("http://[::1]:9191", ("[::1]:9191", False)),
        ("http://sidecar", ("sidecar:80", False)),
        ("https://sidecar", ("sidecar:443", True)),
        ("https://sidecar:9191", ("sidecar:9191", True)),
    ],
)
def test_what_a_target_means(text: str, expected: tuple[str, bool]) -> None:
    target = parse(text)
    assert (target.name, target.is_tls) == expected
    assert parse(str(target)) == target
    Client(text).close()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "http://",
        "http://a:b",
        "http://a:0",
        "http://a:99999",
        "http://a/mcp/x",
        "http://u:p@a",
        "https://a?q",
        "http://[::1",
        "127.0.0.1:",
        "127.0.0.1:0",
        "127.0.0.1:99999",
        "127.0.0.1:9191/v1/check",
        ":9191",
        "ftp://x",
        "unix:",
        "unix://",
        "a b:1",
    ],
)
def test_texts_that_are_no_target(text: str) -> None:
    expected = "expected HOST:PORT, https://HOST:PORT or unix:PATH"
    with pytest.raises(ValueError, match=expected):
        Client(text)
    for words in (
        ("check", "--grant", "g", "--tool", "t", "--target", text),
        ("bench", "--calls", "calls.jsonl", "--", text),
    ):
        done = CliRunner().invoke(app, words)
        assert (done.exit_code, expected in done.output) == (2, True), done.output
