"""Servers and policies: versions, etags, retries, files, pages."""

from __future__ import annotations

from pathlib import Path
from threading import Thread
from typing import Any

import grpc
import pytest

from callgate._proto.callgate.admin.v1 import audit_pb2, policies_pb2, servers_pb2
from callgate._proto.callgate.decision.v1 import decision_pb2
from callgate.admin.messages.paging import token_for
from callgate.clock import now_us
from callgate.store.documents import Edit
from callgate.store.model import Actor
from callgate.store.people import PersonEdit, Role
from support.admin import BY, LIMITED, PASSWORD, PASSWORDS, POLICY, Admin, CallError, Client, request_id, running_admin

DENY = 'version: "1"\ndefault: deny\n'


def create(client: Client, name: str = "p", document: str = POLICY, **more: str) -> policies_pb2.Policy:
    request = policies_pb2.CreatePolicyRequest(policy={"id": name, "document": document}, **more)
    return client(request, policies_pb2.CreatePolicyResponse).policy


def update(client: Client, name: str, document: str, etag: str = "", **more: Any) -> policies_pb2.Policy:
    policy = policies_pb2.Policy(id=name, document=document, etag=etag)
    return client(policies_pb2.UpdatePolicyRequest(policy=policy, **more), policies_pb2.UpdatePolicyResponse).policy


def get(client: Client, name: str = "p") -> policies_pb2.Policy:
    return client(policies_pb2.GetPolicyRequest(id=name), policies_pb2.GetPolicyResponse).policy


def test_a_policy_has_versions(admin: Admin) -> None:
    client = admin.person("pat", Role.POLICY_MANAGER)
    first = create(client, reason="new")
    assert (first.version, first.document, first.configured_at) == (1, POLICY, "")
    assert len(first.digest) == 12
    second = update(client, "p", DENY, first.etag, reason="closed")
    assert (second.version, get(client)) == (2, second)
    assert second.digest != first.digest
    request = policies_pb2.ListPolicyVersionsRequest(id="p")
    versions = client(request, policies_pb2.ListPolicyVersionsResponse).versions
    assert [(one.version, one.reason, one.digest, one.document) for one in versions] == [
        (2, "closed", second.digest, ""),
        (1, "new", first.digest, ""),
    ]
    assert versions[0].creator.name == "pat (local)"
    assert versions[0].creator.source == "127.0.0.1"
    request_of_one = policies_pb2.GetPolicyVersionRequest(id="p", version=1)
    assert client(request_of_one, policies_pb2.GetPolicyVersionResponse).version.document == POLICY


def test_a_server_that_could_not_be_served_is_refused(admin: Admin) -> None:
    client = admin.person("pat", Role.POLICY_MANAGER)
    create(client)

    def refusal(method: Any, url: str, kind: Any, **more: Any) -> CallError:
        server = servers_pb2.Server(id="s", policy="p", upstream={"url": url})
        with pytest.raises(CallError) as told:
            client(method(server=server, **more), kind)
        return told.value

    for url in ("http://169.254.169.254/latest", "http://[::ffff:169.254.169.254]/", "http://0xa9fea9fe/"):
        refused = refusal(servers_pb2.CreateServerRequest, url, servers_pb2.CreateServerResponse)
        assert refused.reason == "UNSERVABLE", refused
    good = servers_pb2.Server(id="s", policy="p", upstream={"url": "http://127.0.0.1:9/mcp"})
    client(servers_pb2.CreateServerRequest(server=good), servers_pb2.CreateServerResponse)
    url = "http://169.254.169.254/latest"
    refused = refusal(
        servers_pb2.UpdateServerRequest, url, servers_pb2.UpdateServerResponse, update_mask={"paths": ["upstream"]}
    )
    assert refused.reason == "UNSERVABLE"


def test_of_two_who_edit_one_policy_the_second_is_told(both: Admin) -> None:
    ann, ben = both.person("ann", Role.POLICY_MANAGER), both.person("ben", Role.ADMIN)
    seen = create(ann).etag
    after = update(ben, "p", DENY, seen)
    with pytest.raises(CallError) as told:
        update(ann, "p", LIMITED, seen)
    assert told.value.code is grpc.StatusCode.ABORTED
    told_by = {"etag": after.etag, "seen_version": "1", "version": "2", "changed_by": "ben (local)"}
    assert (told.value.reason, told.value.metadata) == ("ETAG_MISMATCH", told_by)
    assert told.value.message == (
        "the policy `p` has changed since version 1, which you have: ben (local) made version 2; `DiffPolicy` with "
        "`from_version` 1 shows what is different; read it again, and repeat your change on it"
    )
    assert get(ann) == after
    assert update(ann, "p", LIMITED, after.etag).version == 3
    assert update(ann, "p", DENY, "*").version == 4
    with pytest.raises(CallError) as told:
        update(ann, "p", DENY, "x")
    assert told.value.fields == {"etag": "expected the etag of an answer, in its quotes, or nothing"}


def test_a_retry_changes_nothing(both: Admin) -> None:
    client, one = both.admin, request_id()
    first = create(client, request_id=one)
    assert create(client, request_id=one) == first
    two = request_id()
    second = update(client, "p", DENY, first.etag, request_id=two)
    # By now the etag is an old one.
    assert update(client, "p", DENY, first.etag, request_id=two) == second
    assert get(client).version == 2
    with pytest.raises(CallError) as told:
        update(client, "p", POLICY, first.etag, request_id=two)
    assert told.value.fields == {"request_id": "another request has this id; make a new UUID for each change"}
    records = client(audit_pb2.ListAuditRecordsRequest(kind="policies"), audit_pb2.ListAuditRecordsResponse)
    assert [(one.action, one.object_id) for one in records.audit_records] == [("change", "p"), ("create", "p")]
    assert records.audit_records[0].digest_before == records.audit_records[1].digest_after
    # Another person may have chosen the same id.
    assert create(both.person("ben", Role.ADMIN), "q", request_id=one).id == "q"


@pytest.mark.parametrize("given", ["1", "x" * 36, "6f2c1a0e4b1d4c539d0b0c2f6f1f7a11"])
def test_a_request_id_is_a_uuid(admin: Admin, given: str) -> None:
    with pytest.raises(CallError) as told:
        create(admin.admin, request_id=given)
    assert list(told.value.fields) == ["request_id"]


def test_a_policy_with_faults_is_not_stored(admin: Admin) -> None:
    bad = 'version: "1"\ndefault: maybe\ntoools: {}\n'
    with pytest.raises(CallError) as told:
        create(admin.admin, document=bad)
    assert told.value.code is grpc.StatusCode.INVALID_ARGUMENT
    assert told.value.reason == "POLICY_FAULTS"
    assert "(and 1 more)" in told.value.message
    with pytest.raises(CallError) as told:
        get(admin.admin)
    assert told.value.code is grpc.StatusCode.NOT_FOUND
    answer = admin.admin(policies_pb2.ValidatePolicyRequest(document=bad), policies_pb2.ValidatePolicyResponse)
    assert sorted((fault.line, fault.column) for fault in answer.faults) == [(2, 10), (3, 1)]
    assert not answer.digest


def test_a_hundred_faults_still_fit_into_the_answer(admin: Admin) -> None:
    bad = 'version: "1"\ndefault: deny\n' + "".join(f"wrong{number}: 1\n" for number in range(200))
    with pytest.raises(CallError) as told:
        create(admin.admin, document=bad)
    assert told.value.code is grpc.StatusCode.INVALID_ARGUMENT


def test_validation_warns(admin: Admin) -> None:
    shadowed = POLICY + "mode: shadow\n"
    answer = admin.admin(policies_pb2.ValidatePolicyRequest(document=shadowed), policies_pb2.ValidatePolicyResponse)
    assert not answer.faults
    assert "shadow mode" in answer.warnings[0].message
    assert (answer.warnings[0].line, answer.warnings[0].column) == (3, 7)
    assert len(answer.digest) == 12


def test_each_answer_about_a_policy_warns(admin: Admin) -> None:
    document = 'version: "1"\ndefault: deny\ntools: {t: {action: require_approval, approval: {approvers: [dba]}}}\n'
    words = "no people are approvers in the group `dba`, so that no such call can be approved"

    def warned(request: Any, kind: Any) -> bool:
        return [words in one.message for one in admin.admin(request, kind).warnings] == [True]

    validate = policies_pb2.ValidatePolicyRequest(document=document)
    assert warned(validate, policies_pb2.ValidatePolicyResponse)
    dry_run = policies_pb2.DryRunPolicyRequest(document=document, calls=[{"grant": "g", "tool": "t"}])
    assert warned(dry_run, policies_pb2.DryRunPolicyResponse)
    policy: Any = {"id": "p", "document": document}
    assert warned(policies_pb2.CreatePolicyRequest(policy=policy), policies_pb2.CreatePolicyResponse)
    assert warned(policies_pb2.UpdatePolicyRequest(policy=policy), policies_pb2.UpdatePolicyResponse)
    new = policies_pb2.UpdatePolicyRequest(policy={**policy, "id": "q"}, allow_missing=True)
    assert warned(new, policies_pb2.UpdatePolicyResponse)
    assert warned(policies_pb2.RollBackPolicyRequest(id="p", version=1), policies_pb2.RollBackPolicyResponse)
    edit = PersonEdit("dora", frozenset({Role.APPROVER}), frozenset({"dba"}), PASSWORDS.hash(PASSWORD))
    admin.store.people.put(edit, BY, "", now_us())
    assert not admin.admin(validate, policies_pb2.ValidatePolicyResponse).warnings


def test_a_policy_of_intercept_is_taken_as_it_is(admin: Admin) -> None:
    document = 'version: "1"\ntools: {t: {team: core, rules: [{name: few, rate_limit: 1/day}]}}\n'
    policy = create(admin.admin, document=document)
    assert (policy.document, len(policy.digest)) == (document, 12)
    dry_run = policies_pb2.DryRunPolicyRequest(document=document, calls=[{"grant": "g", "tool": "t"}] * 2)
    answer = admin.admin(dry_run, policies_pb2.DryRunPolicyResponse)
    assert [one.decision.rule for one in answer.decisions] == ["", "/tools/t/limits/_rate_day"]
    assert [(one.line, one.column) for one in answer.warnings] == [(2, 13)]
    bad = document.replace("1/day", "1/week")
    with pytest.raises(CallError, match=r"2:57: rule `few` of `t`: expected `minute`"):
        create(admin.admin, "q", bad)
    unknown = document.replace("rate_limit: 1/day", "conditions: [{path: args.x, op: regex, value: '\\p{Nope}'}]")
    with pytest.raises(CallError, match=r"2:58: "):
        create(admin.admin, "q", unknown)


def test_json_is_read_as_json(admin: Admin) -> None:
    document = '{"version": "1", "default": "allow"}'
    policy = create(admin.admin, document=document)
    assert policy.document == document
    assert policy.digest == create(admin.admin, "q").digest
    with pytest.raises(CallError, match="`default` appears twice"):
        create(admin.admin, "r", document='{"version": "1", "default": "allow", "default": "deny"}')


def test_a_file_owns_its_policies(admin: Admin) -> None:
    client = admin.admin
    policy = get(client, "filed-policy")
    assert (policy.document, policy.version, policy.etag) == (LIMITED, 0, "")
    assert policy.configured_at == f"{admin.config.parent / 'filed.yaml'}:1:1"
    for change in (
        lambda: update(client, "filed-policy", POLICY),
        lambda: client(policies_pb2.DeletePolicyRequest(id="filed-policy"), policies_pb2.DeletePolicyResponse),
    ):
        with pytest.raises(CallError) as told:
            change()
        assert (told.value.code, told.value.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "FILE_OWNED")
        assert policy.configured_at in told.value.message
    with pytest.raises(CallError) as told:
        create(client, "filed-policy")
    assert told.value.code is grpc.StatusCode.ALREADY_EXISTS


def test_a_diff_is_text(admin: Admin) -> None:
    client = admin.admin
    create(client)
    update(client, "p", DENY)

    def diff(**fields: object) -> str:
        request = policies_pb2.DiffPolicyRequest(id="p", **fields)  # type: ignore[arg-type]  # fields of the message
        return client(request, policies_pb2.DiffPolicyResponse).diff

    changed = diff()
    assert changed.splitlines()[:2] == ["--- version 1", "+++ version 2"]
    assert "-default: allow" in changed
    assert "+default: deny" in changed
    assert diff(from_version=2, to_version=1).splitlines()[-2:] == ["-default: deny", "+default: allow"]
    assert diff(document=DENY) == ""
    assert "+++ draft" in diff(document=POLICY)
    assert diff(to_version=1).splitlines()[0] == "--- nothing"
    with pytest.raises(CallError, match="no version 9"):
        diff(from_version=9)


def test_rolling_back_makes_a_new_version(admin: Admin) -> None:
    client = admin.admin
    first = create(client)
    second = update(client, "p", DENY)
    request = policies_pb2.RollBackPolicyRequest(id="p", version=1, etag=second.etag)
    third = client(request, policies_pb2.RollBackPolicyResponse).policy
    assert (third.version, third.document, third.digest) == (3, POLICY, first.digest)
    with pytest.raises(CallError) as told:
        client(request, policies_pb2.RollBackPolicyResponse)
    assert told.value.reason == "ETAG_MISMATCH"


def test_a_deleted_policy_keeps_its_versions(admin: Admin) -> None:
    client = admin.admin
    create(client)
    client(policies_pb2.DeletePolicyRequest(id="p"), policies_pb2.DeletePolicyResponse)
    with pytest.raises(CallError) as told:
        get(client)
    assert told.value.code is grpc.StatusCode.NOT_FOUND
    versions = client(policies_pb2.ListPolicyVersionsRequest(id="p"), policies_pb2.ListPolicyVersionsResponse).versions
    assert [(one.version, one.deleted) for one in versions] == [(2, True), (1, False)]
    back = client(policies_pb2.RollBackPolicyRequest(id="p", version=1), policies_pb2.RollBackPolicyResponse).policy
    assert (back.version, back.document) == (3, POLICY)
    with pytest.raises(CallError, match="deleted it"):
        client(policies_pb2.RollBackPolicyRequest(id="p", version=2), policies_pb2.RollBackPolicyResponse)


def test_a_dry_run_decides_and_takes_nothing(admin: Admin) -> None:
    create(admin.admin, "open")
    calls = [decision_pb2.CheckRequest(grant="g", tool="t", server="anywhere") for _ in range(4)]
    request = policies_pb2.DryRunPolicyRequest(document=LIMITED, calls=calls, compared_policy="open")
    decisions = admin.admin(request, policies_pb2.DryRunPolicyResponse).decisions
    allow, limited = decision_pb2.OUTCOME_ALLOW, decision_pb2.OUTCOME_RATE_LIMITED
    assert [one.decision.outcome for one in decisions] == [allow, allow, allow, limited]
    assert [one.different for one in decisions] == [False, False, False, True]
    assert {one.compared_decision.outcome for one in decisions} == {allow}
    again = admin.admin(request, policies_pb2.DryRunPolicyResponse).decisions
    assert [one.decision.outcome for one in again] == [allow, allow, allow, limited]
    token = policies_pb2.DryRunPolicyRequest(document=LIMITED, calls=[{"tool": "t", "grant_token": "x"}])
    with pytest.raises(CallError) as told:
        admin.admin(token, policies_pb2.DryRunPolicyResponse)
    assert list(told.value.fields) == ["calls[0].grant_token"]


def test_pages_have_all_once(both: Admin) -> None:
    client = both.admin
    names = [f"p{number}" for number in range(7)]
    for name in names:
        create(client, name)
    found: list[str] = []
    request = policies_pb2.ListPoliciesRequest(page_size=3)
    while True:
        page = client(request, policies_pb2.ListPoliciesResponse)
        assert len(page.policies) <= 3
        found += [one.id for one in page.policies]
        if not page.next_page_token:
            break
        request.page_token = page.next_page_token
    assert found == ["filed-policy", *names]


def test_a_page_token_is_for_its_list(admin: Admin) -> None:
    client = admin.admin
    create(client)
    token = client(policies_pb2.ListPoliciesRequest(page_size=1), policies_pb2.ListPoliciesResponse).next_page_token
    with pytest.raises(CallError) as told:
        client(servers_pb2.ListServersRequest(page_token=token), servers_pb2.ListServersResponse)
    assert list(told.value.fields) == ["page_token"]
    for bad in ("x", "!", "a" * 1_000):
        with pytest.raises(CallError) as told:
            client(policies_pb2.ListPoliciesRequest(page_token=bad), policies_pb2.ListPoliciesResponse)
        assert list(told.value.fields) == ["page_token"]
    # Of the right list, by whoever knows its form.
    lists: tuple[Any, ...] = (
        (policies_pb2.ListPolicyVersionsRequest(id="p"), policies_pb2.ListPolicyVersionsResponse),
        (audit_pb2.ListAuditRecordsRequest(), audit_pb2.ListAuditRecordsResponse),
    )
    for request, kind in lists:
        for position in ("", "x", "0", "9" * 30):
            request.page_token = token_for(request, position)
            with pytest.raises(CallError) as told:
                client(request, kind)
            assert list(told.value.fields) == ["page_token"]
    with pytest.raises(CallError) as told:
        client(policies_pb2.ListPoliciesRequest(page_size=-1), policies_pb2.ListPoliciesResponse)
    assert list(told.value.fields) == ["page_size"]


@pytest.mark.parametrize("name", ["", " p", "a\nb", "x" * 257, "a/b", "a\0b"])
def test_ids_that_cannot_be(admin: Admin, name: str) -> None:
    with pytest.raises(CallError) as told:
        create(admin.admin, name)
    assert told.value.code is grpc.StatusCode.INVALID_ARGUMENT
    assert list(told.value.fields) == ["policy.id"]


def test_a_server_is_managed(admin: Admin) -> None:
    client = admin.person("pat", Role.POLICY_MANAGER)
    create(client)
    server = servers_pb2.Server(id="aws", policy="p")
    server.upstream.url = "https://mcp.example.com/mcp"
    server.upstream.connect_timeout.FromMilliseconds(1_500)
    server.upstream.max_requests = 10
    made = client(servers_pb2.CreateServerRequest(server=server), servers_pb2.CreateServerResponse).server
    assert made.upstream == server.upstream
    # Only what is set is changed.
    change = servers_pb2.UpdateServerRequest(server={"id": "aws", "etag": made.etag})
    change.server.upstream.url = "https://other.example.com/mcp"
    after = client(change, servers_pb2.UpdateServerResponse).server
    assert (after.policy, after.version) == ("p", 2)
    assert not after.upstream.HasField("max_requests")
    # The mask names a field that is empty: it is taken out.
    change = servers_pb2.UpdateServerRequest(server={"id": "aws"}, update_mask={"paths": ["policy"]})
    after = client(change, servers_pb2.UpdateServerResponse).server
    assert (after.policy, after.upstream.url) == ("", "https://other.example.com/mcp")
    change = servers_pb2.UpdateServerRequest(server={"id": "aws"}, update_mask={"paths": ["polcy"]})
    with pytest.raises(CallError, match="did you mean `policy`"):
        client(change, servers_pb2.UpdateServerResponse)
    client(servers_pb2.DeleteServerRequest(id="aws", etag=after.etag), servers_pb2.DeleteServerResponse)
    with pytest.raises(CallError) as told:
        client(servers_pb2.GetServerRequest(id="aws"), servers_pb2.GetServerResponse)
    assert told.value.code is grpc.StatusCode.NOT_FOUND


def test_a_candidate_is_managed(admin: Admin) -> None:
    client = admin.person("pat", Role.POLICY_MANAGER)
    create(client)
    create(client, "next")
    server = servers_pb2.Server(id="aws", policy="p", candidate="next")
    made = client(servers_pb2.CreateServerRequest(server=server), servers_pb2.CreateServerResponse).server
    assert (made.policy, made.candidate) == ("p", "next")
    with pytest.raises(CallError, match="the server `aws` names the policy `next`"):
        client(policies_pb2.DeletePolicyRequest(id="next"), policies_pb2.DeletePolicyResponse)
    change = servers_pb2.UpdateServerRequest(server={"id": "aws"}, update_mask={"paths": ["candidate"]})
    after = client(change, servers_pb2.UpdateServerResponse).server
    assert (after.policy, after.candidate) == ("p", "")
    client(policies_pb2.DeletePolicyRequest(id="next"), policies_pb2.DeletePolicyResponse)


@pytest.mark.parametrize(
    ("fields", "fault"),
    [
        ({"policy": "nobody"}, "server.policy"),
        ({"policy": "filed-policy", "candidate": "nobody"}, "server.candidate"),
        ({"candidate": "filed-policy"}, "server.candidate"),
        ({"upstream": {"url": "ftp://x"}}, "server.upstream.url"),
        ({"upstream": {}}, "server.upstream.url"),
        ({"upstream": {"url": "http://x", "max_requests": 0}}, "server.upstream.max_requests"),
        ({"upstream": {"url": "http://x", "idle_timeout": {"seconds": 3_600}}}, "server.upstream.idle_timeout"),
    ],
)
def test_servers_that_cannot_be(admin: Admin, fields: dict[str, object], fault: str) -> None:
    server = servers_pb2.Server(id="aws", **fields)  # type: ignore[arg-type]  # fields of the message
    with pytest.raises(CallError) as told:
        admin.admin(servers_pb2.CreateServerRequest(server=server), servers_pb2.CreateServerResponse)
    assert list(told.value.fields) == [fault]


def test_all_faults_of_a_server_are_named(admin: Admin) -> None:
    server = servers_pb2.Server(id="aws", upstream={"url": "ftp://x", "max_requests": 0})
    with pytest.raises(CallError) as told:
        admin.admin(servers_pb2.CreateServerRequest(server=server), servers_pb2.CreateServerResponse)
    assert told.value.fields["server.upstream.max_requests"] == "expected at least 1"
    assert set(told.value.fields) == {"server.upstream.url", "server.upstream.max_requests"}


def test_a_stored_document_that_is_not_valid_is_told_with_its_place(admin: Admin) -> None:
    admin.store.servers.put([Edit("m", '{"polciy": "p"}', 0)], Actor("x", "test"), "", now_us())
    with pytest.raises(CallError) as told:
        admin.admin(servers_pb2.GetServerRequest(id="m"), servers_pb2.GetServerResponse)
    assert told.value.code is grpc.StatusCode.FAILED_PRECONDITION
    assert told.value.message == "store:servers/m.json:1:2: unknown key `polciy`; did you mean `policy`?"


def test_what_is_missing_is_named(admin: Admin) -> None:
    with pytest.raises(CallError) as told:
        admin.admin(servers_pb2.CreateServerRequest(), servers_pb2.CreateServerResponse)
    assert told.value.fields == {"server": "it is missing"}
    with pytest.raises(CallError) as told:
        admin.admin(servers_pb2.GetServerRequest(), servers_pb2.GetServerResponse)
    assert told.value.fields == {"id": "it is missing"}


def test_upsert(admin: Admin) -> None:
    request = servers_pb2.UpdateServerRequest(server={"id": "aws"}, allow_missing=True)
    assert [admin.admin(request, servers_pb2.UpdateServerResponse).server.version for _ in range(2)] == [1, 2]
    request.server.etag = "*"
    with pytest.raises(CallError) as told:
        admin.admin(request, servers_pb2.UpdateServerResponse)
    assert list(told.value.fields) == ["allow_missing"]


def test_of_retries_at_once_on_two_replicas_one_is_made(both: Admin, tmp_path: Path) -> None:
    one, answers = request_id(), []
    with running_admin(both.store, tmp_path / "other") as other:
        clients = [both.admin, other.client(both.session("root"))]
        request = policies_pb2.CreatePolicyRequest(policy={"id": "p", "document": POLICY}, request_id=one)

        def ask(client: Client) -> None:
            answers.append(client(request, policies_pb2.CreatePolicyResponse))

        threads = [Thread(target=ask, args=(clients[number % 2],)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
    assert len(answers) == 8
    assert {answer.policy.etag for answer in answers} == {get(both.admin).etag}
    assert get(both.admin).version == 1


def test_of_edits_at_once_with_one_etag_one_is_made(both: Admin) -> None:
    client = both.admin
    seen = create(client).etag
    codes: list[grpc.StatusCode] = []

    def edit(number: int) -> None:
        try:
            update(client, "p", f"{POLICY}description: edit {number}\n", seen)
            codes.append(grpc.StatusCode.OK)
        except CallError as error:
            codes.append(error.code)

    threads = [Thread(target=edit, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(code.name for code in codes) == ["ABORTED"] * 7 + ["OK"]
    assert get(client).version == 2
