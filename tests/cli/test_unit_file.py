"""The unit of `deploy/systemd` starts, reloads and stops the program as it is."""

from __future__ import annotations

import re
import shlex
import shutil
import signal
from datetime import timedelta
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit
from urllib.request import urlopen

from typer.main import get_command

from callgate.cli import app
from callgate.config.load import load
from callgate.config.units import parse_duration
from support.program import sidecar

ROOT: Final = Path(__file__).resolve().parents[2]
STATE: Final = "/var/lib"


def settings() -> dict[str, str]:
    """The settings of the section `Service`, each of which stands once."""
    text = (ROOT / "deploy/systemd/callgate.service").read_text(encoding="utf-8")
    section = text.partition("[Service]\n")[2].partition("\n[")[0]
    pairs = re.findall(r"^([A-Za-z]+)=(.*)$", section, re.MULTILINE)
    found = dict(pairs)
    assert len(found) == len(pairs)
    return found


SERVICE: Final = settings()


def words() -> list[str]:
    """The words after `callgate serve`."""
    program, command, *rest = shlex.split(SERVICE["ExecStart"].replace("%S", STATE))
    assert (Path(program).name, command) == ("callgate", "serve")
    return rest


def test_the_options_are_those_of_the_command() -> None:
    command = getattr(get_command(app), "commands", {})["serve"]
    given = command.make_context("serve", words()).params
    assert given["config"] == Path("/etc/callgate/callgate.yaml")
    assert given["state"] == Path(STATE) / SERVICE["StateDirectory"]


def test_it_waits_for_the_admin_port() -> None:
    url = urlsplit(next(word for word in shlex.split(SERVICE["ExecStartPost"]) if word.startswith("http")))
    assert (url.netloc, url.path) == (load(None).config.admin.listen, "/readyz")


def test_its_bounds_are_wider_than_those_of_the_program() -> None:
    config = load(None).config
    assert int(SERVICE["LimitNOFILE"]) > config.limits.max_connections
    assert parse_duration(SERVICE["TimeoutStopSec"]) > config.grace + timedelta(seconds=5)


def test_it_is_what_the_page_shows() -> None:
    page = (ROOT / "docs/operations.md").read_text(encoding="utf-8")
    assert "deploy/systemd/callgate.service" in page
    for folder in re.findall(r"/(?:var/lib|var/log|run)/callgate", page):
        key = {"/var/lib": "StateDirectory", "/var/log": "LogsDirectory", "/run": "RuntimeDirectory"}
        assert SERVICE[key[str(Path(folder).parent)]] == "callgate"


def test_it_starts_reloads_and_stops(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "examples", tmp_path / "etc")
    moved = {"/etc/callgate": str(tmp_path / "etc"), STATE: str(tmp_path)}
    options = [word for word in words() if word not in {"--log-format", "json"}]
    for before, after in moved.items():
        options = [word.replace(before, after) for word in options]
    assert SERVICE["ExecReload"] == "/bin/kill -HUP $MAINPID"
    with sidecar(*options) as running:
        with urlopen(f"http://{running.admin}/readyz", timeout=20) as ready:
            assert ready.status == 200
        running.process.send_signal(signal.SIGHUP)
        code, err = running.stop()
    assert code == 0, err
    assert (tmp_path / SERVICE["StateDirectory"] / "counters").is_file()
