"""The names of policy files in a folder, and the servers that they are for: each command connects them alike."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callgate.config.server_files import by_server, server_of, stem_of
from callgate.errors import ConfigError
from callgate.workbench.catalogue import read_catalogue
from callgate.workbench.classify import grant_of_policy
from support.program import refused, run

ODD = "../a b"
CATALOGUE = {
    "version": "1",
    "servers": {ODD: {"tools": {"get_page": {"category": "Read"}}}, "plain": {"tools": {"list_all": {}}}},
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "catalogue.json").write_text(json.dumps(CATALOGUE))
    for name in ("old", "new"):
        assert run("recommend", "-o", name, "catalogue.json", cwd=tmp_path).code == 0
    return tmp_path


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=300), unique=True, min_size=1))
def test_every_server_is_found_again(servers: list[str]) -> None:
    # A server that is called as the file of another one keeps that name, as in a folder of files by hand.
    taken = set(servers)
    for server in servers:
        stem = stem_of(server)
        assert server_of(stem, servers) == (stem if stem in taken else server)
        assert by_server([Path(f"{stem}.yaml")], servers) == {server_of(stem, servers): Path(f"{stem}.yaml")}


def test_stems_of_unknown_servers_stay() -> None:
    assert server_of("a%20b") == server_of("a%20b", ["c"]) == "a%20b"


def test_two_files_for_one_server() -> None:
    with pytest.raises(ConfigError, match=r"`a b.yaml` and `a%20b.yaml` are both for the server `a b`"):
        by_server([Path("a b.yaml"), Path("a%20b.yaml")], ["a b"])


def test_validate_knows_the_server_of_a_file(folder: Path) -> None:
    policies = folder / "new/policies"
    for deep in ([], ["--deep"]):
        done = run("validate", *deep, "--catalogue", "catalogue.json", "new/policies", cwd=folder)
        assert done.code == 0
        assert done.out.startswith("new/policies: ok")
    policy = policies / "%2E.%2Fa%20b.yaml"
    policy.write_text(policy.read_text().replace("get_page:", "get_pages:"))
    done = run("validate", "--catalogue", "catalogue.json", "new/policies", cwd=folder)
    assert "warning: the catalogue has no tool `get_pages`; did you mean `get_page`?" in done.out
    assert "no server" not in done.out


def test_policy_tests_know_the_server_of_a_file(folder: Path) -> None:
    test = {
        "policy": "new/policies",
        "catalogue": "catalogue.json",
        "defaults": {"server": ODD},
        "tests": [
            {"name": "read", "call": {"tool": "get_page"}, "expect": "allow"},
            {
                "name": "reloaded",
                "steps": [
                    {"call": {"tool": "get_page"}, "expect": "allow"},
                    {"reload": "old/policies"},
                    {"call": {"tool": "get_page"}, "expect": "allow"},
                    {"call": {"tool": "list_all", "server": "plain"}, "expect": "deny"},
                ],
            },
        ],
    }
    (folder / "policy_test.json").write_text(json.dumps(test))
    done = run("test", "policy_test.json", cwd=folder)
    assert (done.code, done.err) == (0, ""), done.out
    (folder / "new/policies/%2E.%2Fa%20b.json").write_text('{"version": "1", "default": "deny"}')
    assert "are both for the server `../a b`" in run("test", "policy_test.json", cwd=folder).err


def test_classify_knows_the_server_of_a_file(folder: Path) -> None:
    policy = folder / "new/policies/%2E.%2Fa%20b.yaml"
    admitted = grant_of_policy(read_catalogue(folder / "catalogue.json"), policy).tools
    assert admitted == ((ODD, "get_page"),)
    policy.write_text(policy.read_text().replace("default: deny", "default: allow"))
    assert grant_of_policy(read_catalogue(folder / "catalogue.json"), policy).tools == admitted


def test_diff_knows_the_server_of_a_file(folder: Path) -> None:
    policy = folder / "new/policies/%2E.%2Fa%20b.yaml"
    policy.write_text(policy.read_text().replace("max: 60", "max: 50"))
    words = ("diff", "--json", "--catalogue", "catalogue.json", "old/policies", "new/policies")
    found = {one["server"]: one for one in json.loads(run(*words, cwd=folder).out)["comparisons"]}
    assert sorted(found) == [ODD, "plain"]
    (difference,) = found[ODD]["differences"]
    assert "get_page" in json.dumps(difference)
    (folder / "old/policies/%2E.%2Fa%20b.json").write_text('{"version": "1", "default": "deny"}')
    assert "are both for the server `../a b`" in refused(*words, cwd=folder)
