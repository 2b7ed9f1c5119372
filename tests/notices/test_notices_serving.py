"""Notices of a running sidecar: a kill between the event and its delivery, a changed secret, and the commands."""

from __future__ import annotations

import base64
import json
import os
import signal
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from standardwebhooks.webhooks import Webhook as Standard
from standardwebhooks.webhooks import WebhookVerificationError

from callgate import clock
from callgate.identity.secret_text import new_id
from callgate.store.engine import connect_sqlite
from callgate.store.model import Actor, State
from callgate.store.notices.model import NewNotice, NoticeState, TryResult
from callgate.store.place import in_folder
from callgate.store.store import Store, open_store
from support.approvals import answer, waiting
from support.planes import wait_until
from support.program import refused, run
from support.receiver import Taken, hang, receiving, status
from support.replicas import ASKS, Replica, replica

BY = Actor("ann", "test")


def secret(byte: bytes) -> str:
    return "whsec_" + base64.b64encode(byte * 32).decode()


def write(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o600)


def configure(folder: Path, receiver_url: str, **more: Any) -> dict[str, Any]:
    """The keys of a replica with one receiver, whose files are there."""
    folder.mkdir(exist_ok=True)
    (folder / "asks.json").write_text(json.dumps(ASKS))
    if not (folder / "old.secret").exists():
        write(folder / "old.secret", secret(b"o"))
    receiver = {"url": receiver_url, "secret_files": ["old.secret"], "timeout": "30s", **more}
    return {
        "admin": {"public_url": "https://callgate.example.com"},
        "servers": {"s": {"policy": "asks"}},
        "policies": {"asks": "asks.json"},
        "notices": {"receivers": {"ops": receiver}},
    }


@contextmanager
def store_of(folder: Path) -> Iterator[Store]:
    with closing(open_store(in_folder(folder / "state"))) as store:
        yield store


def signed_by(taken: Taken, byte: bytes) -> bool:
    try:
        Standard(secret(byte)).verify(taken.body, taken.headers)
    except WebhookVerificationError:
        return False
    return True


def asked(one: Replica, **arguments: str) -> str:
    """The id of the approval that a call asks for."""
    decision = one.client.check(grant="g", server="s", tool="risky", args=arguments)
    assert decision.approval is not None
    return decision.approval


def test_a_kill_loses_no_notice_and_a_changed_secret_no_message(tmp_path: Path) -> None:
    folder = tmp_path / "a"
    with receiving(hang) as receiver:
        keys = configure(folder, receiver.url)
        with replica(folder, None, **keys) as one:
            approval = asked(one, n="1")
            [first] = receiver.wait(1)
            one.running.stop(signal.SIGKILL)
        receiver.ended.set()
        receiver.answer = status(204)
        # The claim of the killed process ends with time.
        path = in_folder(folder / "state").path
        assert path is not None
        with closing(connect_sqlite(path)) as connection:
            connection.execute("UPDATE notices SET due_us = 0 WHERE state = 'waiting' AND claimed_by IS NOT NULL")
        with replica(folder, None, **keys) as one:
            second = receiver.wait(2)[1]
            assert second.headers["webhook-id"] == first.headers["webhook-id"]
            assert second.body == first.body
            data = json.loads(second.body)["data"]
            assert data["approval"] == approval
            assert data["link"].startswith(f"https://callgate.example.com/approvals/{approval}?notice=")
            assert (signed_by(second, b"o"), signed_by(second, b"n")) == (True, False)

            # The new secret comes beside the old one, while callgate runs.
            write(folder / "new.secret", secret(b"n"))
            receivers = keys["notices"]["receivers"]
            receivers["ops"]["secret_files"] = ["new.secret", "old.secret"]
            rewrite(folder, notices={"receivers": receivers})
            wait_until(lambda: 'callgate_policy_reloads_total{result="success"} 2.0' in one.metrics())
            with store_of(folder) as store:
                store.approvals.answer(approval, answer(), clock.now_us())
            third = receiver.wait(3)[2]
            assert json.loads(third.body)["type"] == "approval.approved"
            assert (signed_by(third, b"o"), signed_by(third, b"n")) == (True, True)
            # The worker counts what was delivered.
            sent = 'callgate_notice_results_total{receiver="ops",result="sent"} 2.0'
            wait_until(lambda: sent in one.metrics(), one.metrics)
            code, log = one.running.stop()
    assert code == 0, log
    assert secret(b"o") not in log
    with store_of(folder) as store:
        assert store.approvals.get(approval, clock.now_us()).state is State.APPROVED


def rewrite(folder: Path, **keys: Any) -> None:
    """Changes keys of a running replica's configuration."""
    file = folder / "callgate.json"
    document = {**json.loads(file.read_text()), **keys}
    (folder / "next").write_text(json.dumps(document))
    os.replace(folder / "next", file)  # noqa: PTH105  as editors do


def test_commands_test_a_receiver_and_work_on_dead_letters(tmp_path: Path) -> None:
    with receiving() as receiver:
        keys = configure(tmp_path, receiver.url)
        file = tmp_path / "callgate.json"
        file.write_text(json.dumps({"state": "state", **keys}))
        done = run("notices", "test", "ops", "--config", file)
        assert (done.code, done.out) == (0, "delivered: a test notice to `ops`\n"), done
        [taken] = receiver.wait(1)
        assert json.loads(taken.body)["type"] == "notice.test"
        assert signed_by(taken, b"o")
        receiver.answer = status(500, "out of memory")
        done = run("notices", "test", "ops", "--config", file)
        assert (done.code, done.err) == (1, "not delivered to `ops`: status 500: out of memory\n")
    assert "unknown receiver `opps`; did you mean `ops`?" in refused("notices", "test", "opps", "--config", file)

    with store_of(tmp_path) as store:
        now = clock.now_us()
        store.notice_receivers.register({"ops": "digest"}, now)
        for number in range(2):
            waiting(store, str(number), now)
        store.notice_receivers.collect(
            "ops", lambda event, _approval, _facts, at: [NewNotice(new_id(), event, at, at, None)], now
        )
        first, second = store.notices.claim("ops", "claim", now, size=2, until_us=now)
        dead = [TryResult(one.id, NoticeState.DEAD, error="status 500") for one in (first, second)]
        store.notices.settle("claim", dead, now)
    place = ("--state", tmp_path / "state")
    listed = run("notices", "list", *place).out.splitlines()
    assert [line.split()[0] for line in listed[1:]] == sorted([first.id, second.id], reverse=True)
    assert "status 500" in listed[1]
    shown = json.loads(run("notices", "show", first.id[:20], "--json", *place).out)
    assert (shown["state"], shown["receiver"], shown["tries"]) == ("dead", "ops", 1)
    assert run("notices", "retry", first.id, *place).code == 0
    assert run("notices", "discard", second.id, *place).code == 0
    assert f"there is no notice `{second.id}`" in refused("notices", "show", second.id, *place)
    assert "ops   1        0     served" in run("notices", "receivers", *place).out


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"url": "http://169.254.169.254/x"}, "link-local"),
        ({"url": "https://user:pass@hooks.example.com/"}, "without user, password and fragment"),
        ({"secret_files": []}, "expected `secret_files`"),
        ({"secret_files": ["short.secret"]}, "expected a secret of 24 to 64 bytes"),
        ({"secret_files": ["missing.secret"]}, "no such file"),
        ({"format": "slack"}, "the URL of a `slack` receiver is a secret"),
        ({"format": "slack", "url": None, "url_file": "url"}, "`secret_files` has no effect"),
        ({"url": None, "url_file": "url"}, "the file's content: expected a URL"),
        ({"ca": "old.secret"}, "authorities"),
        ({"events": ["approval.used"]}, "approval.requested"),
        ({"reminders": [100]}, "99"),
        ({"url_file": "url"}, "expected either `url` or `url_file`"),
    ],
)
def test_faults_of_receivers_have_a_place_and_show_no_secret(
    tmp_path: Path, keys: dict[str, Any], message: str
) -> None:
    document = configure(tmp_path, "http://127.0.0.1:1/", **keys)
    receiver = {key: value for key, value in document["notices"]["receivers"]["ops"].items() if value is not None}
    document["notices"]["receivers"]["ops"] = receiver
    write(tmp_path / "short.secret", "whsec_c2hvcnQ=")
    write(tmp_path / "url", "not a url: hunter2")
    file = tmp_path / "callgate.json"
    file.write_text(json.dumps(document, indent=1))
    from callgate.config.bundle import read_bundle  # noqa: PLC0415  in-process, which is faster than the command
    from callgate.errors import ConfigError  # noqa: PLC0415  likewise

    with pytest.raises(ConfigError) as refused_by:
        read_bundle(file)
    text = str(refused_by.value)
    assert message in text
    assert text.startswith(f"{file}:")
    assert "hunter2" not in text
    assert "pass@" not in text
