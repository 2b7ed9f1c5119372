"""A reload that fails for a reason that passes is tried again, and one that fails for a fault of its own is not."""

from __future__ import annotations

import errno
import http.client
import json
import os
import resource
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
import trustme

from callgate import Engine, Server
from callgate.control.metrics import ServerCollector
from callgate.control.refusals import Refusals
from callgate.control.reload import Reading, Reloader
from callgate.control.sidecar import Source
from support.program import sidecar
from support.reloads import serial, statuses, write_certificate
from support.setup import TIMEOUT_S, Running, Setup, credential, policy, until


class Clock:
    """Seconds that a test moves on."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


class Rig:
    """A server in this process, and what reloads it."""

    def __init__(self, setup: Setup) -> None:
        self.clock = Clock()
        source = Source(setup.file, None)
        reading = Reading(source)
        plan = reading.must_have_plan()
        self.engine: Engine = plan.engine(counters="memory")
        self.server: Server = plan.server(self.engine)
        self.server.start()
        self.collector = ServerCollector(self.server)
        numbers = self.collector.reloads
        self.reloader = Reloader(
            source, reading, self.engine, self.server, numbers, Refusals(numbers), clock=self.clock
        )

    def reason(self) -> str:
        """The version of the policy that answers."""
        return self.engine.check(grant="g", tool="never", server="s").message

    def failures(self) -> float:
        """Reloads that were counted as failed."""
        family = next(one for one in self.collector.collect() if one.name == "callgate_policy_reloads")
        return next(one.value for one in family.samples if one.labels == {"result": "failure"})


@pytest.fixture
def setup(tmp_path: Path) -> Setup:
    setup = Setup(tmp_path)
    setup.configure(listen="127.0.0.1:0")
    return setup


@pytest.fixture
def rig(setup: Setup) -> Iterator[Rig]:
    rig = Rig(setup)
    yield rig
    rig.server.stop()


def failing(monkeypatch: pytest.MonkeyPatch, path: Path, code: int) -> Callable[[], None]:
    """Makes every attempt to open a file fail, until the returned function is called."""
    real = os.open
    broken = True

    def opened(name: str | Path, *more: int, **named: int) -> int:
        if broken and Path(name) == path:
            raise OSError(code, os.strerror(code), str(path))
        return real(name, *more, **named)

    def mend() -> None:
        nonlocal broken
        broken = False

    monkeypatch.setattr("callgate.config.document.os.open", opened)
    return mend


@pytest.mark.parametrize("code", [errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EIO, errno.ESTALE, errno.EAGAIN])
@pytest.mark.parametrize("name", ["p.json", "callgate.yaml"])
def test_what_passes_is_tried_again(
    setup: Setup, rig: Rig, monkeypatch: pytest.MonkeyPatch, name: str, code: int
) -> None:
    mend = failing(monkeypatch, setup.folder / name, code)
    setup.write("p.json", policy("newer"))
    rig.reloader.reload()
    assert rig.reason() == "no"
    assert rig.reloader.serving.retried
    assert "it is tried again until it is in force" in rig.reloader.serving.text()
    assert rig.failures() == 1

    # Less and less often, and in silence.
    waited = []
    for _ in range(8):
        assert not rig.reloader.is_due()
        begun_s = rig.clock.now_s
        while not rig.reloader.is_due():
            rig.clock.now_s += 0.5
        waited.append(rig.clock.now_s - begun_s)
        rig.reloader.retry()
        assert rig.reason() == "no"
    assert waited == [1, 2, 4, 4, 4, 4, 4, 4]
    assert rig.failures() == 1

    mend()
    rig.clock.now_s += 4
    assert rig.reloader.is_due()
    rig.reloader.retry()
    assert rig.reason() == "newer"
    assert rig.reloader.serving.refused is None
    rig.clock.now_s += 1_000
    assert not rig.reloader.is_due()


@pytest.mark.parametrize(
    "break_it",
    [
        lambda setup: setup.write("p.json", '{"version": "1", "defualt": "deny"}'),
        lambda setup: (setup.folder / "p.json").unlink(),
        lambda setup: setup.configure(policies={"p": "."}),
        lambda setup: setup.configure(workers=3),
    ],
    ids=["a fault", "no file", "a folder", "what takes a restart"],
)
def test_a_fault_of_its_own_is_not(setup: Setup, rig: Rig, break_it: Callable[[Setup], None]) -> None:
    break_it(setup)
    rig.reloader.reload()
    assert rig.reloader.serving.refused is not None
    assert not rig.reloader.serving.retried
    rig.clock.now_s += 1_000
    assert not rig.reloader.is_due()


def test_a_fault_that_shows_when_the_reason_has_passed_ends_the_tries(
    setup: Setup, rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    mend = failing(monkeypatch, setup.folder / "p.json", errno.EIO)
    setup.write("p.json", '{"version": "1", "defualt": "deny"}')
    rig.reloader.reload()
    mend()
    rig.clock.now_s += 1
    assert rig.reloader.is_due()
    rig.reloader.retry()
    assert "`defualt`" in (rig.reloader.serving.refused or "")
    assert rig.failures() == 2
    rig.clock.now_s += 1_000
    assert not rig.reloader.is_due()


@contextmanager
def without_descriptors(running: Running) -> Iterator[Callable[[], str]]:
    """Stops a sidecar from opening files and accepting connections.

    Gives a function that requests `/readyz` over a connection that was open before.
    """
    with closing(http.client.HTTPConnection(running.sidecar.admin, timeout=TIMEOUT_S)) as admin:

        def readiness() -> str:
            admin.request("GET", "/readyz")
            return admin.getresponse().read().decode()

        assert readiness() == "ready\n"
        number = running.sidecar.process.pid
        before = resource.prlimit(number, resource.RLIMIT_NOFILE)
        resource.prlimit(number, resource.RLIMIT_NOFILE, (4, before[1]))
        try:
            yield readiness
        finally:
            resource.prlimit(number, resource.RLIMIT_NOFILE, before)


def test_what_was_saved_without_descriptors_comes_into_force_when_there_are_some(setup: Setup) -> None:
    """A revoked grant, another PEP: nothing is saved a second time, and nobody sends a signal."""
    first, second = (credential() for _ in range(2))
    token, token_hash = credential()
    grant = {"id": "a", "server": "s", "policy": "p", "token_hash": token_hash}
    setup.write("grants.json", {"grants": [grant]})
    setup.configure(grants_file="grants.json")
    with setup.serving() as running:
        assert running.ask(grant_token=token, tool="t")[0] == 200
        with without_descriptors(running) as readiness:
            setup.configure(peps=[{"name": "b", "token_hash": second[1]}])
            setup.write("grants.json", {"grants": [{**grant, "revoked": True}]})
            until(lambda: "too many open files" in readiness())
            assert "it is tried again until it is in force" in readiness()
        until(lambda: statuses(running, first[0], second[0]) == [401, 403])
        status, decision = running.ask(second[0], grant_token=token, tool="t")
        assert (status, decision["rule"]) == (403, "(grant revoked)")
        until(lambda: running.get("/readyz") == "ready\n")
        failed = [event for event in running.stop() if event["event"] == "reload_failed"]
    assert failed[0]["retried"] is True
    assert token not in json.dumps(failed)


def test_certificates_that_were_saved_without_descriptors(setup: Setup) -> None:
    authority = trustme.CA()
    write_certificate(setup, authority.issue_cert("127.0.0.1"))
    setup.configure(tls={"certificate": "tls.crt", "key": "tls.key"})
    with setup.serving() as running:
        before = serial(running, authority)
        with without_descriptors(running) as readiness:
            write_certificate(setup, authority.issue_cert("127.0.0.1"))
            until(lambda: "too many open files" in readiness())
        until(lambda: serial(running, authority) != before)


@pytest.mark.parametrize("is_folder", [False, True], ids=["a file", "a folder"])
def test_a_policy_alone_that_was_saved_without_descriptors(tmp_path: Path, is_folder: bool) -> None:
    """Without a configuration the engine reads policies itself."""
    setup = Setup(tmp_path)
    setup.write("policies/s.json", policy("older"))
    served = tmp_path / "policies" if is_folder else tmp_path / "policies" / "s.json"
    with sidecar("--policy", served) as process:
        running = Running(process)
        with without_descriptors(running) as readiness:
            setup.write("policies/s.json", policy("newer"))
            until(lambda: "open files" in readiness())
        until(lambda: running.ask(grant="g", tool="never", server="s")[1]["message"] == "newer")
