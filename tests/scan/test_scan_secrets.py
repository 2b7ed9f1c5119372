"""Secrets in commands, URLs and texts: hidden, while ordinary words stay."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callgate.workbench.scan.secrets import hidden_words, redacted, shown_command, shown_url
from callgate.workbench.scan.target import HttpTarget, StdioTarget


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
        (["s", "https://me:pw@h.example/a?key=1&b#c"], ["s", "https://h.example/a?key=***&***"]),
        (["s", "postgresql://me:pw@db/app"], ["s", "postgresql://db/app"]),
        # JSON, as command lines of hosted servers have it.
        (["run", "--config", '{"braveApiKey":"of-mine"}'], ["run", "--config", "***"]),
        (["run", "--config", '"{\\"braveApiKey\\":\\"of-mine\\"}"'], ["run", "--config", "***"]),
        (["s", "--header=X-Id: of-mine"], ["s", "--header=X-Id: ***"]),
        (["s", "-HAuthorization: Bearer of-mine"], ["s", "-HAuthorization: ***"]),
        (["s", "-HX-Id: of-mine"], ["s", "-HX-Id: ***"]),
        (["s", "--extra-headers", "X-Id: of-mine"], ["s", "--extra-headers", "X-Id: ***"]),
        (["s", "--api_key:of-mine", "/password:of-mine"], ["s", "--api_key:***", "/password:***"]),
        (["s", "--pass", "of-mine", "--pwd", "of-mine"], ["s", "--pass", "***", "--pwd", "***"]),
        (["s", "--passive", "on", "--bypass-cache", "x"], None),
        (["s", "api-key=of-mine"], ["s", "api-key=***"]),
        (
            ["s", "jdbc:postgresql://me:of-mine@db/app?password=of-mine"],
            ["s", "jdbc:postgresql://db/app?password=***"],
        ),
        (["s", "me:of-mine@db:5432"], ["s", "***@db:5432"]),
        (["deno", "run", "npm:server@1.2.3", "git@github.com:me/server"], None),
        (["docker", "run", f"mcp/fetch@sha256:{'0a' * 32}", f"fetch:1@sha256:{'0a' * 32}"], None),
        (
            ["sh", "-c", "export A='of mine' B=\"of-mine\"; srv --token of-mine --port 80 | tee log"],
            ["sh", "-c", "export A=*** B=***; srv --token *** --port 80 | tee log"],
        ),
        (["sh", "-c", "export A='of mine"], ["sh", "-c", "***"]),
        (["sh", "-c", "cd;A=of-mine;srv"], ["sh", "-c", "cd;A=***;srv"]),
        (["s", "--prompt", "You don't"], ["s", "--prompt", "***"]),
        (["s", "--prompt", "a token of thanks"], None),
        (["s", "f47ac10b-58cc-4372-a567-0e02b2c3d479"], ["s", "***"]),
        (["s", "k3j4h5g6f7d8s9a0q1w2e3r4"], ["s", "***"]),
        (["s", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"], ["s", "***"]),
        (["s", "-----BEGIN PRIVATE KEY-----\nMIIabc"], ["s", "***"]),
        # Names of packages that begin like keys of services.
        (["npx", "hf-mcp-server", "pkg-mcp-server", "npm-search-mcp", "skeleton-server", "secret-manager-mcp"], None),
        (["npx", "server-2025-08-21-x86-64-linux"], None),
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
    assert shown_url("http://localhost:${env:PORT}/mcp") == "http://localhost:${env:PORT}/mcp"
    assert shown_url("mongodb://me:of-mine@a:1,b:2/db") == "mongodb://a:1,b:2/db"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://h.example/mcp?of-mine", "https://h.example/mcp?***"),
        ("https://h.example/mcp;key=of-mine/x", "https://h.example/mcp;***/x"),
        ("https://h.example/s/f47ac10b-58cc-4372-a567-0e02b2c3d479/mcp", "https://h.example/s/***/mcp"),
        ("https://h.example/a%42" + "3dE6gH9jK2mN5pQ8sT", "https://h.example/***"),
        ("https:/me:of-mine@h.example/", "https://***"),
        # Passwords with characters that end the host early.
        ("https://me:of/mine@h.example/", "https://***"),
        ("https://me:of?mine@h.example/", "https://***"),
        ("https://me:of#mine@h.example/", "https://***"),
    ],
)
def test_secrets_of_urls(url: str, shown: str) -> None:
    assert shown_url(url) == shown


def test_messages_repeat_no_part_of_a_secret_in_a_command_or_url() -> None:
    words = ("srv", "--api-key=first-one", "https://me:second-one@h.example/?k=third%2Done", "X-Token: fourth-one")
    text = "no: first-one, Second-One, third-one, third%2Done, fourth-one at h.example"
    assert redacted(text, StdioTarget("s", words).secrets()) == "no: ***, ***, ***, ***, *** at h.example"
    target = HttpTarget("s", "https://h.example/aB3dE6gH9jK2mN5pQ8sT?k=first-one", {"x": "Bearer second-one"})
    text = "no: first-one second-one aB3dE6gH9jK2mN5pQ8sT at h.example"
    assert redacted(text, target.secrets()) == "no: *** *** *** at h.example"


@given(st.lists(st.text(max_size=30), max_size=4))
def test_any_command_has_a_shown_form_with_as_many_words(words: list[str]) -> None:
    shown = hidden_words(words)
    assert len(shown) == len(words)
    assert "\x1b" not in shown_command(words)


@pytest.mark.parametrize("word", ["$a" * 20_000 + ":x", "'" + 'a"' * 20_000, "https://" + "${a" * 20_000 + ":x"])
def test_long_words_take_little_time(word: str) -> None:
    assert hidden_words([word, f"https://{word}"])


def test_known_secrets_are_taken_out_of_texts() -> None:
    assert redacted("no access with hunter22, hunter2", ["hunter2", "hunter22", "on"]) == "no access with ***, ***"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("no login with password=hunter2, user=ann", "no login with password=***, user=ann"),
        ("bad key ghp_abcdefghijklmnop0123.", "bad key ***."),
        ('{"apiKey": "k3y-of-mine", "retries": 3}', '{"apiKey": "***", "retries": 3}'),
        ("Authorization: Bearer of-mine", "Authorization: Bearer ***"),
        ("db_password: hunter2", "db_password: ***"),
        ("at /files/sk-proj-of0mine0123/x", "at /files/***/x"),
        ("token: expired; get a new one", "token: expired; get a new one"),
        ("GET https://h.example/mcp failed: 401", "GET https://h.example/mcp failed: 401"),
    ],
)
def test_secrets_that_only_the_server_knows_are_hidden_in_what_it_says(text: str, shown: str) -> None:
    assert redacted(text, []) == shown
