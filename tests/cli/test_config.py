"""`callgate config`, `grants create`, `peps create`, and what `serve --config` says."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest
import trustme

from support.program import refused, run, sidecar
from support.setup import KEY, Running, Setup, policy

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.fixture
def setup(tmp_path: Path) -> Setup:
    setup = Setup(tmp_path)
    setup.configure()
    return setup


def test_the_example_is_served_as_it_is() -> None:
    with sidecar("--config", ROOT / "examples" / "callgate.yaml") as process:
        done = run(*shlex.split(process.said(r"^ask it: +(.*)"))[1:])
        assert (done.code, done.err) == (0, ""), done
        code, _ = process.stop()
    assert code == 0


def test_check(setup: Setup) -> None:
    rules = {"limits": [{"counter": "c", "window": "minute", "max": 1, "scope": "session"}]}
    setup.write("p.json", policy(u=rules))
    done = run("config", "check", "callgate.yaml", cwd=setup.folder)
    *lines, ok = done.out.splitlines()
    assert (done.code, done.err, ok) == (0, "", "callgate.yaml: ok")
    assert any(line.startswith("warning: no grants are configured") for line in lines)
    assert any(line.startswith("p.json:1:") and ": warning: " in line for line in lines)


def test_check_touches_nothing_that_serving_would(setup: Setup) -> None:
    setup.configure(
        state="state", grant_key_file=None, socket="s.sock", listen="127.0.0.1:1", audit={"path": "decisions.jsonl"}
    )
    before = {path.name for path in setup.folder.iterdir()}
    done = run("config", "check", "callgate.yaml", cwd=setup.folder)
    assert (done.code, done.err) == (0, "")
    assert {path.name for path in setup.folder.iterdir()} == before


def test_check_beside_the_sidecar(setup: Setup) -> None:
    setup.configure(socket="s.sock")
    with setup.serving("--state", str(setup.folder / "state")) as running:
        assert (setup.folder / "state" / "counters").exists()
        assert run("config", "check", "callgate.yaml", cwd=setup.folder).code == 0
        assert running.ask(grant="g", server="s", tool="t")[0] == 200


def test_check_refuses_what_serve_refuses(setup: Setup) -> None:
    for change, content, expected in (
        ({}, '{"version": "1",\n "defualt": "deny"}', "p.json:2:2: unknown field `defualt`"),
        ({"workers": -1}, policy(), "callgate.yaml:1:"),
        ({"workers": None, "listen": None, "socket": None, "catalogue": "tools.json"}, policy(), "tools.json:1:"),
    ):
        setup.write("p.json", content)
        setup.write("tools.json", '{"version": "2"}')
        setup.configure(**change)
        line = refused("config", "check", "callgate.yaml", cwd=setup.folder)
        assert line.startswith(expected), line
        assert refused("serve", "--config", "callgate.yaml", "--admin", "127.0.0.1:0", cwd=setup.folder) == line


def test_certificates_are_checked(setup: Setup) -> None:
    authority = trustme.CA()
    authority.issue_cert("a.example").private_key_pem.write_to_path(str(setup.folder / "key.pem"))
    authority.issue_cert("a.example").cert_chain_pems[0].write_to_path(str(setup.folder / "cert.pem"))
    setup.configure(tls={"certificate": "cert.pem", "key": "key.pem"})
    line = refused("config", "check", "callgate.yaml", cwd=setup.folder)
    assert "tls key: it does not fit the certificate" in line


def test_every_fault_is_printed(setup: Setup) -> None:
    setup.write("callgate.yaml", "severs: {}\nworkers: many\n")
    done = run("config", "check", "callgate.yaml", cwd=setup.folder)
    assert (done.code, done.out) == (2, "")
    assert [line.split(": ")[0] for line in done.err.splitlines()] == ["callgate.yaml:1:1", "callgate.yaml:2:10"]


def test_show(setup: Setup, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(run.__globals__["ENVIRONMENT"], "CALLGATE_GRANT_KEY", KEY.hex())
    setup.configure(grace="90s", grant_key_file=None)
    done = run("config", "show", "callgate.yaml", cwd=setup.folder)
    assert done.code == 0
    assert 'grace = "90s"  # callgate.yaml:1:' in done.out
    assert 'grant_key = "**********"  # environment variable `CALLGATE_GRANT_KEY`' in done.out
    assert KEY.hex() not in done.out
    shown = json.loads(run("config", "show", "--json", "callgate.yaml", cwd=setup.folder).out)
    assert shown["listen"] == {"value": "127.0.0.1:9191", "origin": "default"}
    assert KEY.hex() not in json.dumps(shown)


def test_a_grant_from_the_command_to_the_call(setup: Setup) -> None:
    setup.configure(grant_key_file=None)
    words = ["grants", "create", "--config", "callgate.yaml", "--id", "alice", "--server", "s", "--policy", "p"]
    done = run(*words, "--label", "team=a: b", "--expires", "30d", cwd=setup.folder)
    token, line = done.out.splitlines()
    assert done.code == 0
    assert "made the key `state/grant.key`" in done.err
    assert token not in done.err + line
    key = setup.folder / "state" / "grant.key"
    assert key.stat().st_mode & 0o777 == 0o600
    again = run(*words, cwd=setup.folder)
    assert again.out.splitlines()[0] != token
    assert "made the key" not in again.err

    # Pasted below `grants:`, as the command says.
    text = "\n".join(f"{name}: {json.dumps(value)}" for name, value in setup.config.items())
    setup.write("callgate.yaml", f"{text}\ngrants:\n{line}\n")
    with setup.serving() as running:
        assert running.ask(grant_token=token, tool="t")[0] == 200
        assert running.ask(grant_token=token.lower(), tool="t")[1]["rule"] == "(unknown grant)"
        assert running.ask(grant="alice", tool="t", server="s")[1]["rule"] == "(unknown grant)"


def test_a_pep_from_the_command_to_the_call(setup: Setup) -> None:
    done = run("peps", "create", "--config", "callgate.yaml", "--name", "gateway", "--json", cwd=setup.folder)
    created = json.loads(done.out)
    assert created["entry"].keys() == {"name", "token_hash"}
    setup.configure(peps=[created["entry"]])
    with setup.serving() as running:
        assert running.ask(created["token"], grant="g", server="s", tool="t")[0] == 200
        assert running.ask(created["token"].swapcase(), grant="g", server="s", tool="t")[0] == 401
        assert running.ask(grant="g", server="s", tool="t")[0] == 401


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--server", "t"], "unknown server `t`; expected one of `s`"),
        (["--server", "s", "--policy", "q"], "unknown policy `q`; expected one of `p`"),
        (["--server", "s", "--expires", "soon"], "`soon`: expected a duration such as `30d`, or a time such as "),
        (["--server", "s", "--label", "team"], "`team`: expected NAME=VALUE"),
    ],
)
def test_wrong_use_of_create(setup: Setup, words: list[str], expected: str) -> None:
    done = run("grants", "create", "--config", "callgate.yaml", "--id", "a", *words, cwd=setup.folder)
    assert (done.code, done.out) == (2, "")
    assert expected in " ".join(done.err.replace("│", " ").split())


@pytest.mark.parametrize("name", ["", "\udcff"])
def test_names_that_are_none(setup: Setup, name: str) -> None:
    for words in (["grants", "create", "--id", name, "--server", "s"], ["peps", "create", "--name", name]):
        done = run(*words, "--config", "callgate.yaml", cwd=setup.folder)
        assert (done.code, done.out) == (2, "")
        assert "Invalid value for --" in done.err
        assert "Traceback" not in done.err


def test_config_and_policy_do_not_mix(setup: Setup) -> None:
    done = run("serve", "--config", "callgate.yaml", "--policy", "p.json", cwd=setup.folder)
    assert done.code == 2
    assert "give either --config or --policy" in done.err


def test_the_greeting_warns_and_asks(setup: Setup) -> None:
    with setup.serving() as running:
        assert running.sidecar.said(r"^warning: +(no peps .*)")
        done = run(*shlex.split(running.sidecar.said(r"^ask it: +(.*)"))[1:])
        assert done.code in {0, 1}
        assert "no decision" not in done.err
    setup.configure(peps=[{"name": "a", "token_hash": "0" * 64}], grants=[])
    with setup.serving() as running:
        asked = running.sidecar.said(r"^ask it: +(.*)")
        assert "--token-file PEP_TOKEN_FILE" in asked
        assert "--grant-token-file GRANT_TOKEN_FILE" in asked
        assert isinstance(running, Running)
