"""Tokens that are replaced under a running sidecar."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from pathlib import Path
from threading import Event, Thread

import pytest

from callgate import new_token
from callgate.config.fields import format_instant
from support.program import run
from support.setup import Running, Setup, credential, until


@pytest.fixture
def setup(tmp_path: Path) -> Setup:
    return Setup(tmp_path)


@dataclass
class Asked:
    """The calls of one token so far."""

    count: int = 0
    refused: list[object] = field(default_factory=list)


@contextmanager
def calling(running: Running, token: str, *, as_pep: bool) -> Iterator[Asked]:
    """Asks with a token again and again."""
    asked, stopped = Asked(), Event()

    def ask() -> None:
        while not stopped.is_set():
            status, decision = answer(running, token, as_pep=as_pep)
            if status != 200:
                asked.refused.append((status, decision))
            asked.count += 1

    thread = Thread(target=ask)
    thread.start()
    try:
        yield asked
    finally:
        stopped.set()
        thread.join()


def answer(running: Running, token: str, *, as_pep: bool) -> tuple[int, dict[str, object]]:
    """The answer to a call by a grant's token, or through a PEP with this token."""
    if as_pep:
        status, decision = running.ask(token, grant="g", server="s", tool="t")
    else:
        status, decision = running.ask(grant_token=token, tool="t")
    decision.pop("decided_at_us", None)
    return status, decision


@pytest.mark.parametrize("watched", [True, False], ids=["watched", "on SIGHUP"])
@pytest.mark.parametrize("as_pep", [False, True], ids=["grant", "PEP"])
def test_no_call_is_refused_while_a_token_is_replaced(setup: Setup, as_pep: bool, watched: bool) -> None:
    old, old_hash = credential()
    if as_pep:
        setup.configure(peps=[{"name": "a", "token_hash": old_hash}])
    else:
        setup.configure(grants=[{"id": "a", "server": "s", "policy": "p", "token_hash": old_hash}])
    group, option = ("peps", "--name") if as_pep else ("grants", "--id")
    words = [group, "rotate", "--config", "callgate.yaml", option, "a", "--write"]

    with setup.serving() if watched else setup.serving("--no-watch") as running:
        with calling(running, old, as_pep=as_pep) as first:
            with running.reload():
                done = run(*words, cwd=setup.folder)
                assert done.code == 0, done
                if not watched:
                    running.hang_up()
            new = done.out.splitlines()[0]
            with calling(running, new, as_pep=as_pep) as second:
                enough = first.count + 50
                until(lambda: min(first.count - enough, second.count - 50) >= 0)
        assert (first.refused, second.refused) == ([], [])

        # The end of the old token comes while this configuration is in force.
        text = setup.file.read_text()
        end = json.loads(text)[group][0]["tokens"][0]["until"]
        soon = format_instant(datetime.now(timezone.utc) + timedelta(seconds=2))
        with running.reload():
            setup.write("callgate.yaml", text.replace(end, soon))
            if not watched:
                running.hang_up()
        until(lambda: answer(running, old, as_pep=as_pep)[0] != 200)
        ended = answer(running, old, as_pep=as_pep)
        assert ended == answer(running, new_token(), as_pep=as_pep)
        assert ended[0] == (401 if as_pep else 403)
        assert answer(running, new, as_pep=as_pep)[0] == 200
        log = running.stop()
    # Operators see whose token it was; nobody sees the token.
    field, value = ("reason", "token past its end") if as_pep else ("grant", "a")
    assert value in [line.get(field) for line in log], log
    assert not any(token in json.dumps(log) for token in (old, new))
