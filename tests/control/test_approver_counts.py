"""Warnings about policies that ask more people than there are."""

from __future__ import annotations

from pathlib import Path

import pytest

from callgate.admin.documents.policies import warnings_of
from callgate.config.policies import policy_document, too_few_approvers
from callgate.identity.passwords import Passwords
from callgate.store.model import Actor
from callgate.store.people import PersonEdit, Role
from callgate.store.place import in_folder
from callgate.store.store import open_store
from support.program import run, sidecar
from support.setup import Setup, policy, until

BY = Actor("test", "here")
DBA, OPS = frozenset({"dba"}), frozenset({"ops"})
POLICY = """\
version: "1"
default: deny
tools:
  t:
    action: require_approval
    approval: {count: 3, approvers: [dba, ops]}
"""


@pytest.mark.parametrize(
    ("approval", "people", "expected"),
    [
        ("{count: 2, approvers: [dba]}", [DBA, DBA, OPS], None),
        ("{count: 3, approvers: [dba]}", [DBA, DBA, OPS], "count 3, but 2 people are approvers in the group `dba`"),
        ("{count: 2, approvers: [dba, ops]}", [DBA], "count 2, but 1 person is an approver in the groups `dba`, `ops`"),
        ("{approvers: [dba]}", [OPS], "count 1, but no people are approvers in the group `dba`"),
        ("{count: 3}", [DBA, frozenset()], "count 3, but 2 people are approvers, so"),
        ("{timeout: 1h}", [], "count 1, but no people are approvers, so"),
        ("{count: 2}", [DBA, OPS], None),
    ],
)
def test_count_and_people(approval: str, people: list[frozenset[str]], expected: str | None) -> None:
    text = POLICY.replace("{count: 3, approvers: [dba, ops]}", approval)
    document = policy_document("p.yaml", text.encode())
    assert document is not None
    found = [str(one) for one in too_few_approvers(document, people)]
    assert len(found) == (expected is not None)
    if expected is not None:
        assert found[0].startswith("p.yaml:6:")
        assert expected in found[0]
    assert not list(too_few_approvers(document, [DBA | OPS] * 10))


def test_a_store_without_people() -> None:
    """Users of the operating system answer, whose number nobody knows, and who are in no group."""
    for approval, is_told in (("{count: 3}", False), ("{approvers: [dba]}", True), ("{timeout: 1h}", False)):
        document = policy_document("p.yaml", POLICY.replace("{count: 3, approvers: [dba, ops]}", approval).encode())
        assert document is not None
        found = [str(one) for one in too_few_approvers(document, None)]
        assert bool(found) is is_told
        assert not is_told or "no people are approvers in the group `dba`, so that" in found[0]
        assert not is_told or found[0].endswith("`callgate admin people add` adds one with --group")


def test_what_asks_nobody_is_left_out() -> None:
    text = POLICY.replace("action: require_approval", "limits: [{counter: c, window: day, max: 1}]")
    document = policy_document("p.yaml", text.encode())
    assert document is not None
    assert not list(too_few_approvers(document, []))
    asking = text.replace("max: 1}", "max: 1, at_max: require_approval}")
    document = policy_document("p.yaml", asking.encode())
    assert document is not None
    assert len(list(too_few_approvers(document, []))) == 1


def test_validation_knows_the_people() -> None:
    [warning] = warnings_of(POLICY, None, None)
    assert "no people are approvers in the groups `dba`, `ops`" in warning.message
    [warning] = warnings_of(POLICY, None, [DBA, OPS])
    assert (warning.line, "count 3, but 2 people" in warning.message) == (6, True)


def test_a_check_of_a_configuration_knows_the_people(tmp_path: Path) -> None:
    setup = Setup(tmp_path)
    setup.write("p.json", policy(asked={"action": "require_approval", "approval": {"count": 2, "approvers": ["dba"]}}))
    setup.configure()

    def found() -> list[str]:
        done = run("config", "check", setup.file)
        assert done.code == 0, done
        return [line for line in done.out.splitlines() if "warning" in line and "approve" in line]

    assert found() == [], "there is no store yet"
    assert not (tmp_path / "state" / "callgate.db").exists()
    store = open_store(in_folder(tmp_path / "state"))
    assert "no people are approvers in the group `dba`" in found()[0]
    hashed = Passwords().hash("correct horse battery")
    for name in ("ann", "bob"):
        store.people.put(PersonEdit(name, frozenset({Role.APPROVER}), DBA, hashed), BY, "", 1)
        expected = [] if name == "bob" else ["count 2, but 1 person is an approver in the group `dba`"]
        assert [any(words in line for line in found()) for words in expected] == [True] * len(found())
    store.close()
    (tmp_path / "state" / "callgate.db").write_bytes(b"none")
    [line] = found()
    assert "warning: nobody compared the `approvers` of policies with the people of the store: " in line


def test_the_sidecar_says_it_at_the_start_and_after_changes(tmp_path: Path) -> None:
    setup = Setup(tmp_path)
    terms = {"count": 2, "approvers": ["dba"]}
    setup.write("p.json", policy(asked={"action": "require_approval", "approval": terms}))
    setup.configure()
    store = open_store(in_folder(tmp_path / "state"))
    hashed = Passwords().hash("correct horse battery")

    def add(name: str, role: Role) -> None:
        store.people.put(PersonEdit(name, frozenset({role}), DBA, hashed), BY, "", 1)

    add("ann", Role.APPROVER)
    add("vic", Role.VIEWER)
    place = f"{tmp_path}/p.json:1:"
    with (tmp_path / "log").open("w+") as log, sidecar("--config", setup.file, stderr=log.fileno()) as running:

        def is_told(words: str) -> bool:
            return any(place in line and words in line for line in (tmp_path / "log").read_text().splitlines())

        until(lambda: is_told("count 2, but 1 person is an approver in the group"))
        setup.write("p.json", policy("x", asked={"action": "require_approval", "approval": {**terms, "count": 4}}))
        until(lambda: is_told("count 4, but 1 person is an approver in the group"))
        add("ben", Role.ADMIN)
        until(lambda: is_told("count 4, but 2 people are approvers in the group"))
        running.stop()
    store.close()
