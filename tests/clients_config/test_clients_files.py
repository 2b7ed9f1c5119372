"""The files of each client, and the servers in them as the client would start or reach them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from callgate.config.faults import InvalidConfigError
from callgate.workbench.clients import places
from callgate.workbench.clients.entries import Entry, entries_of, parse_client_file, read_all
from callgate.workbench.clients.places import CLIENTS, PROJECT, SYSTEM, USER, Place, client_named
from callgate.workbench.clients.state import BEHIND, SHADOW, UNKNOWN, USUAL_GATEWAYS, state_of
from callgate.workbench.clients.variables import UnresolvedError

LINUX = [
    ("claude-desktop", USER, ".config/Claude/claude_desktop_config.json"),
    ("claude-code", USER, ".claude.json"),
    ("claude-code", PROJECT, "project/.mcp.json"),
    ("cursor", USER, ".cursor/mcp.json"),
    ("cursor", PROJECT, "project/.cursor/mcp.json"),
    ("vscode", USER, ".config/Code/User/mcp.json"),
    ("vscode", USER, ".config/Code/User/profiles/-5af3/mcp.json"),
    ("vscode", USER, ".config/Code/User/settings.json"),
    ("vscode", USER, ".config/Code - Insiders/User/mcp.json"),
    ("vscode", PROJECT, "project/.vscode/mcp.json"),
    ("gemini", USER, ".gemini/settings.json"),
    ("gemini", PROJECT, "project/.gemini/settings.json"),
    ("codex", USER, ".codex/config.toml"),
    ("codex", PROJECT, "project/.codex/config.toml"),
    ("windsurf", USER, ".codeium/windsurf/mcp_config.json"),
    ("kiro", USER, ".kiro/settings/mcp.json"),
    ("kiro", PROJECT, "project/.kiro/settings/mcp.json"),
    ("opencode", USER, ".config/opencode/opencode.jsonc"),
    ("opencode", PROJECT, "project/opencode.json"),
    ("amazon-q", USER, ".aws/amazonq/mcp.json"),
    ("amazon-q", USER, ".aws/amazonq/cli-agents/mine.json"),
    ("amazon-q", PROJECT, "project/.amazonq/mcp.json"),
]


def entry(client: str, content: str | dict[str, Any], name: str = "mcp.json") -> Entry:
    text = json.dumps(content) if isinstance(content, dict) else content
    (found,) = entries_of(parse_client_file(Place(client_named(client), USER, Path(name)), text.encode()))
    return found


def test_files_on_linux(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for variable in ("XDG_CONFIG_HOME", "CODEX_HOME", "CLAUDE_CONFIG_DIR"):
        monkeypatch.delenv(variable, raising=False)
    for _, _, name in LINUX:
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("{}")
    found = places.places(CLIENTS, tmp_path / "project")
    seen = {(one.client.name, one.scope, str(one.path.relative_to(tmp_path))) for one in found if one.scope != SYSTEM}
    assert seen == set(LINUX)
    without = places.places(CLIENTS, None)
    assert not [one for one in without if one.scope == PROJECT]


def test_folders_that_variables_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable, name in (("CODEX_HOME", "config.toml"), ("CLAUDE_CONFIG_DIR", ".claude.json")):
        folder = tmp_path / variable
        folder.mkdir()
        (folder / name).write_text("")
        monkeypatch.setenv(variable, str(folder))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "none"))
    found = [one.path.parent.name for one in places.places(CLIENTS, None) if one.scope == USER]
    assert found == ["CLAUDE_CONFIG_DIR", "CODEX_HOME"]


PROGRAM = {"command": "npx", "args": ["-y", "srv"], "env": {"TOKEN": "s3cret", "PORT": 80, "ON": True, "NONE": None}}


@pytest.mark.parametrize(
    ("client", "content", "path"),
    [
        ("claude-desktop", {"mcpServers": {"srv": PROGRAM}}, ("mcpServers", "srv")),
        (
            "claude-code",
            {"projects": {"/p": {"mcpServers": {"srv": PROGRAM}}}},
            ("projects", "/p", "mcpServers", "srv"),
        ),
        ("vscode", {"servers": {"srv": {"type": "stdio", **PROGRAM}}}, ("servers", "srv")),
        ("vscode", {"mcp": {"servers": {"srv": PROGRAM}}}, ("mcp", "servers", "srv")),
        ("vscode", {"mcp.servers": {"srv": PROGRAM}}, ("mcp.servers", "srv")),
        ("gemini", {"mcpServers": {"srv": {**PROGRAM, "trust": True}}}, ("mcpServers", "srv")),
        ("kiro", {"mcpServers": {"srv": {**PROGRAM, "autoApprove": ["x"]}}}, ("mcpServers", "srv")),
        (
            "opencode",
            {"mcp": {"srv": {"type": "local", "command": ["npx", "-y", "srv"], "environment": PROGRAM["env"]}}},
            ("mcp", "srv"),
        ),
    ],
)
def test_programs(client: str, content: dict[str, Any], path: tuple[str, ...]) -> None:
    found = entry(client, content)
    assert (found.name, found.kind, found.path) == ("srv", "stdio", path)
    resolved = found.resolved(None)
    assert resolved.command == ("npx", "-y", "srv")
    assert resolved.environment == {"TOKEN": "s3cret", "PORT": "80", "ON": "true"}
    assert "s3cret" not in repr(found)
    assert "s3cret" not in repr(resolved)


@pytest.mark.parametrize(
    ("client", "server", "kind"),
    [
        ("cursor", {"url": "https://a.example/mcp"}, "http"),
        ("cursor", {"url": "https://a.example/sse", "type": "sse"}, "sse"),
        ("gemini", {"httpUrl": "https://a.example/mcp"}, "http"),
        ("gemini", {"url": "https://a.example/sse"}, "sse"),
        ("gemini", {"url": "https://a.example/mcp", "type": "http"}, "http"),
        ("windsurf", {"serverUrl": "https://a.example/mcp"}, "http"),
        ("cursor", {"note": "neither"}, ""),
        ("cursor", {"command": 5}, ""),
        ("cursor", {"command": "x", "args": [1]}, ""),
    ],
)
def test_kinds(client: str, server: dict[str, Any], kind: str) -> None:
    assert entry(client, {"mcpServers": {"srv": server}}).kind == kind


def test_codex(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PASSED", "p")
    monkeypatch.setenv("TOK", "t")
    lines = [
        "[[list]]",
        "[[list]]",
        "a = 1",
        '[mcp_servers."my srv"]',
        "command = 'npx'",
        'args = [ "a", # note ]',
        '  """b',
        'c""", ]',
        'cwd = "/w"',
        'env_vars = ["PASSED", "NOT"]',
        '[mcp_servers."my srv".env]',
        "A = '1'",
    ]
    program = entry("codex", "\n".join(lines), "config.toml")
    resolved = program.resolved(None)
    assert (resolved.command, resolved.environment) == (("npx", "a", "b\nc"), {"A": "1", "PASSED": "p"})
    assert resolved.folder == Path("/w")
    url = 'url = "https://a.example/mcp"\nbearer_token_env_var = "TOK"\nhttp_headers = { X = "1" }\nenabled = false\n'
    remote = entry("codex", f"[mcp_servers.r]\n{url}", "config.toml")
    assert (remote.kind, remote.is_disabled) == ("http", True)
    assert remote.resolved(None).headers == {"authorization": "Bearer t", "X": "1"}
    assert remote.headers == ("http_headers", "bearer_token_env_var")
    assert remote.resolved(None).variables == {"TOK"}


@pytest.mark.parametrize(
    ("client", "text", "value"),
    [
        ("claude-code", "${GIVEN}/x", "g/x"),
        ("claude-code", "${MISSING:-d}", "d"),
        ("claude-code", "${env:GIVEN} $GIVEN", "${env:GIVEN} $GIVEN"),
        ("cursor", "${env:GIVEN}", "g"),
        ("gemini", "$GIVEN", "g"),
        ("claude-desktop", "${GIVEN}", "${GIVEN}"),
        ("vscode", "${workspaceFolder}/x", "/project/x"),
    ],
)
def test_variables(client: str, text: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIVEN", "g")
    key = "servers" if client == "vscode" else "mcpServers"
    found = entry(client, {key: {"srv": {"command": "x", "env": {"A": text}}}})
    assert found.resolved(Path("/project")).environment == {"A": value}


@pytest.mark.parametrize(
    ("client", "text", "reason"),
    [
        ("claude-code", "${MISSING}", "`MISSING` is not set"),
        ("cursor", "${env:\ud800}", "is not set"),
        ("vscode", "${input:key}", "its client gets the value"),
        ("vscode", "${workspaceFolder}", "--project"),
        ("opencode", "{file:~/token}", "its client gets the value"),
    ],
)
def test_values_that_only_the_client_knows(client: str, text: str, reason: str) -> None:
    key = {"vscode": "servers", "opencode": "mcp"}.get(client, "mcpServers")
    words = {"command": ["x", text]} if client == "opencode" else {"command": "x", "args": [text]}
    found = entry(client, {key: {"srv": words}})
    with pytest.raises(UnresolvedError, match=reason):
        found.resolved(None)


@pytest.mark.parametrize(
    ("server", "word"),
    [
        ({"command": "npx", "args": ["wrap", "--", "x"]}, SHADOW),
        ({"command": "/opt/bin/callgate", "args": ["wrap", "--server", "s", "--policy", "p", "--", "npx"]}, BEHIND),
        ({"command": "python3", "args": ["-m", "callgate", "wrap", "--server", "s", "--", "npx"]}, BEHIND),
        ({"command": "callgate", "args": ["wrap", "--server", "s", "--policy", "p"]}, SHADOW),
        ({"command": "callgate", "args": ["version"]}, SHADOW),
        ({"command": "callgate", "args": ["connect", "https://gate.example/mcp/aws"]}, BEHIND),
        ({"command": "callgate", "args": ["connect", "https://other.example/mcp/aws"]}, SHADOW),
        (
            {"command": "callgate", "args": ["connect", "--ca", "https://gate.example/mcp/a", "https://o.example"]},
            SHADOW,
        ),
        ({"command": "callgate", "args": ["connect", "--header", "a:b", "https://gate.example/mcp/aws"]}, BEHIND),
        ({"url": "https://gate.example/mcp/aws#https://a.example/mcp"}, BEHIND),
        ({"url": "https://other.example/mcp/aws#https://a.example/mcp"}, SHADOW),
        ({"url": "http://127.0.0.1:9191/mcp/aws"}, BEHIND),
        ({"url": "http://localhost:9191/mcp/aws"}, BEHIND),
        ({"url": "http://localhost:9191/other"}, SHADOW),
        ({"url": "https://gate.example:443/mcp/aws"}, BEHIND),
        ({"url": "https://gate.example.evil.example/mcp/aws"}, SHADOW),
        ({"url": "https://a.example/mcp"}, SHADOW),
        ({"type": "x"}, UNKNOWN),
    ],
)
def test_states(server: dict[str, Any], word: str) -> None:
    gateways = [*USUAL_GATEWAYS, "https://gate.example"]
    assert state_of(entry("cursor", {"mcpServers": {"srv": server}}), gateways).word == word


@pytest.mark.parametrize(
    "text",
    [
        '{"mcpServers": {"a": {"command": "x"}, "a": {"command": "y"}}}',
        '{"mcpServers": {"a": {"command": "x"',
        '{"mcpServers": /* no end }',
        "[" * 5000,
        '{"a": "\\q"}',
        '{"a": "line\nbreak"}',
        '{"a": 1} x',
    ],
)
def test_files_that_are_no_json_are_faults_with_a_place(text: str) -> None:
    with pytest.raises(InvalidConfigError, match=r"^mcp\.json:\d+:\d+: "):
        parse_client_file(Place(client_named("cursor"), USER, Path("mcp.json")), text.encode())


def test_a_path_that_cannot_be_looked_at_is_an_error_and_not_absent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("CODEX_HOME", str(tmp_path / ("x" * 300)))
    found = places.places([client_named("codex")], None)
    entries, errors = read_all(found)
    assert entries == []
    (error,) = errors
    assert "file name too long" in str(error)


@pytest.mark.parametrize("word", ["a", '"a b"', "'a.b'"])
def test_keys_of_many_words_are_refused(word: str) -> None:
    place = Place(client_named("codex"), USER, Path("config.toml"))
    with pytest.raises(InvalidConfigError, match=r"^config\.toml:2:1: a key has more than 128 words"):
        parse_client_file(place, f"x = 1\n{' . '.join([word] * 100_000)} = 1".encode())
    # As many dots elsewhere are no key.
    text = 'a = """\n' + "." * 300 + "x y. " * 300 + '\n"""\nb = \'' + "x." * 300 + "'"
    assert parse_client_file(place, text.encode()).root.members


def test_one_bad_file_does_not_hide_the_others(tmp_path: Path) -> None:
    files = {"bad": b"{", "latin": b'{"\xe9": 1}', "good": b'{"mcpServers": {"a": {"command": "x"}}}', "empty": b" \n"}
    found = []
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
        found.append(Place(client_named("cursor"), USER, tmp_path / name))
    entries, errors = read_all(found)
    assert [one.name for one in entries] == ["a"]
    assert len(errors) == 2
