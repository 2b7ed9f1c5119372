"""Addresses of sidecars on the command line."""

from __future__ import annotations

import pytest
import typer

from callgate.cli.target import parse


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("127.0.0.1:9191", ("127.0.0.1:9191", False)),
        ("localhost:5", ("localhost:5", False)),
        ("unix:/run/callgate.sock", ("unix:/run/callgate.sock", False)),
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
    assert parse(text) == expected


@pytest.mark.parametrize(
    "text", ["http://", "http://a:b", "http://a:99999", "http://a/mcp/x", "http://u:p@a", "https://a?q", "http://[::1"]
)
def test_urls_that_are_no_target(text: str) -> None:
    with pytest.raises(typer.BadParameter, match="expected HOST:PORT, https://HOST:PORT or unix:PATH"):
        parse(text)
