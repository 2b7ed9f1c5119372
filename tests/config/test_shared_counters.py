"""Shared counters in the configuration: their keys, their files, what the engine is given, and what is never shown."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest
import trustme

from callgate import Engine
from callgate.config.files import Files
from callgate.config.load import Option, load
from callgate.config.schema import config_schema
from callgate.control import sidecar
from callgate.control.plan_findings import warnings_of
from callgate.control.restart import refused_changes
from callgate.control.shared_counters import shared_counters
from callgate.control.sidecar import Plan, Source, try_out
from callgate.errors import ConfigError
from support.program import run
from support.setup import KEY, Setup, policy

if TYPE_CHECKING:
    from callgate.config.document import KeyPath

URL = "redis://redis.example.com"
PASSWORD = "pass-word \N{GREEK SMALL LETTER LAMDA}"
NO_KEY = (
    "callgates that share counters need one key of token hashes, because it names the counts; give each of them the "
    "same file as `grant_key_file`, or the same CALLGATE_GRANT_KEY; `openssl rand -hex 32` makes a key"
)

NOT_WRAP = (
    "`counters.shared` is for `callgate serve`, and `callgate wrap` cannot share counters; take it out, or put the "
    "server behind the gateway of `callgate serve`"
)


@pytest.fixture
def setup(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Setup:
    monkeypatch.chdir(tmp_path)
    return Setup(tmp_path)


def planned(setup: Setup, **options: str) -> Plan:
    given: dict[KeyPath, Option] = {
        ("counters", *key.split(".")): Option("--x", value) for key, value in options.items()
    }
    return Source(setup.file, None, given).read(Files())


def checked(setup: Setup, **variables: str) -> str:
    """The faults that `config check` prints, without the place."""
    done = run("config", "check", setup.file, variables=variables)
    assert done.code == 2, done
    assert "pass-word" not in done.out + done.err
    return done.err


class Recorded:
    """Takes the place of the engine, and records what it is made with."""

    def __init__(self) -> None:
        self.made: list[dict[str, Any]] = []

    def from_config(self, **keywords: Any) -> Engine:
        return self._record(keywords)

    def from_file(self, *_: object, **keywords: Any) -> Engine:
        return self._record(keywords)

    def _record(self, keywords: dict[str, Any]) -> Engine:
        self.made.append(keywords)
        return Engine.from_config(policies={}, servers={})


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch) -> Recorded:
    recorded = Recorded()
    monkeypatch.setattr(sidecar, "Engine", recorded)
    return recorded


def test_by_default_nothing_is_shared(setup: Setup, recorded: Recorded) -> None:
    setup.configure()
    plan = planned(setup)
    assert (plan.config.counters.shared, plan.config.counters.recovery, plan.shared_place) == (None, None, None)
    assert shared_counters(plan.bundle) is None
    plan.engine().close()
    # Not even none: an extension module without the argument works.
    assert "shared" not in recorded.made[0]


def test_the_engine_is_given_everything(setup: Setup, recorded: Recorded) -> None:
    authority = trustme.CA().cert_pem.bytes().decode()
    setup.write("secrets/redis.password", f"  {PASSWORD}\n")
    setup.write("secrets/ca.pem", authority)
    shared = {
        "url": "rediss://me@redis.example.com/3",
        "password_file": "secrets/redis.password",
        "ca_file": "secrets/ca.pem",
        "budget": "1ms",
        "prefix": "a.B_c:d-9",
        "lease": "1m",
    }
    setup.configure(counters={"shared": shared, "recovery": "366d"})
    plan = planned(setup)
    expected = {
        "url": "rediss://me@redis.example.com:6379/3",
        "password": PASSWORD,
        "ca_pem": authority.encode(),
        "budget_ms": 1,
        "prefix": "a.B_c:d-9",
        "lease_ms": 60_000,
        "recovery_ms": 366 * 86_400_000,
        "grant_key": KEY,
    }
    assert shared_counters(plan.bundle) == expected
    plan.engine().close()
    plan.engine(counters="memory", share_counters=False).close()
    assert [made["shared"] for made in recorded.made] == [expected] * 2
    assert [made["counters"] for made in recorded.made] == [f"file:{setup.folder / 'state' / 'counters'}", "memory"]
    assert str(plan.shared_place) == "rediss://redis.example.com:6379/3"
    for shown in (repr(plan), repr(plan.bundle), repr(plan.config), str(plan.config)):
        assert "pass-word" not in shown
        assert KEY.hex() not in shown


def test_the_defaults(setup: Setup) -> None:
    setup.configure(counters={"shared": {"url": URL}})
    assert shared_counters(planned(setup).bundle) == {
        "url": f"{URL}:6379/0",
        "password": None,
        "ca_pem": None,
        "budget_ms": 50,
        "prefix": "callgate",
        "lease_ms": 10_000,
        "recovery_ms": None,
        "grant_key": KEY,
    }


def test_with_a_policy_alone(setup: Setup, recorded: Recorded, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CALLGATE_GRANT_KEY", KEY.hex())
    options: dict[KeyPath, Option] = {("counters", "shared", "url"): Option("--counters", URL)}
    plan = Source(None, setup.folder / "p.json", options).read(Files())
    plan.engine(counters="memory").close()
    assert recorded.made[0]["shared"]["url"] == f"{URL}:6379/0"


def test_an_engine_on_trial_shares_nothing(setup: Setup, recorded: Recorded) -> None:
    setup.configure(counters={"shared": {"url": URL}})
    plan = planned(setup)
    plan.engine(on_trial=True).close()
    try_out(plan)
    assert len(recorded.made) == 2
    for made in recorded.made:
        assert "shared" not in made
        assert made["counters"] == "memory"


def test_commands_that_only_try_do_not_connect(setup: Setup) -> None:
    # Nobody listens there, and this extension module may not know the argument.
    setup.configure(counters={"shared": {"url": "redis://127.0.0.1:1"}})
    assert run("config", "check", setup.file).code == 0
    asked = run("check", "--config", setup.file, "--server", "s", "--tool", "t", "--grant", "g", "--json")
    assert (asked.code, json.loads(asked.out)["outcome"]) == (0, "allow")
    assert not (setup.folder / "state").exists()


@pytest.mark.parametrize(
    "url",
    [
        URL,
        "rediss://me@h:1/2",
        "unix:///run/redis.sock",
        "redis+sentinel://a,b/m",
        "rediss+sentinel://a/m",
    ],
)
def test_the_short_form(setup: Setup, url: str) -> None:
    setup.configure(counters=url)
    plan = planned(setup)
    counters = plan.config.counters
    assert counters.shared is not None
    assert (counters.shared.url, counters.store) == (url, None)
    assert plan.counters_place == f"file:{setup.folder / 'state' / 'counters'}"
    assert plan.bundle.loaded.origin(("counters", "shared", "url")).startswith(f"{setup.file}:1:")
    assert jsonschema.Draft202012Validator(config_schema()).is_valid(setup.config)


def test_the_other_short_form_stays(setup: Setup) -> None:
    for place in ("memory", f"file:{setup.folder / 'c'}"):
        setup.configure(counters=place)
        plan = planned(setup)
        assert (plan.counters_place, plan.shared_place) == (place, None)
        assert jsonschema.Draft202012Validator(config_schema()).is_valid(setup.config)


def test_the_schema() -> None:
    validator = jsonschema.Draft202012Validator(config_schema())
    good: dict[str, Any] = {
        "url": URL,
        "password_file": "p",
        "ca_file": "c",
        "budget": "1s",
        "prefix": "x",
        "lease": "2s",
    }
    assert validator.is_valid({"servers": {}, "counters": {"shared": good, "recovery": "1h"}})
    assert validator.is_valid({"servers": {}, "counters": {"shared": None, "recovery": None}})
    for bad in ({}, {"url": "http://h"}, {"url": URL, "prefix": "a b"}, {"url": URL, "password": "x"}):
        assert not validator.is_valid({"servers": {}, "counters": {"shared": bad}})
    assert not validator.is_valid({"servers": {}, "counters": "http://h"})


def test_paths_start_at_the_folder_of_the_file(setup: Setup) -> None:
    shared = {"url": "unix:///run/redis.sock", "password_file": "a", "ca_file": "/b"}
    path = setup.write("etc/callgate.yaml", {**setup.config, "counters": {"shared": shared}})
    found = load(path).config.counters.shared
    assert found is not None
    assert (found.password_file, found.ca_file) == (setup.folder / "etc" / "a", Path("/b"))


def test_the_environment(setup: Setup, monkeypatch: pytest.MonkeyPatch) -> None:
    setup.write("secret", "pass-word")
    setup.configure(counters={"shared": {"url": "redis://other", "prefix": "of-the-file"}})
    monkeypatch.setenv("CALLGATE_COUNTERS__SHARED__URL", URL)
    monkeypatch.setenv("CALLGATE_COUNTERS__SHARED__PASSWORD_FILE", "secret")
    monkeypatch.setenv("CALLGATE_COUNTERS__SHARED__BUDGET", "2s")
    monkeypatch.setenv("CALLGATE_COUNTERS__RECOVERY", "5m")
    given = shared_counters(planned(setup).bundle)
    assert given is not None
    assert (given["url"], given["password"], given["prefix"]) == (f"{URL}:6379/0", "pass-word", "of-the-file")
    assert (given["budget_ms"], given["recovery_ms"]) == (2_000, 300_000)
    monkeypatch.setenv("CALLGATE_COUNTERS__RECOVERY", "null")
    assert planned(setup).config.counters.recovery is None
    monkeypatch.setenv("CALLGATE_COUNTERS__SHARED", "null")
    for name in ("URL", "PASSWORD_FILE", "BUDGET"):
        monkeypatch.delenv(f"CALLGATE_COUNTERS__SHARED__{name}")
    assert planned(setup).config.counters.shared is None


def test_the_environment_alone(setup: Setup) -> None:
    setup.configure()
    variables = {"CALLGATE_COUNTERS__SHARED__URL": URL, "CALLGATE_COUNTERS__SHARED__LEASE": "5s"}
    shown = run("config", "show", "--json", setup.file, variables=variables)
    values = {key: entry["value"] for key, entry in json.loads(shown.out).items()}
    assert (values["counters.shared.url"], values["counters.shared.lease"]) == (URL, "5s")
    assert values["counters.shared.budget"] == "50ms"
    done = checked(setup, CALLGATE_COUNTERS__SHARED__URL="redis://me:pass-word@h")
    assert done.startswith(
        "environment variable `CALLGATE_COUNTERS__SHARED__URL`: `counters.shared.url`: it contains a password, and "
    )


@pytest.mark.parametrize(
    ("counters", "expected"),
    [
        ({"shared": {}}, "`counters.shared`: the key `url` is missing"),
        ({"shared": URL}, "`counters.shared`: expected keys and values, got text"),
        ({"shared": {"url": 6379}}, "`counters.shared.url`: expected text, got a number; put it in quotes"),
        (
            {"shared": {"url": "redis://me:pass-word@h"}},
            (
                "`counters.shared.url`: it contains a password, and everybody who may read this URL would have it: "
                "write the password to a file of its own, and name that as `counters.shared.password_file`"
            ),
        ),
        ("redis://me:pass-word@h", "`counters.shared.url`: it contains a password, and everybody"),
        ("rediss+sentinel://h/m?password=pass-word", "`counters.shared.url`: expected neither `?` nor `#`; a password"),
        ("redis://h:x", "`counters.shared.url`: expected a host and a port, such as `redis.example.com:6379`, "),
        (
            "reddis://me:pass-word@h",
            "`counters.store`: expected `memory` or `file:PATH`, got a URL; that of Redis is `counters.shared.url`",
        ),
        (
            {"store": URL},
            "`counters.store`: expected `memory` or `file:PATH`, got a URL; that of Redis is `counters.shared.url`",
        ),
        ("redis", "`counters.store`: expected `memory` or `file:PATH`, got `redis`"),
        (
            {"shared": {"url": URL, "password": "pass-word"}},
            "`counters.shared`: unknown key `password`; did you mean `password_file`?",
        ),
        ({"shared": {"url": URL, "password_file": ""}}, "`counters.shared.password_file`: expected at least one "),
        ({"shared": {"url": URL, "budget": "0ms"}}, "`counters.shared.budget`: expected at least `1ms`"),
        ({"shared": {"url": URL, "budget": "2001ms"}}, "`counters.shared.budget`: expected at most `2s`"),
        ({"shared": {"url": URL, "budget": 50}}, "`counters.shared.budget`: expected a duration with its unit, such "),
        ({"shared": {"url": URL, "lease": "999ms"}}, "`counters.shared.lease`: expected at least `1s`"),
        ({"shared": {"url": URL, "lease": "61s"}}, "`counters.shared.lease`: expected at most `1m`"),
        (
            {"shared": {"url": URL, "prefix": ""}},
            "`counters.shared.prefix`: expected 1 to 64 letters, digits and `._:-`",
        ),
        ({"shared": {"url": URL, "prefix": "a" * 65}}, "`counters.shared.prefix`: expected 1 to 64 letters, digits"),
        ({"shared": {"url": URL, "prefix": "a{b}"}}, "`counters.shared.prefix`: expected 1 to 64 letters, digits"),
        ({"shared": {"url": URL, "prefix": "a\n"}}, "`counters.shared.prefix`: expected 1 to 64 letters, digits"),
        ({"shared": {"url": URL, "prefix": 7}}, "`counters.shared.prefix`: expected text, got a number; put it in "),
        ({"shared": {"url": URL}, "recovery": "999ms"}, "`counters.recovery`: expected at least `1s`"),
        ({"shared": {"url": URL}, "recovery": "367d"}, "`counters.recovery`: expected at most `366d`"),
        (
            {"shared": {"url": URL, "ca_file": "p.json"}},
            "`ca_file` is for TLS, and `counters.shared.url` has none; write `rediss://`, or take `ca_file` out",
        ),
    ],
)
def test_what_is_refused(setup: Setup, counters: object, expected: str) -> None:
    setup.configure(counters=counters)
    assert f": {expected}" in checked(setup)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "expected a password: printable characters on one line"),
        (b" \n", "expected a password: printable characters on one line"),
        (b"pass-word\npass-word", "expected a password: printable characters on one line"),
        (b"pass-word\0x", "expected a password: printable characters on one line"),
        (b"pass-word\xff", "expected a password, this is no UTF-8 text"),
    ],
)
def test_a_file_without_a_password(setup: Setup, content: bytes, expected: str) -> None:
    path = setup.folder / "secret"
    path.write_bytes(content)
    setup.configure(counters={"shared": {"url": URL, "password_file": "secret"}})
    assert f": `{path}`: {expected}\n" in checked(setup)


@pytest.mark.parametrize(
    "content",
    [
        "",
        "no certificate",
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        "\N{GREEK SMALL LETTER LAMDA}",
    ],
)
def test_a_file_without_authorities(setup: Setup, content: str) -> None:
    path = setup.write("ca.pem", content)
    setup.configure(counters={"shared": {"url": "rediss://h", "ca_file": "ca.pem"}})
    expected = "expected certificates of authorities as PEM, from `-----BEGIN CERTIFICATE-----` on"
    assert f": `{path}`: {expected}\n" in checked(setup)


@pytest.mark.parametrize("key", ["password_file", "ca_file"])
def test_a_file_that_is_not_there(setup: Setup, key: str) -> None:
    setup.configure(counters={"shared": {"url": "rediss://h", key: "nope"}})
    column = setup.file.read_text().index('"nope"') + 1
    assert f"callgate.yaml:1:{column}: cannot read " in checked(setup)


def test_both_files_are_watched(setup: Setup) -> None:
    setup.write("secret", "pass-word")
    setup.write("ca.pem", trustme.CA().cert_pem.bytes().decode())
    setup.configure(counters={"shared": {"url": "rediss://h", "password_file": "secret", "ca_file": "ca.pem"}})
    files = Files()
    Source(setup.file, None).read(files)
    assert {setup.folder / "secret", setup.folder / "ca.pem"} <= files.paths


def test_others_who_may_read_the_password_are_a_warning(setup: Setup) -> None:
    path = setup.write("secret", "pass-word")
    setup.configure(counters={"shared": {"url": URL, "password_file": "secret"}})
    warning = f"other users may read the password `{path}`; chmod 600 it"
    assert warning not in warnings_of(planned(setup))
    path.chmod(0o640)
    assert warning in warnings_of(planned(setup))


def test_the_key_must_be_given(setup: Setup) -> None:
    setup.configure(counters=URL, grant_key_file=None)
    column = setup.file.read_text().index(json.dumps(URL)) + 1
    assert f"callgate.yaml:1:{column}: {NO_KEY}\n" in checked(setup)
    # The key that was made in the state folder is this machine's own.
    setup.write("state/grant.key", KEY.hex())
    assert NO_KEY in checked(setup)
    assert run("config", "check", setup.file, variables={"CALLGATE_GRANT_KEY": KEY.hex()}).code == 0
    setup.configure(grant_key_file="key")
    assert run("config", "check", setup.file).code == 0
    # Nothing is said twice where the key itself has a fault.
    setup.configure(grant_key_file=7)
    assert NO_KEY not in checked(setup)
    setup.configure(grant_key_file="nope")
    assert "cannot read" in checked(setup)


def test_an_engine_without_the_key_is_never_made(setup: Setup) -> None:
    setup.configure(counters=URL)
    bundle = replace(planned(setup).bundle, key=None)
    with pytest.raises(ConfigError) as raised:
        shared_counters(bundle)
    assert str(raised.value) == NO_KEY


def test_a_recovery_without_shared_counters_is_a_warning(setup: Setup) -> None:
    setup.configure(counters={"recovery": "1h"})
    expected = "warning: `counters.recovery` has no effect without `counters.shared`; remove it"
    assert expected in run("config", "check", setup.file).out
    setup.configure(counters={"recovery": "1h", "shared": {"url": URL}})
    assert expected not in run("config", "check", setup.file).out


@pytest.mark.parametrize("alone", [False, True])
def test_a_setting_for_shared_counters_has_an_effect(
    setup: Setup, alone: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    document = policy()
    document["tools"]["t"]["limits"][0]["on_store_failure"] = "allow"
    setup.write("p.json", document)
    setup.configure()
    monkeypatch.setenv("CALLGATE_GRANT_KEY", KEY.hex())
    for place, is_useless in (("memory", True), (URL, False)):
        key: KeyPath = ("counters", "store") if is_useless else ("counters", "shared", "url")
        source = Source(None, setup.folder / "p.json") if alone else Source(setup.file, None)
        plan = Source(source.config, source.policy, {key: Option("--counters", place)}).read(Files())
        assert any("`on_store_failure` has no effect" in warning for warning in warnings_of(plan)) is is_useless


@pytest.mark.parametrize("alone", [False, True])
def test_limits_that_are_counted_alone_are_told(setup: Setup, alone: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    document = policy()
    hour = {"window": "hour"}
    document["tools"]["t"]["limits"] = [
        {"counter": "asks", **hour, "max": 5, "at_max": "require_approval"},
        {"counter": "large", **hour, "max": 9_007_199_255},
        {"counter": "meant", **hour, "max": 5, "at_max": "require_approval", "shared": "local"},
        {"counter": "usual", **hour, "max": 9_007_199_254},
    ]
    setup.write("p.json", document)
    setup.configure()
    monkeypatch.setenv("CALLGATE_GRANT_KEY", KEY.hex())
    for key, place, told in (("store", "memory", []), ("shared.url", URL, ["asks", "large"])):
        source = Source(None, setup.folder / "p.json") if alone else Source(setup.file, None)
        path: KeyPath = ("counters", *key.split("."))
        plan = Source(source.config, source.policy, {path: Option("--counters", place)}).read(Files())
        warned = [warning for warning in warnings_of(plan) if "each callgate counts" in warning]
        assert [
            f"`{name}` alone, because of its `{at}`" in line
            for line, name, at in zip(warned, told, ("at_max", "max"), strict=False)
        ] == [True] * len(told)
        assert len(warned) == len(told)


@pytest.mark.parametrize("command", ["serve", "wrap"])
def test_the_option(setup: Setup, command: str) -> None:
    further = ("--", "true") if command == "wrap" else ()
    words = ("--server", "s") if command == "wrap" else ()
    done = run(command, "--policy", setup.folder / "p.json", *words, "--counters", "redis://me:pass-word@h", *further)
    assert done.code == 2
    assert "--counters: `counters.shared.url`: it contains a password" in done.err
    assert "pass-word" not in done.err
    done = run(command, "--policy", setup.folder / "p.json", *words, "--counters", "redis://h", *further)
    assert (done.code, done.err) == (2, f"--counters: {NO_KEY}\n")
    if command == "wrap":
        variables = {"CALLGATE_GRANT_KEY": KEY.hex()}
        files = ("--policy", setup.folder / "p.json", *words)
        done = run(command, *files, "--counters", "redis://h", *further, variables=variables)
        assert (done.code, done.err) == (2, f"--counters: {NOT_WRAP}\n")
    done = run(command, "--policy", setup.folder / "p.json", *words, "--counters", "reddis://me:pass-word@h", *further)
    assert done.code == 2
    assert "--counters: `counters.store`: expected `memory` or `file:PATH`, got a URL; that of Redis is " in done.err
    assert "pass-word" not in done.err


def test_a_client_is_not_given_a_wrap_that_does_not_start(setup: Setup) -> None:
    setup.configure(counters=URL)
    servers = {"mcpServers": {"s": {"command": "true"}}}
    client = setup.write("home/.cursor/mcp.json", servers)
    done = run(
        *("clients", "wrap", "--config", setup.file, "--grant", "g", "--client", "cursor", "s"),
        variables={"HOME": setup.folder / "home"},
    )
    assert (done.code, done.out) == (2, "")
    assert done.err.endswith(f": {NOT_WRAP}\n")
    assert json.loads(client.read_text()) == servers


def test_a_reload_cannot_change_it(setup: Setup) -> None:
    setup.configure(counters={"shared": {"url": URL}})
    before = planned(setup)
    for counters, key in (
        ({"shared": {"url": "redis://other"}}, "counters.shared.url"),
        ({"shared": {"url": URL, "budget": "60ms"}}, "counters.shared.budget"),
        ({"shared": {"url": URL}, "recovery": "1h"}, "counters.recovery"),
        ({}, "counters.shared"),
    ):
        setup.configure(counters=counters)
        faults = refused_changes(planned(setup).in_force, before.in_force, is_keyed=True)
        expected = f"`{key}` cannot change while callgate runs; restart it, or put the value back"
        assert [fault.message for fault in faults] == [expected]


def test_durations_at_their_bounds(setup: Setup) -> None:
    for budget, lease, recovery in (("1ms", "1s", "1s"), ("2s", "60s", "366d")):
        setup.configure(counters={"shared": {"url": URL, "budget": budget, "lease": lease}, "recovery": recovery})
        counters = load(setup.file).config.counters
        assert counters.shared is not None
        assert counters.shared.budget in {timedelta(milliseconds=1), timedelta(seconds=2)}
