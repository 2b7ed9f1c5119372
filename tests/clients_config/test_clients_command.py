"""`callgate clients`: what it prints, and what it writes."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from support.clients_config.home import Home

CURSOR = """{
  // of the team
  "mcpServers": {
    "files": { "command": "npx", "args": ["-y", "files", "--api-key", "k3y-of-mine"], "env": {"TOKEN": "s-of-mine"} },
    "images": { "url": "https://me:pw-of-mine@images.example/mcp?key=k-of-mine" },
    "off": { "command": "x", "disabled": true }, // not now
  },
  "unknown": {"kept": [1, 2.50, 1e3]},
}"""
CODEX = 'model = "m"\r\n\r\n[mcp_servers.files] # note\r\ncommand = "npx"\r\nargs = ["-y", "files"]\r\n'


def states(home: Home, *words: str) -> dict[str, str]:
    done = home.run("clients", "list", "--json", *words)
    return {f"{one['client']}/{one['server']}": one["state"] for one in json.loads(done.out)}


def test_every_server_is_listed_without_secrets(home: Home) -> None:
    home.write(".cursor/mcp.json", CURSOR)
    home.write(".codex/config.toml", CODEX)
    done = home.run("clients", "list")
    assert done.code == 0
    assert done.out.splitlines() == [
        "CLIENT  SCOPE  SERVER     STATE   COMMAND OR URL",
        "cursor  user   files      shadow  npx -y files --api-key '***'",
        "cursor  user   images     shadow  https://images.example/mcp?key=***",
        "cursor  user   off (off)  shadow  x",
        "codex   user   files      shadow  npx -y files",
    ]
    assert "3 servers are not behind callgate" in done.err
    documents = home.run("clients", "list", "--json").out
    assert "of-mine" not in done.out + done.err + documents
    assert json.loads(documents)[0]["environment"] == ["TOKEN"]


def test_a_program_fails_on_shadow_servers_if_it_is_told_so(home: Home) -> None:
    file = home.write(".cursor/mcp.json", {"mcpServers": {"a": {"command": "x"}}})
    assert home.run("clients", "list").code == 0
    assert home.run("clients", "list", "--fail-on-shadow").code == 1
    file.write_text(json.dumps({"mcpServers": {"a": {"url": "https://gate.example/mcp/a"}}}))
    assert home.run("clients", "list", "--fail-on-shadow").code == 1
    assert home.run("clients", "list", "--fail-on-shadow", "--gateway", "https://gate.example").code == 0


def test_a_file_that_cannot_be_read_is_named_and_the_others_are_listed(home: Home) -> None:
    home.write(".cursor/mcp.json", CURSOR)
    home.write(".gemini/settings.json", '{"mcpServers": {s3cret-of-mine')
    done = home.run("clients", "list", "--fail-on-shadow")
    assert done.code == 2
    assert "settings.json:1:17: expected a key in double quotes" in done.err
    assert "files" in done.out
    assert "of-mine" not in done.out + done.err


def test_servers_are_wrapped_and_unwrapped_to_the_byte(home: Home) -> None:
    cursor, codex = home.write(".cursor/mcp.json", CURSOR), home.write(".codex/config.toml", CODEX)
    before = {file: file.read_bytes() for file in (cursor, codex)}
    cursor.chmod(0o600)
    done = home.run("clients", "wrap", "--policy", home.policy("files"), "files")
    assert done.code == 0, done
    assert "of-mine" not in done.out + done.err
    assert cursor.stat().st_mode & 0o777 == 0o600
    backup = cursor.with_name("mcp.json.callgate-backup")
    assert (backup.read_bytes(), backup.stat().st_mode & 0o777) == (before[cursor], 0o600)
    assert states(home) == {
        "cursor/files": "behind callgate",
        "cursor/images": "shadow",
        "cursor/off": "shadow",
        "codex/files": "behind callgate",
    }
    again = home.run("clients", "wrap", "--policy", home.policy("files"), "files")
    assert (again.code, again.out) == (0, "")
    assert "is behind callgate already" in again.err
    assert "`images` of Cursor is left: it is not behind callgate" in home.run("clients", "unwrap", "images").err
    assert home.run("clients", "unwrap").code == 0
    assert {file: file.read_bytes() for file in before} == before


def test_the_words_before_the_command(home: Home) -> None:
    file = home.write(".cursor/mcp.json", {"mcpServers": {"files": {"command": "npx"}}})
    done = home.run("clients", "wrap", "--policy", home.policy("files"), "--grant", "me", "--state", "st")
    assert done.code == 0, done
    entry = json.loads(file.read_text())["mcpServers"]["files"]
    assert entry["command"].endswith("/callgate")
    folder = str(home.path)
    assert entry["args"] == [
        *("wrap", "--server=files", "--policy", f"{folder}/policies", "--state", f"{folder}/st"),
        *("--grant", "me", "--", "npx"),
    ]


def test_a_dry_run_changes_nothing(home: Home) -> None:
    file = home.write(".cursor/mcp.json", CURSOR)
    done = home.run("clients", "wrap", "--policy", home.policy("files"), "--dry-run", "files")
    assert done.code == 0
    assert "  - npx -y files --api-key '***'" in done.out.splitlines()
    assert any(line.startswith("  + ") and "wrap --server files" in line for line in done.out.splitlines())
    assert "nothing was changed: --dry-run" in done.err
    assert "of-mine" not in done.out + done.err
    assert file.read_text() == CURSOR
    assert sorted(one.name for one in file.parent.iterdir()) == ["mcp.json"]


def test_a_link_stays_and_the_file_behind_it_is_changed(home: Home) -> None:
    file = home.write("dotfiles/mcp.json", CURSOR)
    (home.path / ".cursor").mkdir()
    link = home.path / ".cursor" / "mcp.json"
    link.symlink_to(file)
    done = home.run("clients", "wrap", "--policy", home.policy("files"), "files")
    assert done.code == 0
    assert link.is_symlink()
    assert f"the file is a link to {file}, which was changed" in done.out
    assert "callgate" in file.read_text()
    assert file.with_name("mcp.json.callgate-backup").read_text() == CURSOR


def test_what_cannot_be_wrapped_is_said_and_the_rest_is_wrapped(home: Home) -> None:
    servers: dict[str, Any] = {
        "files": {"command": "npx"},
        "images": {"url": "https://images.example/mcp", "headers": {"Authorization": "Bearer s3cret-of-mine"}},
    }
    file = home.write(".cursor/mcp.json", {"mcpServers": servers})
    done = home.run("clients", "wrap", "--policy", home.policy("files"), "--gateway", "http://127.0.0.1:9191")
    assert done.code == 2
    assert "`images` of Cursor is left: it has `headers`" in done.err
    assert "of-mine" not in done.out + done.err
    after = json.loads(file.read_text())["mcpServers"]
    assert "wrap" in after["files"]["args"]
    assert after["images"] == servers["images"]


def test_options_that_would_keep_a_server_from_starting_are_refused(home: Home) -> None:
    file = home.write(".cursor/mcp.json", CURSOR)
    policies = home.policy("other")
    token = home.write("token", "cgt_x")
    for words, reason in [
        ((), "programs such as `files` of Cursor need a policy: give either --policy or --config"),
        (("--policy", policies), "no policy in the folder is for this server"),
        (("--policy", home.path / "none"), "none"),
        (("--policy", policies / "other.json", "--grant-token-file", token), "no grants are configured"),
        (("--policy", policies / "other.json", "--gateway", "http://127.0.0.1:9191/mcp"), "URL without a path"),
    ]:
        done = home.run("clients", "wrap", *words, "files")
        assert (done.code, done.out) == (2, ""), done
        assert reason in done.err
    assert file.read_text() == CURSOR


def test_unknown_names_are_refused_with_the_nearest(home: Home) -> None:
    home.write(".cursor/mcp.json", CURSOR)
    assert "did you mean `files`?" in home.run("clients", "unwrap", "filse").err
    assert "did you mean `cursor`?" in home.run("clients", "list", "--client", "curser").err
    assert "is no folder" in home.run("clients", "list", "--project", "none").err


def test_a_file_that_is_read_only_is_left(home: Home) -> None:
    file = home.write(".cursor/mcp.json", CURSOR)
    file.chmod(0o444)
    done = home.run("clients", "wrap", "--policy", home.policy("files"), "files")
    assert (done.code, done.out) == (2, "")
    assert "it is read-only; make it writable first" in done.err
    assert file.read_text() == CURSOR
    assert sorted(one.name for one in file.parent.iterdir()) == ["mcp.json"]


def test_whatever_stands_in_the_place_of_a_copy_is_replaced(home: Home) -> None:
    file = home.write(".cursor/mcp.json", CURSOR)
    os.mkfifo(home.path / ".cursor" / "mcp.json.callgate-backup")
    assert home.run("clients", "wrap", "--policy", home.policy("files"), "files").code == 0
    assert file.with_name("mcp.json.callgate-backup").read_text() == CURSOR


def test_a_file_that_cannot_be_written_does_not_keep_the_others_back(home: Home) -> None:
    cursor, codex = home.write(".cursor/mcp.json", CURSOR), home.write(".codex/config.toml", CODEX)
    # Nobody can put a file in the place of a folder.
    (home.path / ".cursor" / "mcp.json.callgate-backup").mkdir()
    done = home.run("clients", "wrap", "--policy", home.policy("files"), "files")
    assert done.code == 2
    assert "cannot write the copy" in done.err
    assert cursor.read_text() == CURSOR
    assert "callgate" in codex.read_text()


def test_a_server_of_unknown_form_counts_as_not_behind_callgate(home: Home) -> None:
    home.write(".cursor/mcp.json", {"mcpServers": {"odd": {"command": "x", "args": [80]}}})
    done = home.run("clients", "list", "--fail-on-shadow")
    assert done.code == 1
    assert "`odd` of Cursor: it has neither a command whose words are texts nor a URL" in done.err
    assert "1 server is not behind callgate" in done.err


def test_a_gateway_in_a_url_counts_only_if_it_is_known(home: Home) -> None:
    url = "https://gate.example/mcp/docs#https://docs.example/mcp"
    home.write(".cursor/mcp.json", {"mcpServers": {"docs": {"url": url}}})
    done = home.run("clients", "list", "--fail-on-shadow")
    assert done.code == 1
    assert "give --gateway https://gate.example" in done.err
    assert home.run("clients", "list", "--fail-on-shadow", "--gateway", "https://gate.example").code == 0


@pytest.mark.parametrize(
    "url",
    [
        "https://gate.example/mcp/../raw",
        "https://gate.example/mcp/docs/../../raw",
        "https://gate.example/mcp/%2E%2e/raw",
        "https://gate.example/mcp/..\\raw",
        "https://other.example\\@gate.example/mcp/docs",
        "https://gate.example/mcp/",
        "https://gate.example/mcp/..#https://docs.example/mcp",
    ],
)
def test_a_url_that_leads_away_from_the_route_of_a_gateway_is_shadow(home: Home, url: str) -> None:
    connect = {"command": "callgate", "args": ["connect", url]}
    home.write(".cursor/mcp.json", {"mcpServers": {"docs": {"url": url}, "connected": connect}})
    done = home.run("clients", "list", "--fail-on-shadow", "--gateway", "https://gate.example")
    assert done.code == 1
    assert states(home, "--gateway", "https://gate.example") == {"cursor/docs": "shadow", "cursor/connected": "shadow"}


def test_names_that_no_command_can_hold_do_not_keep_the_others_back(home: Home) -> None:
    servers = {name: {"command": "npx", "args": ["x"]} for name in ("--", "$HOME", "good")}
    file = home.write(".gemini/settings.json", {"mcpServers": servers})
    file.write_text(file.read_text().replace('"--"', '"\\ud800"', 1))
    before = file.read_bytes()
    done = home.run("clients", "wrap", "--policy", home.policy("x") / "x.json")
    assert done.code == 2
    assert done.err.count("no option of a command can hold its name") == 1
    assert "its client puts a value in place of `$HOME`" in done.err
    assert states(home)["gemini/good"] == "behind callgate"
    assert home.run("clients", "unwrap").code == 0
    assert file.read_bytes() == before


def test_what_leads_to_a_gateway_is_not_wrapped_again(home: Home) -> None:
    connect = {"command": "callgate", "args": ["connect", "https://gate.example/mcp/aws"]}
    content = {"mcpServers": {"aws": connect, "gcp": {"url": "https://gate.example/mcp/gcp"}}}
    file = home.write(".cursor/mcp.json", content)
    done = home.run("clients", "wrap", "--gateway", "https://gate.example")
    assert (done.code, done.out) == (0, "")
    assert done.err.count("is behind callgate already") == 2
    assert json.loads(file.read_text()) == content
