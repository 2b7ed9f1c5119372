"""The configuration files of MCP clients, and the names that each client gives to the parts of a server.

Sources: the documentation of each client, as of November 2026.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from callgate.text import did_you_mean, quoted

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

from callgate.errors import ConfigError

USER: Final = "user"
PROJECT: Final = "project"
SYSTEM: Final = "system"


@dataclass(frozen=True, slots=True)
class Form:
    """Names of the parts of a server's entry."""

    servers: tuple[tuple[str, ...], ...] = (("mcpServers",),)
    """Paths to the objects that hold servers by name; `*` stands for every key."""
    environment: str = "env"
    urls: tuple[str, ...] = ("url",)
    """Keys of the URL of a server over streamable HTTP."""
    sse_urls: tuple[str, ...] = ()
    """Keys of a URL that this client takes for the older SSE, unless `type` says otherwise."""
    headers: tuple[str, ...] = ("headers",)
    """Keys of header fields, and of what else is sent to prove who the client is."""
    is_command_list: bool = False
    """True if `command` is a list with the arguments."""
    disabled: tuple[str, bool] = ("disabled", True)
    """The key that switches a server off, and its value then."""
    variables: frozenset[str] = frozenset()
    """Kinds of references to variables: `braces` for `${NAME}` and `${NAME:-default}`, `env` for `${env:NAME}`,
    `dollar` for `$NAME` too, `opencode` for `{env:NAME}`."""


@dataclass(frozen=True, slots=True)
class Client:
    """A program that uses MCP servers."""

    name: str
    title: str
    user: tuple[str, ...]
    """Files of this user; a `*` in a name stands for any name."""
    project: tuple[str, ...] = ()
    """Files of a project, below its folder."""
    system: tuple[str, ...] = ()
    """Files of this machine."""
    form: Form = Form()


_CLAUDE_CODE: Final = Form(servers=(("mcpServers",), ("projects", "*", "mcpServers")), variables=frozenset({"braces"}))
_VS_CODE: Final = Form(servers=(("servers",), ("mcp", "servers"), ("mcp.servers",)), variables=frozenset({"env"}))
_GEMINI: Final = Form(
    urls=("httpUrl",), sse_urls=("url",), variables=frozenset({"braces", "dollar"}), disabled=("disabled", True)
)
_CODEX: Final = Form(
    servers=(("mcp_servers",),),
    headers=("http_headers", "env_http_headers", "bearer_token_env_var"),
    disabled=("enabled", False),
)
_OPENCODE: Final = Form(
    servers=(("mcp",),),
    environment="environment",
    is_command_list=True,
    disabled=("enabled", False),
    variables=frozenset({"opencode"}),
)
_WINDSURF: Final = Form(urls=("serverUrl", "url"), variables=frozenset({"env"}))
_AMAZON_Q: Final = Form(servers=(("mcpServers",), ("servers",)), variables=frozenset({"env"}))

CLIENTS: Final = (
    Client("claude-desktop", "Claude Desktop", ("{settings}/Claude/claude_desktop_config.json",)),
    Client(
        "claude-code",
        "Claude Code",
        ("{claude}/.claude.json",),
        (".mcp.json",),
        ("{system}/managed-mcp.json",),
        _CLAUDE_CODE,
    ),
    Client(
        "cursor", "Cursor", ("{home}/.cursor/mcp.json",), (".cursor/mcp.json",), form=Form(variables=frozenset({"env"}))
    ),
    Client(
        "vscode",
        "VS Code",
        tuple(
            f"{{settings}}/{product}/User/{file}"
            for product in ("Code", "Code - Insiders", "VSCodium")
            for file in ("mcp.json", "profiles/*/mcp.json", "settings.json")
        ),
        (".vscode/mcp.json",),
        form=_VS_CODE,
    ),
    Client(
        "gemini",
        "Gemini CLI",
        ("{home}/.gemini/settings.json",),
        (".gemini/settings.json",),
        ("{gemini}/settings.json",),
        _GEMINI,
    ),
    Client("codex", "Codex", ("{codex}/config.toml",), (".codex/config.toml",), form=_CODEX),
    Client("windsurf", "Windsurf", ("{home}/.codeium/windsurf/mcp_config.json",), form=_WINDSURF),
    Client(
        "kiro",
        "Kiro",
        ("{home}/.kiro/settings/mcp.json",),
        (".kiro/settings/mcp.json",),
        form=Form(variables=frozenset({"braces", "env"})),
    ),
    Client(
        "opencode",
        "OpenCode",
        ("{config}/opencode/opencode.json", "{config}/opencode/opencode.jsonc"),
        ("opencode.json", "opencode.jsonc"),
        form=_OPENCODE,
    ),
    Client(
        "amazon-q",
        "Amazon Q Developer",
        ("{home}/.aws/amazonq/mcp.json", "{home}/.aws/amazonq/default.json", "{home}/.aws/amazonq/cli-agents/*.json"),
        (".amazonq/mcp.json", ".amazonq/default.json", ".amazonq/cli-agents/*.json"),
        form=_AMAZON_Q,
    ),
)


@dataclass(frozen=True, slots=True)
class Place:
    """An existing configuration file of a client."""

    client: Client
    scope: str
    """`user`, `project` or `system`."""
    path: Path


def client_named(name: str) -> Client:
    """The client of a name.

    Raises:
        ConfigError: There is none.
    """
    names = [client.name for client in CLIENTS]
    if name not in names:
        message = f"unknown client {quoted(name)}{did_you_mean(name, names)}"
        raise ConfigError(message)
    return CLIENTS[names.index(name)]


def places(clients: Sequence[Client], project: Path | None) -> list[Place]:
    """The files that exist, in the order of the clients.

    Args:
        clients: The clients.
        project: The folder of a project whose files are looked for as well.
    """
    folders = _folders(os.environ, sys.platform)
    found = list[Place]()
    for client in clients:
        scopes = [(SYSTEM, client.system), (USER, client.user)]
        named = [(scope, Path(_filled(file, folders))) for scope, files in scopes for file in files]
        if project is not None:
            named += [(PROJECT, project / file) for file in client.project]
        for scope, path in named:
            # A user's file may be a project's as well, if the command runs in the home folder.
            found += [Place(client, scope, each) for each in _existing(path) if each not in [one.path for one in found]]
    return found


def _folders(environment: Mapping[str, str], platform: str) -> dict[str, str]:
    home = environment.get("HOME") or environment.get("USERPROFILE") or str(Path.home())
    config = environment.get("XDG_CONFIG_HOME") or f"{home}/.config"
    settings = {"darwin": f"{home}/Library/Application Support", "win32": environment.get("APPDATA", f"{home}/AppData")}
    claude = {"darwin": "/Library/Application Support/ClaudeCode", "win32": r"C:\Program Files\ClaudeCode"}
    gemini = {"darwin": "/Library/Application Support/GeminiCli", "win32": r"C:\ProgramData\gemini-cli"}
    return {
        "home": home,
        "config": config,
        "settings": settings.get(platform, config),
        "claude": environment.get("CLAUDE_CONFIG_DIR") or home,
        "codex": environment.get("CODEX_HOME") or f"{home}/.codex",
        "system": claude.get(platform, "/etc/claude-code"),
        "gemini": gemini.get(platform, "/etc/gemini-cli"),
    }


def _filled(file: str, folders: Mapping[str, str]) -> str:
    for name, folder in folders.items():
        file = file.replace(f"{{{name}}}", folder)
    return file


def _existing(path: Path) -> Iterator[Path]:
    """The file, or the files that a name with `*` stands for."""
    star = next((number for number, part in enumerate(path.parts) if "*" in part), None)
    if star is None:
        if _may_be_file(path):
            yield path
        return
    folder = Path(*path.parts[:star])
    yield from sorted(one for one in folder.glob("/".join(path.parts[star:])) if _may_be_file(one))


def _may_be_file(path: Path) -> bool:
    """True for a file, and for what cannot be looked at: reading it then says the reason, with its path."""
    try:
        return path.is_file()
    except OSError:
        return True
