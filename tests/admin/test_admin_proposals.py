"""Changes of policies that take two people."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from callgate._proto.callgate.admin.v1 import policies_pb2, proposals_pb2
from callgate._proto.callgate.admin.v1 import tokens_pb2 as tokens
from callgate.clock import now_us
from callgate.store.model import Actor
from callgate.store.people import Role
from callgate.store.place import in_folder
from callgate.store.proposals import KEPT_US, MOST_PENDING, NewProposal
from callgate.store.store import Store, open_store
from callgate.store.tokens import Scope
from support.admin import LIMITED, POLICY, Admin, CallError, Client, request_id, running_admin

PENDING = proposals_pb2.Proposal.STATE_PENDING
CONFIRMED = proposals_pb2.Proposal.STATE_CONFIRMED


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = open_store(in_folder(tmp_path / "store"))
    yield store
    store.close()


@pytest.fixture
def admin(store: Store, tmp_path: Path) -> Iterator[Admin]:
    with running_admin(store, tmp_path / "files", admin={"four_eyes": ["policies"]}) as admin:
        yield admin


def create(client: Client, name: str = "new", document: str = POLICY, **more: str) -> proposals_pb2.Proposal:
    request = policies_pb2.CreatePolicyRequest(policy={"id": name, "document": document}, **more)
    answer = client(request, policies_pb2.CreatePolicyResponse)
    assert not answer.HasField("policy")
    return answer.proposal


def confirm(client: Client, proposal: proposals_pb2.Proposal, **more: str) -> proposals_pb2.Proposal:
    request = proposals_pb2.ConfirmProposalRequest(id=proposal.id, **more)
    return client(request, proposals_pb2.ConfirmProposalResponse).proposal


def get(client: Client, name: str = "new") -> policies_pb2.Policy | None:
    try:
        return client(policies_pb2.GetPolicyRequest(id=name), policies_pb2.GetPolicyResponse).policy
    except CallError as error:
        if error.code is not grpc.StatusCode.NOT_FOUND:
            raise
        return None


def pending(client: Client) -> list[str]:
    request = proposals_pb2.ListProposalsRequest(state=PENDING)
    return [one.id for one in client(request, proposals_pb2.ListProposalsResponse).proposals]


def refused(client: Client, request: object, answer: type, reason: str) -> None:
    with pytest.raises(CallError) as caught:
        client(request, answer)  # type: ignore[arg-type]
    assert caught.value.reason == reason, caught.value


def test_a_change_takes_effect_once_another_person_confirms_it(admin: Admin, store: Store) -> None:
    ann, ben = admin.person("ann", Role.POLICY_MANAGER), admin.person("ben", Role.POLICY_MANAGER)
    vic = admin.person("vic", Role.VIEWER)
    made = create(ann, reason="first")
    assert (made.state, made.policy, made.action, made.base_version) == (
        *(PENDING, "new", proposals_pb2.Proposal.ACTION_CREATE, 0),
    )
    assert get(ann) is None
    assert pending(vic) == [made.id]
    whole = vic(proposals_pb2.GetProposalRequest(id=made.id), proposals_pb2.GetProposalResponse).proposal
    assert whole.document == POLICY
    assert "+default: allow" in whole.diff
    request = proposals_pb2.ConfirmProposalRequest(id=made.id)
    refused(ann, request, proposals_pb2.ConfirmProposalResponse, "SAME_PERSON")
    refused(vic, request, proposals_pb2.ConfirmProposalResponse, "ROLE")
    assert confirm(ben, made, reason="read it").state == CONFIRMED
    policy = get(ann)
    assert policy is not None
    assert (policy.document, policy.version) == (POLICY, 1)
    assert pending(vic) == []
    refused(ben, request, proposals_pb2.ConfirmProposalResponse, "STATE")
    version = store.policies.get("new")
    assert (version.made_by.name, version.reason) == ("ann (local), confirmed by ben (local)", "first")
    recorded = [
        (one.change.action, one.change.by.name, one.change.reason) for one in store.audit.page(kind="proposals")
    ]
    assert recorded == [("confirm", "ben (local)", "read it"), ("propose", "ann (local)", "first")]


def test_every_change_of_a_policy_is_proposed(admin: Admin) -> None:
    ann, ben = admin.person("ann", Role.ADMIN), admin.person("ben", Role.ADMIN)
    confirm(ben, create(ann))
    policy = get(ann)
    assert policy is not None
    changed = policies_pb2.Policy(id="new", document=LIMITED, etag=policy.etag)
    update = ann(policies_pb2.UpdatePolicyRequest(policy=changed), policies_pb2.UpdatePolicyResponse).proposal
    assert (update.action, update.base_version) == (proposals_pb2.Proposal.ACTION_UPDATE, 1)
    confirm(ben, update)
    back = ann(policies_pb2.RollBackPolicyRequest(id="new", version=1), policies_pb2.RollBackPolicyResponse).proposal
    assert back.base_version == 2
    confirm(ben, back)
    missing = policies_pb2.UpdatePolicyRequest(policy={"id": "other", "document": POLICY}, allow_missing=True)
    other = ann(missing, policies_pb2.UpdatePolicyResponse).proposal
    assert other.action == proposals_pb2.Proposal.ACTION_CREATE
    gone = ann(policies_pb2.DeletePolicyRequest(id="new"), policies_pb2.DeletePolicyResponse).proposal
    assert gone.action == proposals_pb2.Proposal.ACTION_DELETE
    held = get(ann)
    assert held is not None
    assert (held.document, held.version) == (POLICY, 3)
    confirm(ben, gone)
    assert get(ann) is None
    assert get(ann, "other") is None


def test_a_proposal_of_a_version_that_is_gone_is_refused(admin: Admin) -> None:
    ann, ben = admin.person("ann", Role.ADMIN), admin.person("ben", Role.ADMIN)
    first, second = create(ann), create(ann, document=LIMITED)
    confirm(ben, first)
    request = proposals_pb2.ConfirmProposalRequest(id=second.id)
    refused(ben, request, proposals_pb2.ConfirmProposalResponse, "BASE_CHANGED")
    # It waits still, and nothing of it is done.
    assert pending(ann) == [second.id]
    policy = get(ann)
    assert policy is not None
    assert policy.document == POLICY
    stale = policies_pb2.Policy(id="new", document=LIMITED, etag='"7-000000000000"')
    refused(ann, policies_pb2.UpdatePolicyRequest(policy=stale), policies_pb2.UpdatePolicyResponse, "ETAG_MISMATCH")
    rejected = ben(
        proposals_pb2.RejectProposalRequest(id=second.id, reason="too late"), proposals_pb2.RejectProposalResponse
    ).proposal
    assert rejected.decide_reason == "too late"
    refused(ben, request, proposals_pb2.ConfirmProposalResponse, "STATE")


def test_machines_propose_and_never_confirm(admin: Admin, store: Store) -> None:
    ann, ben = admin.person("ann", Role.ADMIN), admin.person("ben", Role.ADMIN)
    given = {"name": "gitops", "roles": ["ROLE_POLICY_MANAGER"], "ttl": {"seconds": 3600}}
    token = ann(tokens.CreateTokenRequest(machine_token=given), tokens.CreateTokenResponse).token
    machine = admin.client(token)
    made = create(machine)
    request = proposals_pb2.ConfirmProposalRequest(id=made.id)
    refused(machine, request, proposals_pb2.ConfirmProposalResponse, "PEOPLE_ONLY")
    # Else one person with a token of their own would be two.
    refused(ann, request, proposals_pb2.ConfirmProposalResponse, "SAME_PERSON")
    other = admin.machine(Role.POLICY_MANAGER)
    refused(other, proposals_pb2.RejectProposalRequest(id=made.id), proposals_pb2.RejectProposalResponse, "PEOPLE_ONLY")
    confirm(ben, made)
    again = create(machine, "another")
    machine(proposals_pb2.RejectProposalRequest(id=again.id), proposals_pb2.RejectProposalResponse)
    limited = admin.machine(Role.POLICY_MANAGER, scopes=[Scope.POLICIES])
    create(limited, "third")
    refused(limited, proposals_pb2.ListProposalsRequest(), proposals_pb2.ListProposalsResponse, "SCOPE")
    assert store.policies.get("new").made_by.name.endswith("confirmed by ben (local)")


def test_what_cannot_be_served_is_neither_proposed_nor_confirmed(admin: Admin) -> None:
    ann, ben = admin.person("ann", Role.ADMIN), admin.person("ben", Role.ADMIN)
    faulty = policies_pb2.CreatePolicyRequest(policy={"id": "new", "document": "version: 2\n"})
    refused(ann, faulty, policies_pb2.CreatePolicyResponse, "POLICY_FAULTS")
    filed = policies_pb2.CreatePolicyRequest(policy={"id": "filed-policy", "document": POLICY})
    refused(ann, filed, policies_pb2.CreatePolicyResponse, "ALREADY_EXISTS")
    unknown = proposals_pb2.ConfirmProposalRequest(id="x")
    refused(ben, unknown, proposals_pb2.ConfirmProposalResponse, "NOT_FOUND")


def test_a_repeated_request_proposes_and_confirms_once(admin: Admin) -> None:
    ann, ben = admin.person("ann", Role.ADMIN), admin.person("ben", Role.ADMIN)
    one, two = request_id(), request_id()
    made = create(ann, request_id=one)
    assert create(ann, request_id=one) == made
    assert confirm(ben, made, request_id=two) == confirm(ben, made, request_id=two)
    assert pending(ann) == []


def test_proposals_end_with_their_time_and_are_bounded(store: Store) -> None:
    by, at = Actor("ann (local)", "here"), now_us()

    def make(number: int, at_us: int) -> str:
        new = NewProposal(f"p{number}", "policies", "new", POLICY, 0, "", "ann (local)")
        return store.proposals.make(new, by, at_us).id

    first = make(0, at)
    assert store.proposals.get(first, at + KEPT_US).state.value == "expired"
    with pytest.raises(Exception, match="is expired"):
        store.proposals.decide(first, store.proposals.get(first, at).state, by, "", at + KEPT_US)
    for number in range(1, MOST_PENDING):
        make(number, at)
    with pytest.raises(Exception, match="wait for people already"):
        make(MOST_PENDING, at)
    # Those whose time is over are in nobody's way.
    make(MOST_PENDING + 1, at + KEPT_US)


def test_without_the_option_changes_are_made_at_once(store: Store, tmp_path: Path) -> None:
    with running_admin(store, tmp_path / "files") as admin:
        ann = admin.person("ann", Role.POLICY_MANAGER)
        request = policies_pb2.CreatePolicyRequest(policy={"id": "new", "document": POLICY})
        answer = ann(request, policies_pb2.CreatePolicyResponse)
        assert (answer.policy.version, answer.HasField("proposal")) == (1, False)
