"""The help texts of the commands."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from typer.main import get_command

from callgate.cli import app
from callgate.config.audit import Audit
from callgate.config.counters import Counters
from callgate.config.fields import meanings
from callgate.config.listeners import Admin
from callgate.config.model import Config
from callgate.config.upstreams import Upstream

if TYPE_CHECKING:
    from pydantic import BaseModel

COMMANDS: Any = getattr(get_command(app), "commands", {})
SHARED: dict[str, tuple[type[BaseModel], str]] = {
    "--catalogue": (Config, "catalogue"),
    "--state": (Config, "state"),
    "--counters": (Counters, "store"),
    "--decision-log": (Audit, "path"),
    "--audit": (Audit, "mode"),
}
KEYS: dict[str, dict[str, tuple[type[BaseModel], str]]] = {
    "serve": {
        **SHARED,
        "--listen": (Config, "listen"),
        "--admin": (Admin, "listen"),
        "--socket": (Config, "socket"),
        "--workers": (Config, "workers"),
        "--log-format": (Config, "log_format"),
        "--grace": (Config, "grace"),
        "--watch": (Config, "watch"),
    },
    "wrap": {**SHARED, "--pinning": (Upstream, "pinning")},
}


@pytest.mark.parametrize("command", KEYS)
def test_an_option_for_a_key_says_what_the_model_says(command: str) -> None:
    helps = {name: option.help for option in COMMANDS[command].params for name in option.opts}
    for option, (section, key) in KEYS[command].items():
        text = " ".join(meanings(section)[key].replace("`", "").split())
        assert helps[option].startswith(text), (option, helps[option])
