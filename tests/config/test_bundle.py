"""A configuration with its files: read as a whole, checked across keys and files, with warnings."""

from __future__ import annotations

import json
from datetime import datetime, timezone
from pathlib import Path

import pytest

from callgate import Engine
from callgate.config.bundle import Bundle, read_bundle
from callgate.config.check import check, warnings
from callgate.config.faults import InvalidConfigError
from callgate.config.files import Files
from callgate.config.key import parse_key, read_or_create_key
from callgate.config.load import load
from callgate.errors import ConfigError

POLICY = json.dumps({"version": "1", "default": "deny"})
KEY = "00" * 32
HASHES = [f"{number:064x}" for number in range(4)]
TOKENED = f"- {{{{id: {{}}, server: s, token_hash: '{HASHES[0]}'}}}}"
QUIET = "servers: {s: {policy: p}}\npolicies: {p: p.json}\n"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    Path("p.json").write_text(POLICY)
    Path("key").write_text(KEY)
    Path("key").chmod(0o600)
    return tmp_path


def read(text: str, files: Files | None = None) -> Bundle:
    path = Path("callgate.yaml")
    path.write_text(text)
    bundle = read_bundle(path, files=files)
    check(bundle)
    return bundle


def faults(text: str) -> list[str]:
    with pytest.raises(InvalidConfigError) as raised:
        read(text)
    return str(raised.value).splitlines()


def test_everything_that_is_named_is_read() -> None:
    for name in ("c.pem", "k.pem", "catalogue.json"):
        Path(name).write_text(name)
    Path("more").mkdir()
    Path("more/q.yaml").write_text(POLICY)
    Path("more/.r.yaml").write_text("left by an editor")
    Path("more/README").write_text("no policy")
    Path("grants").mkdir()
    Path("grants/a.yaml").write_text(f"grants:\n- {{id: b, server: s, policy: q, token_hash: '{HASHES[1]}'}}\n")
    Path("grants/b.json").write_text(json.dumps({"grants": [{"id": "c", "server": "s"}]}))
    files = Files()
    bundle = read(
        f"""{QUIET}policies_folder: more
catalogue: catalogue.json
grant_key_file: key
grants: [{{id: a, server: s, policy: p, token_hash: '{HASHES[0]}', expires_at: 2027-01-31T00:00:00Z, labels: {{t: x}}}}]
grants_file: grants
tls: {{certificate: c.pem, key: k.pem}}
""",
        files,
    )
    assert bundle.policies == {"p": ("p.json", POLICY.encode()), "q": ("more/q.yaml", POLICY.encode())}
    assert bundle.tls == {"certificate": b"c.pem", "key": b"k.pem"}
    keywords = bundle.engine_keywords()
    assert keywords["servers"] == {"s": "p"}
    assert keywords["grant_key"] == bytes(32)
    first, second, third = keywords["grants"]
    assert first == {
        "id": "a",
        "token_hash": HASHES[0],
        "server": "s",
        "policy": "p",
        "labels": {"t": "x"},
        "expires_at_us": int(datetime(2027, 1, 31, tzinfo=timezone.utc).timestamp()) * 10**6,
        "revoked": False,
    }
    assert (second["id"], third["id"], third["token_hash"]) == ("b", "c", None)
    named = {"callgate.yaml", "p.json", "more", "more/q.yaml", "catalogue.json", "key", "grants", "c.pem", "k.pem"}
    assert {str(path) for path in files.paths} == named | {"grants/a.yaml", "grants/b.json"}
    assert repr(bytes(32)) not in repr(bundle)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("workers: 1", "1:1: no server is configured, so that every call would be denied; add one"),
        ("servers: {s: {policy: q}}\npolicies: {p: p.json}", "1:23: unknown policy `q`; expected one of `p`"),
        ("servers: {s: {policy: q}}", "1:23: unknown policy `q`; there is none"),
        ("servers: {s: {}}\npolicies: {p: nope.json}", "2:15: cannot read `nope.json`: no such file or directory"),
        ("servers: {s: {}}\npolicies: {p: .}", "2:15: cannot read `.`: is a directory"),
        ("servers: {s: {}}\npolicies_folder: nope", "2:18: cannot read `nope`: no such file or directory"),
        (
            "servers: {s: {}}\npolicies: {p: p.json}\npolicies_folder: .",
            "3:18: `p.json` and `p.json` are policies of one key, `p`; rename one",
        ),
        ("servers: {s: {}}\ncatalogue: nope", "2:12: cannot read `nope`: no such file or directory"),
        ("servers: {s: {}}\ngrants_file: nope", "2:14: cannot read `nope`: no such file or directory"),
        (
            "servers: {s: {}}\ntls: {certificate: p.json, key: nope}",
            "2:33: cannot read `nope`: no such file or directory",
        ),
        ("servers: {s: {}}\nlisten: null", "2:9: nothing to listen on: expected `listen`, `socket`, or both"),
        (f"{QUIET}grants: [{{id: a, server: t}}]", "3:26: unknown server `t`; expected one of `s`"),
        (f"{QUIET}grants: [{{id: a, server: s, policy: q}}]", "3:37: unknown policy `q`; expected one of `p`"),
        (
            f"{QUIET}grants: [{{id: a, server: s}}, {{id: a, server: s}}]",
            "3:35: another grant has the id `a`; rename one",
        ),
        (
            f"{QUIET}grant_key_file: key\ngrants:\n{TOKENED.format('a')}\n{TOKENED.format('b')}",
            "6:34: the grant `a` has the same token; make one for each",
        ),
        (
            f"{QUIET}grant_key_file: '{KEY}'",
            "3:17: cannot read `0000...`: no such file or directory",
        ),
        (
            f"{QUIET}grant_key_file: {'A' * 43}=",
            "3:17: cannot read `AAAA...`: no such file or directory",
        ),
        (f"{QUIET}grants_file: cgt_secret", "3:14: cannot read `cgt_...`: no such file or directory"),
        (f"{QUIET}grants: [{{id: a, server: cgt_secret}}]", "3:26: unknown server `cgt_...`; expected one of `s`"),
        (
            f"{QUIET}grant_key_file: p.json\npeps: [{{name: a, token_hash: '{HASHES[0]}'}}]",
            "3:17: `p.json`: expected a key ",
        ),
        (
            f"{QUIET}grant_key_file: nope\npeps: [{{name: a, token_hash: '{HASHES[0]}'}}]",
            "3:17: cannot read `nope`: no ",
        ),
        (f"{QUIET}peps: [{{name: a}}]", "3:8: the PEP `a` can prove itself by nothing; give "),
        (f"{QUIET}peps: [{{name: a, uids: [1]}}]", "3:24: users are told apart on a Unix socket alone; give `socket`"),
        (
            f"{QUIET}peps: [{{name: a, certificates: [x]}}]",
            "3:32: client certificates need `tls.client_ca`, which says whose are admitted",
        ),
        (
            f"{QUIET}socket: s\npeps: [{{name: a, uids: [1]}}, {{name: a, uids: [2]}}]",
            "4:37: another PEP has the name `a`; rename one",
        ),
    ],
)
def test_what_does_not_fit(text: str, expected: str) -> None:
    [line] = faults(text)
    assert line == f"callgate.yaml:{expected}" or (
        expected.endswith(" ") and line.startswith(f"callgate.yaml:{expected}")
    )
    assert KEY not in line


def test_faults_of_other_files_say_their_place() -> None:
    Path("grants.yaml").write_text("grants:\n- id: a\n  sever: s\n  server: s\n- {id: b, server: t}\n")
    assert faults(f"{QUIET}grants_file: grants.yaml") == [
        "grants.yaml:3:3: `grants[0]`: unknown key `sever`; did you mean `server`?"
    ]
    Path("grants.yaml").write_text("grants:\n- {id: b, server: t}\n")
    assert faults(f"{QUIET}grants_file: grants.yaml") == ["grants.yaml:2:19: unknown server `t`; expected one of `s`"]
    Path("grants.yaml").write_text("- id: b")
    assert faults(f"{QUIET}grants_file: grants.yaml") == [
        "grants.yaml:1:1: expected keys and values at the top of the file"
    ]


def test_files_that_are_missing_are_watched_as_well() -> None:
    files = Files()
    with pytest.raises(InvalidConfigError):
        read("servers: {s: {}}\npolicies: {p: nope.json}", files)
    assert Path("nope.json") in files.paths
    assert files.are_unchanged()
    Path("nope.json").write_text(POLICY)
    assert not files.are_unchanged()


def test_no_grants_and_an_empty_list_of_them_differ() -> None:
    assert read(QUIET).engine_keywords()["grants"] is None
    Path("g.yaml").write_text("grants: []")
    for text in ("grants: []", "grants_file: g.yaml"):
        assert read(f"{QUIET}{text}").engine_keywords()["grants"] == []
    assert read(QUIET).peps() is None
    assert read(f"{QUIET}peps: []").peps() == []


@pytest.mark.parametrize("key", ["grants", "peps"])
@pytest.mark.parametrize("text", ["{}", "", "null", "''", "false"])
def test_what_is_no_list_is_refused(key: str, text: str) -> None:
    [fault] = faults(f"{QUIET}{key}: {text}")
    assert f"`{key}`" in fault
    assert "list" in fault


@pytest.mark.parametrize("text", ["", "{}", "grants:", "grants: {}", "# nothing", "[]"])
def test_a_file_without_a_list_of_grants_is_refused(text: str) -> None:
    Path("grants.yaml").write_text(text)
    [fault] = faults(f"{QUIET}grants_file: grants.yaml")
    assert fault.startswith("grants.yaml:")


def test_a_folder_without_files_of_grants_is_nobody() -> None:
    Path("folder").mkdir()
    assert read(f"{QUIET}grants_file: folder").engine_keywords()["grants"] == []


NOW = datetime(2026, 6, 1, tzinfo=timezone.utc)
TRUST = [
    "no grants are configured, so callers are trusted to name the grant that is charged",
    "no peps are configured, so everybody who reaches the port may ask and settle",
]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (QUIET, TRUST),
        (f"{QUIET}listen: null\nsocket: s", TRUST[:1]),
        (f"{QUIET}socket: s\npeps: [{{name: a, uids: [0]}}]", TRUST[:1]),
        (
            f"{QUIET}socket: s\npeps: []\ngrants: []",
            [
                "the list of grants is empty, so every call is denied but those with a grant of the store",
                "the list of peps is empty, so nobody may ask",
            ],
        ),
        (
            f"{QUIET}listen: 0.0.0.0:9191",
            [*TRUST, "`0.0.0.0:9191` is no loopback address and has no TLS: tokens and arguments travel in the clear"],
        ),
        (
            f"{QUIET}admin: {{listen: '[::]:9193'}}",
            [*TRUST, "the admin port `[::]:9193` is no loopback address and asks for no token"],
        ),
        (
            "servers: {s: {}}\npolicies: {p: p.json}",
            [*TRUST, "the policy `p` is used by no server and no grant of the configuration"],
        ),
        (
            f"{QUIET}grants:\n- {{id: a, server: s}}\n- {{id: b, server: s, revoked: true}}",
            [
                TRUST[1],
                "callgate.yaml:4:3: the grant `a` has no policy, so its calls are denied",
                "callgate.yaml:4:3: the grant `a` has no token, and no PEP vouches, so nobody can use it",
            ],
        ),
        (
            f"{QUIET}grants_file: g.yaml\ngrant_key_file: key",
            [TRUST[1], "g.yaml:2:3: the grant `a` has expired"],
        ),
    ],
)
def test_warnings(text: str, expected: list[str]) -> None:
    expired = f"id: a, server: s, policy: p, token_hash: '{HASHES[0]}', expires_at: 2026-06-01T00:00:00Z"
    Path("g.yaml").write_text(f"grants:\n- {{{expired}}}")
    assert warnings(read(text), NOW) == expected


def test_keys_that_others_may_read() -> None:
    Path("key").chmod(0o640)
    text = f"{QUIET}grant_key_file: key\npeps: [{{name: a, token_hash: '{HASHES[0]}'}}]"
    assert "other users may read the key `key`; chmod 600 it" in warnings(read(text))


def test_the_key_is_made_once() -> None:
    config = load(None).config
    key, path = read_or_create_key(config)
    assert path == config.state / "grant.key"
    assert (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    assert read_or_create_key(config) == (key, None)
    assert [entry.name for entry in path.parent.iterdir()] == ["grant.key"]


def test_the_key_of_the_environment_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CALLGATE_GRANT_KEY", "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=")
    assert read_or_create_key(load(None).config) == (bytes(range(32)), None)


def test_a_key_that_was_never_made_is_no_reason_to_make_one() -> None:
    [line] = faults(f"{QUIET}peps: [{{name: a, token_hash: '{HASHES[0]}'}}]")
    assert line.startswith("token hashes need the key that they were made with, and `")
    assert "callgate grants create" in line


@pytest.mark.parametrize("text", [KEY, KEY.upper() + "\n", "A" * 43, "A" * 43 + "=", f"  {'A' * 20}\n{'A' * 23}=\n"])
def test_forms_of_a_key(text: str) -> None:
    assert parse_key(text, "here") == bytes(32)


@pytest.mark.parametrize("text", ["", "0" * 63, "0" * 66, "A" * 42, "A" * 45, "!" * 43, "é" * 43, "A" * 44])
def test_what_is_no_key(text: str) -> None:
    with pytest.raises(ConfigError, match="here: expected a key of 32 bytes") as raised:
        parse_key(text, "here")
    assert not text or text not in str(raised.value)


@pytest.mark.parametrize(
    ("given", "expires_at_us"),
    [({}, None), ({"expires_at": "2027-01-31T00:00:00.5Z"}, 1_801_353_600_500_000)],
    ids=["no expiry", "an expiry"],
)
def test_the_engine_takes_a_grant_with_or_without_an_expiry(
    given: dict[str, str], expires_at_us: int | None, tmp_path: Path
) -> None:
    (tmp_path / "p.json").write_text(json.dumps({"version": "1", "name": "p", "default": "deny", "tools": {}}))
    grant = {"id": "g", "server": "s", "policy": "p", **given}
    config = {"servers": {"s": {"policy": "p"}}, "policies": {"p": "p.json"}, "grants": [grant]}
    (tmp_path / "c.json").write_text(json.dumps(config))
    keywords = read_bundle(tmp_path / "c.json").engine_keywords()
    assert keywords["grants"][0]["expires_at_us"] == expires_at_us
    Engine.from_config(**keywords)
