"""`callgate grants` and `callgate peps`: tokens from their making to their end."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from callgate import hash_token
from support.program import Done, refused, run
from support.setup import KEY, Setup, policy

SECRET = "cgt_"
A, B = (f"{number:064x}" for number in (1, 2))
YAML = f"""# The team's sidecar.
state: state
grant_key_file: key
servers: {{s: {{policy: p}}, t: {{}}}}
policies: {{p: p.json, q: q.json}}
grants:
  # The first one.
  - id: alice   # she
    server: s
    policy: p
    token_hash: "{A}"   # of 2026
    expires_at: 2099-01-31T00:00:00Z
  - id: bob
    servers: {{s: p, t: q}}
    owner: {{issuer: "https://login.example.com", subject: bob}}
peps:
  - {{name: gateway, token_hash: "{B}", uids: [7], certificates: [gw.example]}}   # in brackets
socket: socket
tls: {{certificate: c.pem, key: k.pem, client_ca: ca.pem}}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    setup = Setup(tmp_path)
    setup.write("q.json", {**policy(), "name": "q"})
    setup.file.write_text(YAML)
    setup.file.chmod(0o640)
    return tmp_path


def ask(folder: Path, *words: str, config: str = "callgate.yaml") -> Done:
    group, command, *rest = words
    return run(group, command, "--config", config, *rest, cwd=folder)


def token_of(done: Done) -> str:
    """The token, which is on stdout once and nowhere else."""
    assert done.code == 0, done
    token, rest = done.out.split("\n", 1)
    assert token.startswith(SECRET)
    assert token not in rest + done.err
    return token


def changes(done: Done) -> tuple[list[str], list[str]]:
    """The lines of a diff that are gone, and those that are new."""
    lines = done.out[done.out.index("--- ") :].splitlines()[2:]
    return [line[1:] for line in lines if line.startswith("-")], [line[1:] for line in lines if line.startswith("+")]


def lines_of(path: Path) -> list[str]:
    return path.read_text().splitlines()


ENTRIES = [("grants", "--id", "alice"), ("peps", "--name", "gateway")]


@pytest.mark.parametrize(("group", "option", "name"), ENTRIES)
def test_a_rotation_is_shown_and_then_written(folder: Path, group: str, option: str, name: str) -> None:
    path = folder / "callgate.yaml"
    shown = ask(folder, group, "rotate", option, name)
    token = token_of(shown)
    assert path.read_text() == YAML
    assert "nothing was written" in shown.err
    assert hash_token(KEY, token) in shown.out

    before = datetime.now(timezone.utc).replace(microsecond=0)
    done = ask(folder, group, "rotate", option, name, "--keep", "2d", "--write")
    assert token_of(done) != token
    assert "the change that was written to `callgate.yaml`" in done.err
    assert path.stat().st_mode & 0o777 == 0o640
    gone, new = changes(done)
    assert [line for line in YAML.splitlines() if line not in gone] == [
        line for line in lines_of(path) if line not in new
    ]
    [kept] = json.loads(ask(folder, group, "list", "--json").out)[:1]
    end, none = (token["until"] for token in kept["tokens"])
    assert none is None
    assert before + timedelta(days=2) <= datetime.fromisoformat(end.replace("Z", "+00:00"))
    assert hash_token(KEY, token_of(done)) in "\n".join(new)


def test_a_rotation_with_all_that_is_beside_it(folder: Path) -> None:
    done = ask(folder, "grants", "rotate", "--id", "alice", "--write")
    new = hash_token(KEY, token_of(done))
    _, (_, _, until, _) = changes(done)
    text = f'    token_hash: "{A}"   # of 2026\n'
    assert (folder / "callgate.yaml").read_text() == YAML.replace(
        text, f'    tokens:\n      - hash: "{A}"   # of 2026\n{until}\n      - hash: "{new}"\n'
    )


def test_the_old_token_is_taken_out_before_the_next_rotation(folder: Path) -> None:
    second = token_of(ask(folder, "grants", "rotate", "--id", "alice", "--write"))
    before = (folder / "callgate.yaml").read_text()
    line = refused("grants", "rotate", "--config", "callgate.yaml", "--id", "alice", "--write", cwd=folder)
    assert line.startswith("callgate.yaml:8:5: the grant `alice` has two tokens already, of which one ends at 20")
    command = "callgate grants revoke --config callgate.yaml --id alice --old --write"
    assert line.endswith(f"; wait for the end of the old one, or take it out with `{command}`")
    assert (folder / "callgate.yaml").read_text() == before
    endless = "\n".join(line for line in before.splitlines() if "until: " not in line)
    (folder / "callgate.yaml").write_text(endless)
    line = refused("grants", "rotate", "--config", "callgate.yaml", "--id", "alice", "--write", cwd=folder)
    assert line.endswith("the grant `alice` has two tokens without an end; give the old one an `until` by hand")
    (folder / "callgate.yaml").write_text(before)

    done = run(*command.split()[1:], cwd=folder)
    assert (done.code, changes(done)[1]) == (0, [])
    assert hash_token(KEY, second) in (folder / "callgate.yaml").read_text()
    assert A not in (folder / "callgate.yaml").read_text()
    line = refused(*command.split()[1:], cwd=folder)
    assert line == (
        "callgate.yaml:8:5: the grant `alice` has no old token: it has one token; without --old, the grant itself is "
        "taken out"
    )
    third = token_of(ask(folder, "grants", "rotate", "--id", "alice", "--write", "--keep", "0s"))
    text = (folder / "callgate.yaml").read_text()
    assert hash_token(KEY, third) in text
    assert hash_token(KEY, second) not in text


def test_a_token_that_has_ended_makes_room(folder: Path) -> None:
    path = folder / "callgate.yaml"
    ended = f'tokens: [{{hash: "{A}", until: 2020-01-31T00:00:00Z}}, {{hash: "{B[::-1]}"}}]'
    path.write_text(YAML.replace(f'token_hash: "{A}"', ended))
    shown = ask(folder, "grants", "list").out.splitlines()[0]
    assert shown == "alice  s: p        expires 2099-01-31T00:00:00Z  2 tokens (one ended 2020-01-31T00:00:00Z)"
    new = hash_token(KEY, token_of(ask(folder, "grants", "rotate", "--id", "alice", "--write")))
    text = path.read_text()
    assert A not in text
    assert text.index(B[::-1]) < text.index("until: 20") < text.index(new)


def test_a_first_token(folder: Path) -> None:
    done = ask(folder, "grants", "rotate", "--id", "bob", "--write")
    assert changes(done) == ([], [f'    token_hash: "{hash_token(KEY, token_of(done))}"'])


@pytest.mark.parametrize(("group", "option", "name"), ENTRIES)
def test_revoked_is_gone(folder: Path, group: str, option: str, name: str) -> None:
    path = folder / "callgate.yaml"
    shown = ask(folder, group, "revoke", option, name)
    assert "nothing was written: make this change" in shown.err
    assert path.read_text() == YAML
    done = ask(folder, group, "revoke", option, name, "--write")
    assert done.out == shown.out
    assert name not in path.read_text()
    assert "# The team's sidecar." in path.read_text()
    assert f"Invalid value for {option}: unknown {'grant' if group == 'grants' else 'PEP'} `{name}`" in plain(
        ask(folder, group, "revoke", option, name)
    )
    # Nobody may ask now, which differs from everybody.
    assert group == "grants" or "peps: []\n" in path.read_text()


def plain(done: Done) -> str:
    """A message that was refused, without its frame."""
    assert (done.code, done.out) == (2, ""), done
    return " ".join(done.err.replace("│", " ").split())


def test_lists_show_no_hash(folder: Path) -> None:
    done = ask(folder, "grants", "list")
    assert (done.code, done.err) == (0, "")
    assert done.out.splitlines() == [
        "alice  s: p        expires 2099-01-31T00:00:00Z  1 token",
        "bob    s: p, t: q  no expiry                     no token  bob at https://login.example.com",
    ]
    peps = ask(folder, "peps", "list")
    assert peps.out == "gateway  does not vouch  1 token; certificates gw.example; users 7\n"
    as_json = [ask(folder, group, "list", "--json").out for group in ("grants", "peps")]
    assert json.loads(as_json[0])[1] == {
        "id": "bob",
        "servers": {"s": "p", "t": "q"},
        "labels": {},
        "owner": {"issuer": "https://login.example.com", "subject": "bob"},
        "expires_at": None,
        "revoked": False,
        "tokens": [],
    }
    assert json.loads(as_json[1]) == [
        {
            "name": "gateway",
            "vouches": False,
            "certificates": ["gw.example"],
            "uids": [7],
            "tokens": [{"until": None}],
        }
    ]
    for text in (done.out, peps.out, *as_json):
        assert A not in text
        assert B not in text


def test_lists_of_nothing(tmp_path: Path) -> None:
    Setup(tmp_path).configure()
    for group in ("grants", "peps"):
        done = ask(tmp_path, group, "list")
        assert (done.code, done.out, done.err) == (0, "", f"no {group} are configured\n")
        assert json.loads(ask(tmp_path, group, "list", "--json").out) == []


def test_a_grant_is_written_where_grants_are(folder: Path) -> None:
    words = ["--servers", "s=p", "--servers", "t=q", "--owner", "https://login.example.com", "carol"]
    done = ask(folder, "grants", "create", "--id", "carol", *words, "--label", "team=a: b", "--write")
    token_hash = hash_token(KEY, token_of(done))
    assert changes(done) == (
        [],
        [
            "  - id: carol",
            "    servers: {s: p, t: q}",
            f'    token_hash: "{token_hash}"',
            '    labels: {team: "a: b"}',
            '    owner: {issuer: "https://login.example.com", subject: carol}',
        ],
    )
    pep = ask(folder, "peps", "create", "--name", "proxy", "--vouches", "--write")
    assert changes(pep)[1] == [f'  - {{name: proxy, token_hash: "{hash_token(KEY, token_of(pep))}", vouches: true}}']
    assert len(json.loads(ask(folder, "grants", "list", "--json").out)) == 3


def test_the_first_grant_makes_the_list(tmp_path: Path) -> None:
    setup = Setup(tmp_path)
    setup.file.write_text("state: state\nservers:\n  s: {policy: p}\npolicies: {p: p.json}\n# the end\n")
    done = ask(tmp_path, "grants", "create", "--id", "a", "--server", "s", "--write")
    assert changes(done)[1][:3] == ["grants:", "  - id: a", "    server: s"]
    assert setup.file.read_text().count("# the end\ngrants:\n") == 1


def test_a_file_of_grants_is_edited_in_place_of_the_configuration(folder: Path) -> None:
    path = folder / "grants.json"
    path.write_text(json.dumps({"grants": [{"id": "alice", "server": "s", "token_hash": A}]}, indent=2))
    (folder / "callgate.yaml").write_text(
        "state: state\nservers: {s: {}}\ngrants_file: link.json\ngrant_key_file: key\n"
    )
    (folder / "link.json").symlink_to("grants.json")
    before = (folder / "callgate.yaml").read_text()
    done = ask(folder, "grants", "rotate", "--id", "alice", "--write", "--json")
    said = json.loads(done.out)
    assert said.keys() == {"token", "file", "written", "diff"}
    assert (said["file"], said["written"]) == ("link.json", True)
    created = json.loads(ask(folder, "grants", "create", "--id", "b", "--server", "s", "--write", "--json").out)
    assert created["file"] == "link.json"
    grants = json.loads(path.read_text())["grants"]
    assert [token["hash"] for token in grants[0]["tokens"]] == [A, hash_token(KEY, said["token"])]
    assert grants[1] == {"id": "b", "server": "s", "token_hash": hash_token(KEY, created["token"])}
    assert (folder / "link.json").is_symlink()
    assert (folder / "callgate.yaml").read_text() == before


def test_a_layout_that_cannot_be_kept_is_left_to_its_owner(folder: Path) -> None:
    path = folder / "callgate.yaml"
    text = YAML.replace(f'token_hash: "{A}"   # of 2026', f"token_hash: >-\n      {A}")
    path.write_text(text)
    done = ask(folder, "grants", "rotate", "--id", "alice", "--keep", "0s", "--write")
    token, line = done.out.splitlines()
    assert (done.code, path.read_text()) == (2, text)
    assert line == f'"tokens": [{{"hash": "{hash_token(KEY, token)}"}}]'
    assert "write this in place of `token_hash` or `tokens` of the grant `alice`:" in done.err
    assert done.err.endswith("callgate.yaml:8:5: `callgate.yaml` is laid out in a way that this command cannot keep\n")
    done = ask(folder, "grants", "rotate", "--id", "alice", "--keep", "0s", "--write", "--json")
    assert done.code == 2
    assert json.loads(done.out).keys() == {"token", "written", "by_hand"}

    path.write_text(YAML.replace("# The team's sidecar.\n", "# The team's sidecar.\r"))
    line = refused("grants", "revoke", "--config", "callgate.yaml", "--id", "bob", cwd=folder)
    assert line.endswith("cannot keep; take the grant `bob` out of `grants` by hand")
    done = ask(folder, "peps", "create", "--name", "new", "--write")
    token, line = done.out.splitlines()
    assert done.code == 2
    assert line == f'- {{"name": "new", "token_hash": "{hash_token(KEY, token)}"}}'
    assert "write this line under `peps`:" in done.err


def test_a_rotation_makes_no_key(folder: Path) -> None:
    (folder / "key").unlink()
    (folder / "callgate.yaml").write_text(YAML.replace("grant_key_file: key\n", ""))
    line = refused("grants", "rotate", "--config", "callgate.yaml", "--id", "alice", cwd=folder)
    assert line.startswith("token hashes need the key that they were made with, and `state/grant.key` is not there; ")
    assert not (folder / "state").exists()


def test_old_tokens_without_an_end(folder: Path) -> None:
    both = f'tokens: [{{hash: "{A}"}}, {{hash: "{B[::-1]}"}}]'
    (folder / "callgate.yaml").write_text(YAML.replace(f'token_hash: "{A}"', both))
    line = refused("grants", "revoke", "--config", "callgate.yaml", "--id", "alice", "--old", cwd=folder)
    assert line.startswith("callgate.yaml:8:5: the grant `alice` has no old token: it has 2 tokens without an end; ")


def test_an_issuer_s_caller_is_not_locked_out(folder: Path) -> None:
    path = folder / "callgate.yaml"
    path.write_text(YAML + "gateway: {public_url: 'https://g.example', oauth: {issuer: 'https://login.example.com'}}\n")
    done = ask(folder, "grants", "revoke", "--id", "alice")
    assert done.err.startswith(
        "warning: a caller whom an issuer names `alice` then falls under the server's own policy; to refuse that "
        "caller, keep the grant and write `revoked: true`\n"
    )


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["grants", "rotate", "--id", "alic"], "unknown grant `alic`; did you mean `alice`?"),
        (["grants", "rotate", "--id", "alice", "--keep", "long"], "expected a duration such as"),
        (["peps", "revoke", "--name", "x"], "unknown PEP `x`"),
        (["grants", "create", "--id", "x"], "expected the grant's server, or --servers for several"),
        (["grants", "create", "--id", "x", "--servers", "s"], "`s`: expected SERVER=KEY"),
        (["grants", "create", "--id", "x", "--servers", "u=p"], "unknown server `u`"),
        (["grants", "create", "--id", "x", "--servers", "s=r"], "unknown policy `r`"),
        (
            ["grants", "create", "--id", "x", "--servers", "s=p", "--policy", "p"],
            "--servers gives each server its policy, so it excludes this",
        ),
        (
            ["grants", "create", "--id", "x", "--server", "s", "--owner", "corp", "bob"],
            "such as `https://login.example",
        ),
    ],
)
def test_wrong_use(folder: Path, words: list[str], expected: str) -> None:
    assert expected in plain(ask(folder, *words))
    assert (folder / "callgate.yaml").read_text() == YAML


def test_entries_from_elsewhere_are_not_edited(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    variables: dict[str, Any] = run.__globals__["ENVIRONMENT"]
    monkeypatch.setitem(variables, "CALLGATE_GRANTS", json.dumps([{"id": "a", "server": "s", "token_hash": A}]))
    monkeypatch.setitem(variables, "CALLGATE_PEPS", json.dumps([{"name": "a", "token_hash": B}]))
    for group, option, noun in (("grants", "--id", "grant"), ("peps", "--name", "PEP")):
        line = refused(group, "rotate", "--config", "callgate.yaml", option, "a", cwd=folder)
        assert line.endswith(f"the {noun} `a` does not come from a file; change it where `{group}` is set")
    words = ["--config", "callgate.yaml", "--write"]
    line = refused("grants", "create", *words, "--id", "b", "--server", "s", cwd=folder)
    assert line == "`grants` does not come from the file; add the grant where it is set, without --write"
    line = refused("peps", "create", *words, "--name", "b", cwd=folder)
    assert line == "`peps` does not come from the file; add the PEP where it is set, without --write"


def test_a_folder_of_grants_needs_a_choice(folder: Path) -> None:
    (folder / "more").mkdir()
    (folder / "more" / "one.yaml").write_text(f"grants:\n- id: one\n  server: s\n  token_hash: '{B[::-1]}'\n")
    (folder / "callgate.yaml").write_text("state: state\nservers: {s: {}}\ngrants_file: more\ngrant_key_file: key\n")
    words = ["grants", "create", "--config", "callgate.yaml", "--id", "b", "--server", "s", "--write"]
    assert refused(*words, cwd=folder).startswith("`more` is a folder, and the grant may belong to any of its files; ")
    done = ask(folder, "grants", "rotate", "--id", "one", "--write")
    assert "--- more/one.yaml" in done.out
    assert token_of(done)


def test_a_folder_of_policies_that_is_elsewhere(folder: Path) -> None:
    """Such as one that is mounted only where callgate runs."""
    (folder / "callgate.yaml").write_text("state: state\nservers: {s: {}}\npolicies_folder: /nowhere/policies\n")
    done = ask(folder, "grants", "create", "--id", "a", "--server", "s", "--policy", "p")
    assert token_of(done)
    warning = "warning: there is no folder `/nowhere/policies` here, so the policy was not looked for\n"
    assert done.err.startswith(warning)
    assert warning not in ask(folder, "grants", "create", "--id", "a", "--server", "s").err
