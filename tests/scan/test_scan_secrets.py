"""Secrets in commands, URLs and texts: hidden, while ordinary words stay."""

from __future__ import annotations

import pytest

from callgate.workbench.scan.secrets import hidden_words, redacted, shown_command, shown_url


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        (["npx", "-y", "@modelcontextprotocol/server-filesystem@2025.8.21", "/home/me/projects"], None),
        (["uvx", "awslabs.ecs-mcp-server@latest", "--allow-write", "--no-confirmation"], None),
        (["python", "-m", "server", "--port", "8000", "--level=debug"], None),
        (["s", "--api-key", "abc"], ["s", "--api-key", "***"]),
        (["s", "--api-key=abc"], ["s", "--api-key=***"]),
        (["s", "--token", "abc", "x"], ["s", "--token", "***", "x"]),
        (["s", "--token", "--verbose"], None),
        (
            ["docker", "run", "-e", "A=b", "-e", "NAME", "image"],
            ["docker", "run", "-e", "A=***", "-e", "NAME", "image"],
        ),
        (["mcp-remote", "--header", "X-Id: 7"], ["mcp-remote", "--header", "X-Id: ***"]),
        (["mcp-remote", "Authorization: Bearer abc"], ["mcp-remote", "Authorization: ***"]),
        (["s", "sk-proj-abcdefgh12345678"], ["s", "***"]),
        (["s", "ghp_abcdefghijklmnopqrst0123456789ABCDEF"], ["s", "***"]),
        (["s", "aB3dE6gH9jK2mN5pQ8sT"], ["s", "***"]),
        (["s", "0123456789abcdef0123456789abcdef"], ["s", "***"]),
        (["s", "https://me:pw@h.example/a?key=1&b#c"], ["s", "https://h.example/a?key=***&b=***"]),
        (["s", "postgresql://me:pw@db/app"], ["s", "postgresql://db/app"]),
    ],
)
def test_words_of_commands(words: list[str], shown: list[str] | None) -> None:
    assert hidden_words(words) == (words if shown is None else shown)


def test_a_command_is_one_harmless_line() -> None:
    assert shown_command(["s", "a b", "\x1b[2J\n\u202e"]) == "s 'a b' '\\u{1b}[2J\\u{a}\\u{202e}'"


def test_urls_keep_what_tells_servers_apart() -> None:
    assert shown_url("https://h.example:8443/mcp/files") == "https://h.example:8443/mcp/files"
    assert shown_url("https://h.example/aB3dE6gH9jK2mN5pQ8sT/sse") == "https://h.example/***/sse"
    assert shown_url("http://[broken") == "***"


def test_known_secrets_are_taken_out_of_texts() -> None:
    assert redacted("no access with hunter22, hunter2", ["hunter2", "hunter22", "on"]) == "no access with ***, ***"
