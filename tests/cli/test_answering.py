"""`callgate approvals` and `callgate permits`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from callgate.cli import app
from callgate.clock import now_us
from callgate.errors import CallgateError
from callgate.os_user import os_user
from callgate.store.documents import Edit
from callgate.store.model import Approval, PermitBounds, Person, State, Used, Verdict, Waiting
from callgate.store.people import PersonEdit, Role
from callgate.store.store import Store
from support.approvals import CALLER, HOUR, RULE, SECOND, answer, ask, need
from support.evidence import EVIDENCE, evidence
from support.program import Done, refused, run
from support.terminal import terminal

BOUNDS = PermitBounds(max_uses=5, max_duration_us=2 * HOUR)
ARGUMENTS = '{"region": "eu-west-1", "count": 9007199254740993, "note": "a\\u202eb"}'
ME = Person("local", os_user())


@pytest.fixture
def call(state: Path) -> Any:
    """Runs a command on the store, in this process."""

    def command(*words: str) -> Done:
        done = CliRunner().invoke(app, [*words, "--state", str(state)])
        if isinstance(done.exception, CallgateError):
            return Done(2, done.stdout, str(done.exception))
        assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
        return Done(done.exit_code, done.stdout, done.stderr)

    return command


def waiting(store: Store, fingerprint: str = "f", ago_us: int = 0, **more: Any) -> str:
    """The id of a pending approval."""
    needs = more.pop("needs", (need(permit=BOUNDS),))
    fields = {"evidence_arguments": ARGUMENTS, "evidence": evidence(), **more}
    [outcome] = store.approvals.ask([ask(fingerprint, *needs, **fields)], now_us() - ago_us)
    assert isinstance(outcome, Waiting)
    return outcome.approval_id


def stored(store: Store, approval_id: str) -> Approval:
    return store.approvals.get(approval_id, now_us())


def add_person(store: Store, *roles: Role, name: str = ME.subject, groups: tuple[str, ...] = ()) -> None:
    edit = PersonEdit(name, frozenset(roles), frozenset(groups), "hash")
    store.people.put(edit, CALLER, "", now_us())


def test_the_list_has_pending_ones_first(store: Store, call: Any) -> None:
    old = waiting(store, "old", 3 * 60 * SECOND, grant="ci", needs=(need("/a", approvers=("ops", "dba")),))
    over = waiting(store, "over", 2 * HOUR)
    denied = waiting(store, "denied", tool="t\x1b")
    store.approvals.answer(denied, answer("ann", Verdict.DENY), now_us())
    done = call("approvals", "list")
    assert (done.code, done.err) == (0, "")
    rows = [line.split() for line in done.out.splitlines()]
    assert rows[0][0] == "ID"
    assert [row[0] for row in rows[1:]] == [old, denied, over]
    assert [row[4] for row in rows[1:]] == ["pending", "denied", "expired"]
    assert rows[1][1:] == ["3m", "ago", "56m", "pending", "ci", "s/t", "/a", "(ops,", "dba)"]
    assert rows[2][6] == "s/t\\u{1b}"
    assert [line.split() for line in call("approvals", "list", "--grant", "ci").out.splitlines()[1:]] == [rows[1]]
    for state, name in (("pending", old), ("denied", denied), ("expired", over)):
        document = json.loads(call("approvals", "list", "--state-of", state, "--json").out)
        assert [one["id"] for one in document["approvals"]] == [name]
    none = call("approvals", "list", "--state-of", "approved")
    assert (none.code, none.out, none.err) == (0, "", f"there are none in `{store.database.place}`\n")


def test_the_list_is_read_to_its_end_and_bounded(store: Store, call: Any) -> None:
    big = Store(store.database, per_grant=1_000)
    big.approvals.ask([ask(str(number)) for number in range(250)], now_us())
    document = json.loads(call("approvals", "list", "--limit", "1000", "--json").out)
    assert (len({one["id"] for one in document["approvals"]}), document["is_complete"]) == (250, True)
    done = call("approvals", "list", "--limit", "120")
    assert (len(done.out.splitlines()), done.err) == (121, "there are more than 120; --limit shows more\n")
    assert json.loads(call("approvals", "list", "--limit", "249", "--json").out)["is_complete"] is False


def test_show_prints_everything(store: Store, call: Any) -> None:
    approval_id = waiting(store)
    done = call("approvals", "show", approval_id)
    assert (done.code, done.err) == (0, "")
    assert "a\u202eb" not in done.out
    assert '    "count": 9007199254740993,\n    "note": "a\\u202eb"\n' in done.out
    assert "attention: 1 character that is invisible" in done.out
    assert "  | Of a machine." in done.out
    assert "possible: at most 5 uses within 2h" in done.out
    document = json.loads(call("approvals", "show", approval_id, "--json").out)
    assert call("approvals", "show", approval_id, "--json").out.isascii()
    assert document["evidence"] == EVIDENCE
    assert document["arguments"] == json.loads(ARGUMENTS)
    assert (document["state"], document["answers"]) == ("pending", [])


def test_an_id_by_its_beginning(store: Store, call: Any) -> None:
    first, second = waiting(store, "a", new_id="abcde2"), waiting(store, "b", new_id="abcde3")
    assert call("approvals", "show", "abcde3").out.startswith(f"approval {second}\n")
    assert call("approvals", "show", waiting(store, "c", new_id="abcdf2345")[:5]).out.startswith("approval abcdf2345\n")
    place = store.database.place
    for words, message in [
        ("aaa", "`aaa` is too short: expected at least 4 characters of the id of the approval"),
        ("zzzz", f"there is no approval `zzzz` in `{place}`; `callgate approvals list` prints them"),
        ("a%_*", f"there is no approval `a%_*` in `{place}`"),
        ("abcde", f"several ids begin with `abcde`: {first}, {second}; give more characters"),
    ]:
        done = call("approvals", "approve", words)
        assert (done.code, message in done.err) == (2, True), done
    assert {stored(store, one).state for one in (first, second)} == {State.PENDING}


def test_an_id_of_the_other_kind(store: Store, call: Any) -> None:
    """Decisions name a permit where they name an approval otherwise."""
    approval_id = waiting(store, needs=(need(permit=PermitBounds(5, 2 * HOUR)),))
    made = json.loads(call("approvals", "approve", approval_id, "--permit-uses", 1, "--permit-for", "1h", "--json").out)
    permit_id = made["permit_id"]
    done = call("approvals", "show", permit_id[:6])
    assert (done.code, done.err) == (2, f"`{permit_id}` is a permit; see `callgate permits show {permit_id}`")
    done = call("permits", "show", approval_id)
    assert (done.code, done.err) == (2, f"`{approval_id}` is an approval; see `callgate approvals show {approval_id}`")


def test_approve_once(store: Store, call: Any) -> None:
    approval_id = waiting(store)
    done = call("approvals", "approve", approval_id, "--reason", "agreed")
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith(
        f"approved: {approval_id}, `t` at `s` for `g`; the agent can make this call once, until 20"
    )
    [given] = store.approvals.record(approval_id).answers
    assert (given.person, given.groups, given.verdict, given.reason) == (ME, (), Verdict.APPROVE, "agreed")
    assert given.source.startswith("command line at ")
    [record] = store.audit.page(kind="approvals", object_id=approval_id)
    assert (record.change.by.name, record.change.action, record.change.reason) == (str(ME), "approve", "agreed")
    again = call("approvals", "approve", approval_id)
    expected = f"the approval `{approval_id}` is approved, so that it cannot be answered; to ask anew, withdraw it"
    assert (again.code, again.out, again.err) == (2, "", expected)


def test_approve_as_json(store: Store, call: Any) -> None:
    document = json.loads(call("approvals", "approve", waiting(store), "--json").out)
    assert (document["state"], document["permit_id"]) == ("approved", None)


def test_several_people_have_to_approve(store: Store, call: Any) -> None:
    approval_id = waiting(store, needs=(need(count=2, reason_required=True),))
    done = call("approvals", "approve", approval_id)
    assert (done.code, done.err) == (2, "this approval needs a reason")
    done = call("approvals", "approve", approval_id, "--reason", "r")
    assert done.out.splitlines()[0].startswith(
        f"recorded: {approval_id}, `t` at `s` for `g`; more approvals are needed"
    )
    assert done.out.splitlines()[1:] == [f"  {RULE}: 1 of 2 from any approver, with a reason, can be used for 1h"]
    store.approvals.answer(approval_id, answer("ann", reason="r"), now_us())
    assert stored(store, approval_id).state is State.APPROVED


def test_a_permit(store: Store, call: Any) -> None:
    approval_id = waiting(store)
    words = ["--permit-uses", "3", "--permit-for", "90m", "--term", "note=exactly", "--term", "tag=any"]
    done = call("approvals", "approve", approval_id, *words)
    assert (done.code, done.err) == (0, "")
    [permit] = store.permits.page(now_us()).items
    assert done.out == f"permit: {permit.id}, `t` at `s` for `g`; 3 uses within 1h 30m\n"
    assert json.loads(permit.terms) == {
        "region": {"exactly": "eu-west-1"},
        "count": {"exactly": 9007199254740993},
        "note": {"exactly": "a\u202eb"},
        "tag": {"any": True},
    }
    assert "9007199254740993}" in permit.terms
    assert permit.made_by == (ME,)
    shown = call("permits", "show", permit.id[:26]).out
    assert '  note:   exactly "a\\u202eb"\n  tag:    any value, or none\n  every other argument is absent\n' in shown
    [row] = call("permits", "list").out.splitlines()[1:]
    assert row.split()[:1] + row.split()[-7:] == [permit.id, "3", "of", "3", "active", "g", "s/t", approval_id]
    assert f"  permit:   {permit.id}\n" in call("approvals", "show", approval_id).out
    assert json.loads(call("approvals", "show", approval_id, "--json").out)["permit_id"] == permit.id
    document = json.loads(call("permits", "list", "--json").out)
    assert (document["permits"][0]["terms"]["count"], document["is_complete"]) == ({"exactly": 9007199254740993}, True)
    done = call("permits", "end", permit.id, "--reason", "enough")
    assert done.out == f"ended: {permit.id}, with 3 of 3 uses left\n"
    assert "state:    ended (enough)" in call("permits", "show", permit.id).out
    assert call("permits", "list").err == f"there are none in `{store.database.place}`\n"
    assert permit.id in call("permits", "list", "--all").out
    [record, _] = store.audit.page(kind="permits", object_id=permit.id)
    assert (record.change.by.name, record.change.action, record.change.reason) == (str(ME), "end", "enough")
    again = call("permits", "end", permit.id, "--reason", "x")
    assert (again.code, again.err) == (2, f"the permit `{permit.id}` is ended, so that it cannot be ended")


def test_a_used_approval_names_the_use(store: Store, call: Any) -> None:
    approval_id = waiting(store)
    shown = json.loads(call("approvals", "show", approval_id, "--json").out)
    assert (shown["permit_id"], shown["use_id"]) == (None, None)
    assert call("approvals", "approve", approval_id).code == 0
    [outcome] = store.approvals.ask([ask("f", need(permit=BOUNDS))], now_us())
    assert isinstance(outcome, Used)
    use_id = stored(store, approval_id).use_id
    shown = call("approvals", "show", approval_id).out
    assert f"  use:      {use_id}; the decision log has the call under the id of the approval\n" in shown
    assert json.loads(call("approvals", "show", approval_id, "--json").out)["use_id"] == use_id


def test_a_permit_of_two_people(store: Store, call: Any) -> None:
    approval_id = waiting(store, needs=(need(count=2, permit=BOUNDS),), evidence=evidence(entries=[]))
    words = ["--permit-uses", "2", "--permit-for", "1h", "--term", "region=any"]
    done = call("approvals", "approve", approval_id, *words)
    assert done.out.splitlines()[-1] == (
        "others have to agree to the same permit; `callgate approvals show` prints its options"
    )
    shown = call("approvals", "show", approval_id).out
    options = next(line for line in shown.splitlines() if "the same: " in line).partition("the same: ")[2]
    assert options == ("--permit-uses 2 --permit-for 3600s --term region=any --term count=exactly --term note=exactly")
    given = store.approvals.record(approval_id).answers[0]
    assert given.terms is not None
    terms = json.dumps(json.loads(given.terms)["terms"])
    assert terms.startswith('{"region": {"any": true}')


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["6", "1h"], "allows a permit of 1 to 5 uses, got 6"),
        (["5", "3h"], "allows a permit of at most 7200 s"),
        (["5", "1h", "--term", "region=any"], "a rule looks at the argument `region`"),
        (["5", "1h", "--term", "count=at_most:5"], "`count` is 9007199254740993 in the approved call"),
        (["5", "1h", "--term", "a"], "`a` is no term; expected"),
        (["5", "1h", "--term", "note=any", "--term", "note=any"], "`note` has two terms"),
    ],
)
def test_permits_that_cannot_be(store: Store, call: Any, words: list[str], message: str) -> None:
    approval_id = waiting(store)
    uses, length, *terms = words
    done = call("approvals", "approve", approval_id, "--permit-uses", uses, "--permit-for", length, *terms)
    assert (done.code, done.out, message in done.err) == (2, "", True), done
    assert stored(store, approval_id).state is State.PENDING
    assert store.permits.page(now_us()).items == ()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--permit-uses", "5"], "a permit needs --permit-for TIME as well"),
        (["--permit-for", "1h"], "a permit needs --permit-uses N as well"),
        (["--term", "a=any"], "a permit needs --permit-uses N as well"),
        (["--permit-uses", "1", "--permit-for", "soon"], "expected a duration such as"),
        (["--permit-uses", "1", "--permit-for", "5ms"], "expected at least 1s"),
    ],
)
def test_options_of_a_permit_that_do_not_fit(store: Store, call: Any, words: list[str], message: str) -> None:
    done = call("approvals", "approve", waiting(store), *words)
    assert (done.code, message in " ".join(done.err.split())) == (2, True), done


def test_no_permit_where_a_rule_allows_none(store: Store, call: Any) -> None:
    done = call("approvals", "approve", waiting(store, needs=(need(),)), "--permit-uses", "1", "--permit-for", "1h")
    assert (done.code, f"the rule `{RULE}` lets nobody make a permit" in done.err) == (2, True)


def test_no_permit_without_arguments(store: Store, call: Any) -> None:
    approval_id = waiting(store, evidence_arguments="[1]")
    done = call("approvals", "approve", approval_id, "--permit-uses", "1", "--permit-for", "1h")
    assert (done.code, "are not there" in done.err) == (2, True)


def test_deny_several(store: Store, call: Any) -> None:
    first, second, third = (waiting(store, name) for name in "abc")
    assert call("approvals", "deny", first, "zzzz").code == 2
    assert stored(store, first).state is State.PENDING
    store.approvals.answer(second, answer(), now_us())
    done = call("approvals", "deny", first, second, third, first, "--reason", "not today")
    assert (done.code, done.err) == (
        2,
        f"the approval `{second}` is approved, so that it cannot be answered; to ask anew, withdraw it",
    )
    assert [line.split()[:2] for line in done.out.splitlines()] == [["denied:", f"{one},"] for one in (first, third)]
    assert [stored(store, one).state.value for one in (first, second, third)] == ["denied", "approved", "denied"]
    assert stored(store, first).cause == "not today"
    documents = json.loads(call("approvals", "deny", waiting(store, "d"), "--json").out)
    assert [one["state"] for one in documents] == ["denied"]


def test_withdraw(store: Store, call: Any) -> None:
    approval_id = waiting(store)
    store.approvals.answer(approval_id, answer("ann", Verdict.DENY), now_us())
    done = call("approvals", "withdraw", approval_id, "--reason", "by mistake")
    assert done.out == f"ended: {approval_id}, `t` at `s` for `g`\n"
    assert stored(store, approval_id).cause == "by mistake"
    assert store.audit.page(kind="approvals", object_id=approval_id)[0].change.by.name == str(ME)
    assert call("approvals", "withdraw", approval_id, "--reason", "x").code == 2
    assert "--reason" in call("approvals", "withdraw", approval_id).err


def test_who_may_withdraw(store: Store, call: Any) -> None:
    add_person(store, Role.APPROVER)
    words = ["--reason", "r"]
    others = waiting(store, "a")
    done = call("approvals", "withdraw", others, *words)
    assert (done.code, "by somebody who has answered it" in done.err) == (2, True)
    own = waiting(store, "b", owner=ME)
    assert call("approvals", "withdraw", own, *words).code == 0
    denied = waiting(store, "c", owner=ME)
    store.approvals.answer(denied, answer("ann", Verdict.DENY), now_us())
    done = call("approvals", "withdraw", denied, *words)
    assert (done.code, "others have denied it" in done.err) == (2, True)
    assert call("approvals", "deny", others).code == 0
    assert call("approvals", "withdraw", others, *words).code == 0


def test_groups_need_people_in_the_store(store: Store, call: Any) -> None:
    approval_id = waiting(store, needs=(need(approvers=("ops",)),))
    done = call("approvals", "approve", approval_id)
    assert (done.code, "groups `ops`, and nobody has groups as long as the store has no people" in done.err) == (
        2,
        True,
    )
    add_person(store, Role.APPROVER, groups=("ops", "dba"))
    assert call("approvals", "approve", approval_id).code == 0
    assert store.approvals.record(approval_id).answers[0].groups == ("dba", "ops")


def test_roles(store: Store, call: Any) -> None:
    approval_id = waiting(store)
    add_person(store, Role.APPROVER, name="somebody")
    for words in (["list"], ["show", approval_id], ["approve", approval_id]):
        done = call("approvals", *words)
        assert (done.code, done.out, f"`{ME.subject}`" in done.err) == (2, "", True)
    add_person(store, Role.VIEWER)
    assert call("approvals", "list").code == call("approvals", "show", approval_id).code == 0
    for words in (["approve", approval_id], ["deny", approval_id], ["withdraw", approval_id, "--reason", "r"]):
        done = call("approvals", *words)
        assert (done.code, f"{ME} may not answer" in done.err) == (2, True), done
    assert stored(store, approval_id).state is State.PENDING
    assert not store.approvals.record(approval_id).answers


def test_the_owner_of_the_grant_does_not_answer(store: Store, call: Any) -> None:
    message = "the grant `g` belongs to you, so that somebody else has to answer"
    assert call("approvals", "approve", waiting(store, "a", owner=ME)).err == message
    approval_id = waiting(store, "b")
    grant = json.dumps({"id": "g", "owner": {"issuer": "local", "subject": ME.subject}})
    store.grants.put([Edit("g", grant)], CALLER, "", now_us())
    assert call("approvals", "deny", approval_id).err == message


def test_the_store_of_a_configuration(store: Store, state: Path, tmp_path: Path) -> None:
    approval_id = waiting(store)
    owner = {"issuer": "https://login.example.com", "subject": "ann"}
    grants = [{"id": "g", "server": "s", "owner": owner}]
    path = tmp_path / "callgate.yaml"
    path.write_text(yaml.safe_dump({"state": str(state), "servers": {"s": {}}, "grants": grants}))
    assert approval_id in run("approvals", "list", "--config", path).out
    done = run("approvals", "approve", approval_id, "--config", path)
    assert done.code == 0, done


def test_without_a_store(tmp_path: Path) -> None:
    for words in (["approvals", "list"], ["approvals", "approve", "abcd"], ["permits", "list"]):
        assert refused(*words, "--state", tmp_path / "state").startswith(f"there is no store `{tmp_path}/")
    assert not (tmp_path / "state").exists()


@pytest.mark.parametrize(
    "words",
    [
        ["deny", "{}", "--reason", "\udcff"],
        ["withdraw", "{}", "--reason", "\udcff"],
        ["list", "--grant", "\udcff"],
        ["approve", "{}", "--permit-uses", "1", "--permit-for", "1h", "--term", "\udcff=any"],
    ],
)
def test_bytes_outside_of_utf_8(store: Store, call: Any, words: list[str]) -> None:
    approval_id = waiting(store)
    done = call("approvals", *(word.format(approval_id) for word in words))
    assert (done.code, "expected UTF-8 text" in done.err) == (2, True), done
    assert call("approvals", "show", "\udcff\udcff").code == 2
    assert stored(store, approval_id).state is State.PENDING


def test_texts_of_callers_stay_on_their_line(store: Store, call: Any) -> None:
    approval_id = waiting(store, grant="g\nx", server="s\x1b[2J", tool="t\u202e")
    assert r"g\u{a}x  s\u{1b}[2J/t\u{202e}" in call("approvals", "list").out
    done = call("approvals", "approve", approval_id)
    assert r"`t\u{202e}` at `s\u{1b}[2J` for `g\u{a}x`" in done.out


@pytest.mark.parametrize(("key", "code", "expected"), [("n", 1, State.PENDING), ("y", 0, State.APPROVED)])
def test_a_terminal_is_asked_first(store: Store, state: Path, key: str, code: int, expected: State) -> None:
    approval_id = waiting(store)
    with terminal("approvals", "approve", approval_id, "--state", state, columns=60) as shown:
        text = shown.wait_for("approve this call once: `t` at `s` for `g`? [y/N]: ", on="text")
        assert text.index("fingerprint") < text.index('"region": "eu-west-1"') < text.index("approve this call")
        shown.type(f"{key}\n")
        assert shown.end() == code
        assert ("nothing was answered" in shown.text) is (code == 1)
    assert stored(store, approval_id).state is expected


def test_a_terminal_is_not_asked_with_yes(store: Store, state: Path) -> None:
    approval_id = waiting(store)
    with terminal("approvals", "deny", approval_id, "--yes", "--state", state) as shown:
        assert shown.end() == 0
    assert stored(store, approval_id).state is State.DENIED


def test_a_long_line_on_a_terminal_goes_on_behind_a_mark(store: Store, state: Path) -> None:
    text = "x" * 47 + "state: approved until tomorrow"
    approval_id = waiting(store, evidence_arguments=json.dumps({"note": text}))
    with terminal("approvals", "show", approval_id, "--state", state, columns=60) as shown:
        assert shown.end() == 0
        lines = shown.wait_for("  possible: at most 5 uses within 2h\n", on="text").splitlines()
    first = next(index for index, line in enumerate(lines) if "xxxx" in line)
    assert lines[first + 1] == '> state: approved until tomorrow"'
    assert all(len(line) <= 60 for line in lines)


def test_the_answer_of_a_changed_approval_is_shown(store: Store, call: Any) -> None:
    approval_id = waiting(store)
    call("approvals", "deny", approval_id, "--reason", "no")
    shown = call("approvals", "show", approval_id).out
    assert f"denied by {ME} at command line at " in shown
    assert ": no\n" in shown
