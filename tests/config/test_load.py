"""The configuration's file, the environment and options: what wins, what is refused, and what is said about it."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from callgate.config.faults import InvalidConfigError
from callgate.config.load import Loaded, Option, load, unknown_variables
from callgate.config.origins import effective
from callgate.errors import ConfigError

SECRET = "5ec7e75ec7e75ec7e75ec7e75ec7e75ec7e75ec7e75ec7e75ec7e75ec7e75ec7"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def written(text: str, name: str = "callgate.yaml") -> Path:
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def faults(text: str, name: str = "callgate.yaml") -> list[str]:
    with pytest.raises(InvalidConfigError) as raised:
        load(written(text, name))
    return str(raised.value).splitlines()


BAD = [
    ("severs: {}", "1:1: unknown key `severs`; did you mean `servers`?"),
    ("workers: 1\nlog-format: json", "2:1: unknown key `log-format`; did you mean `log_format`?"),
    ("tls:\n  cert: a\n  certificate: a\n  key: b", "2:3: `tls`: unknown key `cert`; did you mean `certificate`?"),
    (
        "admin:\n  q: 1",
        (
            "2:3: `admin`: unknown key `q`; expected one of `four_eyes`, `grpc_listen`, `listen`, `login`, "
            "`public_url`, `step_up`, `tls`, `token_file`"
        ),
    ),
    ("servers:\n  a: {polcy: p}", "2:7: `servers.a`: unknown key `polcy`; did you mean `policy`?"),
    ("servers: {'': {}}", "1:11: `servers`: expected at least one character"),
    ("servers: [a]", "1:10: `servers`: expected keys and values, got a list"),
    ("servers: {a: p}", "1:14: `servers.a`: expected keys and values, got text"),
    ("policies: {p: 1}", "1:15: `policies.p`: expected a path"),
    ("policies: {p: ''}", "1:15: `policies.p`: expected at least one character"),
    ("grants: {}", "1:9: `grants`: expected a list, got keys and values"),
    ("grants:\n# - {id: a, server: a}", "1:7: `grants`: expected a list, got nothing; `[]` is an empty one"),
    ("grants: null", "1:9: `grants`: expected a list, got nothing; `[]` is an empty one"),
    ("peps: ~", "1:7: `peps`: expected a list, got nothing; `[]` is an empty one"),
    ("grants_file:", "1:12: `grants_file`: expected a path, got nothing"),
    ("grants:\n  - server: a", "2:5: `grants[0]`: the key `id` is missing"),
    ("grants:\n  - id: 7\n    server: a", "2:9: `grants[0].id`: expected text, got a number; put it in quotes"),
    (
        "grants: [{id: a, server: a, expires_at: 2027-01-31}]",
        (
            "1:41: `grants[0].expires_at`: expected a time with its zone as in RFC 3339, "
            "such as `2027-01-31T00:00:00Z`, got `2027-01-31`"
        ),
    ),
    (
        "grants: [{id: a, server: a, expires_at: 2027-02-30T00:00:00Z}]",
        (
            "1:41: `grants[0].expires_at`: expected a time with its zone as in RFC 3339, "
            "such as `2027-01-31T00:00:00Z`, got `2027-02-30T00:00:00Z`"
        ),
    ),
    (
        f"grants: [{{id: a, server: a, token_hash: '{SECRET.upper()}'}}]",
        "1:41: `grants[0].token_hash`: expected 64 lower-case hex digits in quotes, as `create` prints them",
    ),
    (
        "grants: [{id: a, server: a, token_hash: cgt_verysecret}]",
        (
            "1:41: `grants[0].token_hash`: expected the hash of a token, this looks like a token itself; take the line "
            "that `create` prints"
        ),
    ),
    ("grants: [{id: a, server: a, revoked: maybe}]", "1:38: `grants[0].revoked`: expected `true` or `false`, got text"),
    ("grants: [{id: a, server: a, revoked: no}]", "1:38: `grants[0].revoked`: expected `true` or `false`, got text"),
    ("peps: [{name: a, vouches: 1}]", "1:27: `peps[0].vouches`: expected `true` or `false`, got a number"),
    ("watch: off", "1:8: `watch`: expected `true` or `false`, got text"),
    (
        "grants: [{id: a, server: a, labels: {n: 1}}]",
        "1:41: `grants[0].labels.n`: expected text, got a number; put it in quotes",
    ),
    ("peps: [{name: a, uids: [-1]}]", "1:25: `peps[0].uids[0]`: expected at least 0"),
    ("peps: [{name: a, uids: [root]}]", "1:25: `peps[0].uids[0]`: expected a whole number, got `root`"),
    (
        "listen: localhost:9191",
        (
            "1:9: `listen`: expected an IP address and a port, such as `127.0.0.1:9191` or `[::1]:9191`, "
            "got `localhost:9191`"
        ),
    ),
    ("listen: 127.0.0.1:65536", "1:9: `listen`: expected an IP address and a port, such as `127.0.0.1:9191` or "),
    ("listen: ::1:80", "1:9: `listen`: expected an IP address and a port, such as `127.0.0.1:9191` or "),
    ("listen: '[127.0.0.1]:80'", "1:9: `listen`: expected an IP address and a port, such as "),
    ("allowed_hosts: ['a:1']", "1:17: `allowed_hosts[0]`: expected a host name without a scheme and a port, such as "),
    ("tls: {certificate: a}", "1:6: `tls`: the key `key` is missing"),
    ("workers: true", "1:10: `workers`: expected a whole number"),
    ("workers: 1.5", "1:10: `workers`: expected a whole number"),
    ("workers: 2000", "1:10: `workers`: expected at most 1024"),
    ("grace: 10", "1:8: `grace`: expected a duration with its unit, such as `500ms`, `30s`, `5m`, `12h` or `7d`"),
    ("grace: 2h", "1:8: `grace`: expected at most `1h`"),
    ("counters: {capacity: 0}", "1:22: `counters.capacity`: expected at least 1"),
    ("log_format: xml", "1:13: `log_format`: expected `json` or `text`"),
    (
        f"grant_key: {SECRET}",
        "1:1: `grant_key` is a secret: name a file of it as `grant_key_file`, or set CALLGATE_GRANT_KEY",
    ),
    ("workers: cgt_verysecret", "1:10: `workers`: expected a whole number, got `cgt_...`"),
    (
        "peps: [{name: a, uids: [cgt_verysecret-verysecret]}]",
        "1:25: `peps[0].uids[0]`: expected a whole number, got `cgt_...`",
    ),
    ("cgt_verysecret: 1", "1:1: unknown key `cgt_...`; expected one of "),
    (f"{SECRET}: 1", "1:1: unknown key `5ec7...`; expected one of "),
    (f"listen: {SECRET}", "1:9: `listen`: expected an IP address and a port, such as "),
    (f"servers: {{a: {{{SECRET}: 1}}}}", "1:15: `servers.a`: unknown key `5ec7...`; expected one of "),
    (f"grants: [{{id: a, server: a, labels: {{{SECRET}: 1}}}}]", "1:104: `grants[0].labels.5ec7...`: expected text, "),
    ("a: 1\na: 2", "2:1: key `a` appears twice in one object"),
    ("- a", "1:1: expected keys and values at the top of the file"),
]


@pytest.mark.parametrize(("text", "expected"), BAD, ids=[text for text, _ in BAD])
def test_bad_files(text: str, expected: str) -> None:
    [line] = faults(text)
    assert line == f"callgate.yaml:{expected}" or (
        expected.endswith(" ") and line.startswith(f"callgate.yaml:{expected}")
    )
    assert SECRET not in line.lower()
    assert "verysecret" not in line


def test_every_fault_is_told_in_order() -> None:
    assert [line.split(": ")[0] for line in faults("workers: x\nfoo: 1\ngrace: 1\nadmin: {listen: 1}")] == [
        "callgate.yaml:1:10",
        "callgate.yaml:2:1",
        "callgate.yaml:3:8",
        "callgate.yaml:4:17",
    ]


def test_json() -> None:
    document = {"servers": {"a": {"policy": "p"}}, "grace": "3s", "counters": {"capacity": 4096}}
    config = load(written(json.dumps(document), "callgate.json")).config
    assert (config.grace, config.counters.capacity) == (timedelta(seconds=3), 4096)
    assert faults('{"workers": 1,\n  "workes": 2}', "callgate.json") == [
        "callgate.json:2:3: unknown key `workes`; did you mean `workers`?"
    ]
    assert faults("grace: 3s", "callgate.json")[0].startswith("callgate.json:1:1: not JSON: ")


def test_what_is_no_text() -> None:
    path = Path("callgate.yaml")
    path.write_bytes(b"workers: 1\ngrace: \xff")
    with pytest.raises(InvalidConfigError, match=r"callgate.yaml:2:8: not UTF-8; save the document as UTF-8"):
        load(path)


def test_files_that_cannot_be_read() -> None:
    with pytest.raises(ConfigError, match=r"cannot read `nope.yaml`: no such file or directory"):
        load(Path("nope.yaml"))
    with pytest.raises(ConfigError, match=r"cannot read `.`: is a directory"):
        load(Path())


def test_an_empty_file_is_all_defaults() -> None:
    assert load(written("# nothing\n")).config == load(None).config


def test_paths_start_at_the_file(folder: Path) -> None:
    text = "policies: {a: p.json, b: ../q.json, c: /r.json}\nsocket: s\ntls: {certificate: c, key: k}\ngrants_file: g"
    config = load(written(text, "etc/callgate.yaml")).config
    assert config.policies == {"a": Path("etc/p.json"), "b": Path("etc/../q.json"), "c": Path("/r.json")}
    assert config.tls is not None
    assert (config.socket, config.tls.key, config.grants_file) == (Path("etc/s"), Path("etc/k"), Path("etc/g"))
    config = load(folder / "etc/callgate.yaml").config
    assert config.policies["a"] == folder / "etc/p.json"


def test_precedence(monkeypatch: pytest.MonkeyPatch) -> None:
    path = written("workers: 1\ngrace: 1s\nadmin: {listen: '127.0.0.1:1'}\nlog_format: json\nsocket: s\n", "e/c.yaml")
    monkeypatch.setenv("CALLGATE_WORKERS", "2")
    monkeypatch.setenv("CALLGATE_GRACE", "2s")
    monkeypatch.setenv("CALLGATE_SOCKET", "t")
    loaded = load(path, {("grace",): Option("--grace", "3s")})
    config = loaded.config
    assert (config.workers, config.grace, config.admin.listen) == (2, timedelta(seconds=3), "127.0.0.1:1")
    assert (config.log_format.value, config.counters.per_grant) == ("json", 65_536)
    # A path of the environment starts where the program does.
    assert config.socket == Path("t")
    assert loaded.origin(("grace",)) == "option --grace"
    assert loaded.origin(("workers",)) == "environment variable `CALLGATE_WORKERS`"
    assert loaded.origin(("admin", "listen")) == "e/c.yaml:3:17"
    assert loaded.origin(("counters", "per_grant")) == "default"


@pytest.mark.parametrize(
    ("variable", "value", "path", "expected"),
    [
        ("CALLGATE_LISTEN", "null", ["listen"], None),
        ("CALLGATE_LISTEN", "", ["listen"], "127.0.0.1:9191"),
        ("CALLGATE_ADMIN__LISTEN", "127.0.0.1:7", ["admin", "listen"], "127.0.0.1:7"),
        ("CALLGATE_COUNTERS__CAPACITY", "3", ["counters", "capacity"], 3),
        ("CALLGATE_COUNTERS", '{"per_grant": 3}', ["counters", "per_grant"], 3),
        ("CALLGATE_RESERVATIONS__TTL", "5m", ["reservations", "ttl"], timedelta(minutes=5)),
        ("CALLGATE_WATCH", "false", ["watch"], False),
        ("CALLGATE_ALLOWED_HOSTS", '["a.example"]', ["allowed_hosts"], ["a.example"]),
        ("CALLGATE_SERVERS__AWS__POLICY", "p", ["servers", "aws", "policy"], "p"),
        ("CALLGATE_POLICIES__P", "p.json", ["policies", "p"], Path("p.json")),
        ("callgate_workers", "7", ["workers"], 7),
    ],
)
def test_environment(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, path: list[str], expected: object
) -> None:
    monkeypatch.setenv(variable, value)
    found: Any = load(None).config
    for step in path:
        found = found[step] if isinstance(found, dict) else getattr(found, step)
    assert found == expected


def test_a_section_of_the_environment_goes_over_the_file_key_by_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CALLGATE_COUNTERS__CAPACITY", "5")
    counters = load(written("counters: {capacity: 4, per_grant: 3}")).config.counters
    assert (counters.capacity, counters.per_grant) == (5, 3)


@pytest.mark.parametrize(
    ("variable", "value", "expected"),
    [
        (
            "CALLGATE_WORKERS",
            "many",
            "environment variable `CALLGATE_WORKERS`: `workers`: expected a whole number, got `many`",
        ),
        (
            "CALLGATE_GRANTS",
            "null",
            "environment variable `CALLGATE_GRANTS`: `grants`: expected a list, got nothing; `[]` is an empty one",
        ),
        (
            "CALLGATE_PEPS",
            "null",
            "environment variable `CALLGATE_PEPS`: `peps`: expected a list, got nothing; `[]` is an empty one",
        ),
        (
            "CALLGATE_ADMIN__LISEN",
            "x",
            "environment variable `CALLGATE_ADMIN__LISEN`: `admin`: unknown key `lisen`; did you mean `listen`?",
        ),
        ("CALLGATE_TLS__KEY", "k", "environment variable `CALLGATE_TLS__KEY`: `tls`: the key `certificate` is missing"),
        (
            "CALLGATE_SERVERS",
            '{"a": {}, "a": {}}',
            "environment variable `CALLGATE_SERVERS`: expected JSON; key `a` appears twice in one object",
        ),
        ("CALLGATE_SERVERS", " ", "environment variable `CALLGATE_SERVERS`: expected JSON; the text is empty"),
    ],
)
def test_bad_environment(monkeypatch: pytest.MonkeyPatch, variable: str, value: str, expected: str) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(InvalidConfigError) as raised:
        load(written("workers: 1"))
    assert str(raised.value) == expected


@pytest.mark.parametrize(
    ("text", "expected"), [("0", False), ("off", False), ("No", False), ("true", True), ("1", True)]
)
def test_switches_of_the_environment(monkeypatch: pytest.MonkeyPatch, text: str, expected: bool) -> None:
    monkeypatch.setenv("CALLGATE_WATCH", text)
    assert load(None).config.watch is expected
    monkeypatch.setenv("CALLGATE_WATCH", "maybe")
    with pytest.raises(InvalidConfigError, match="`watch`: expected `true` or `false`, got text"):
        load(None)


def test_bad_options() -> None:
    with pytest.raises(InvalidConfigError) as raised:
        load(None, {("listen",): Option("--listen", "here")})
    assert str(raised.value).startswith("--listen: `listen`: expected an IP address and a port")


def test_variables_that_are_nearly_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    # As Kubernetes sets them for a service of this name.
    monkeypatch.setenv("CALLGATE_PORT", "tcp://10.0.0.1:9191")
    monkeypatch.setenv("CALLGATE_SERVICE_HOST", "10.0.0.1")
    monkeypatch.setenv("CALLGATE_ADMIN_PORT_9193_TCP", "tcp://10.0.0.1:9193")
    load(None)
    monkeypatch.setenv("CALLGATE_LISTN", "127.0.0.1:1")
    monkeypatch.setenv("CALLGATE_COUNTERS__CAPACITY", "9")
    assert "environment variable `CALLGATE_LISTN` is not known; did you mean `CALLGATE_LISTEN`?" in unknown_variables()
    assert not any("COUNTERS" in warning or "SERVICE_HOST" in warning for warning in unknown_variables())


def test_secrets_are_masked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CALLGATE_GRANT_KEY", SECRET)
    loaded: Loaded = load(written("servers: {a: {}}"))
    shown = {value.key: value for value in effective(loaded)}
    assert shown["grant_key"].value == "**********"
    assert shown["grant_key"].origin == "environment variable `CALLGATE_GRANT_KEY`"
    assert SECRET not in repr(loaded.config)
    assert SECRET not in str(loaded.config.model_dump())
    assert loaded.config.grant_key is not None
    assert loaded.config.grant_key.get_secret_value() == SECRET


def test_every_value_is_shown_with_its_origin() -> None:
    shown = {
        value.key: (value.value, value.origin) for value in effective(load(written("grace: 90s\nservers: {a: {}}")))
    }
    assert shown["grace"] == ("90s", "callgate.yaml:1:8")
    assert shown["servers.a.policy"] == (None, "default")
    assert shown["counters.capacity"] == (1 << 20, "default")
    assert shown["admin.listen"] == ("127.0.0.1:9193", "default")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2027-01-31T00:00:00Z", datetime(2027, 1, 31, tzinfo=timezone.utc)),
        ("2027-01-31t02:00:00.5+02:00", datetime(2027, 1, 31, microsecond=500_000, tzinfo=timezone.utc)),
        ("2027-01-31 00:00:00.123456789z", datetime(2027, 1, 31, microsecond=123_456, tzinfo=timezone.utc)),
    ],
)
def test_moments(text: str, expected: datetime) -> None:
    grants = load(written(f"grants: [{{id: a, server: a, expires_at: {text}}}]")).config.grants
    assert grants is not None
    assert grants[0].expires_at == expected
