"""`PoliciesService`."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Final

import grpc

from callgate._proto.callgate.admin.v1 import policies_pb2 as pb
from callgate.admin.calls.changes import Change
from callgate.admin.calls.errors import AdminError, failed_precondition, invalid, not_found
from callgate.admin.calls.fields import check_id
from callgate.admin.documents.managed import AdminDocuments, Held
from callgate.admin.documents.policies import check_policy, checking, faults_of, message_of, trial_engine, warnings_of
from callgate.admin.documents.uses import uses_of_policy
from callgate.admin.ground import Ground, actor, actor_message, masked_fields
from callgate.admin.messages.paging import number_of, position_of, size_of, token_for
from callgate.admin.messages.times import timestamp
from callgate.admin.services.proposing import Proposing
from callgate.client import messages
from callgate.errors import CallgateError
from callgate.store.database import Domain
from callgate.store.documents import DocumentKind
from callgate.store.errors import UnknownIdError

if TYPE_CHECKING:
    from pathlib import Path

    from callgate._callgate import Engine
    from callgate._proto.callgate.decision.v1.decision_pb2 import CheckRequest
    from callgate.admin.calls.call import Call
    from callgate.identity.principal import Principal
    from callgate.store.documents import Version

_MOST_CALLS: Final = 1_000
_MOST_OF_PAGE: Final = 100
"""Policies are read whole, also where they are listed without their documents."""

_FIELDS: Final = frozenset({"document"})
_DEFAULT_SERVER: Final = "srv"


class PoliciesService:
    """Manages policies."""

    DESCRIPTOR = pb.DESCRIPTOR.services_by_name["PoliciesService"]

    def __init__(self, ground: Ground) -> None:
        """Takes the things that it works on."""
        self._ground = ground
        self._policies = AdminDocuments(ground.store, ground.files, DocumentKind.POLICIES)
        self._proposing = Proposing(ground, DocumentKind.POLICIES)

    def validate_policy(
        self, _principal: Principal, request: pb.ValidatePolicyRequest, _call: Call
    ) -> pb.ValidatePolicyResponse:
        """Finds every fault of a document."""
        catalogue = self._ground.sidecar.catalogue()
        with checking():
            if faults := faults_of(request.document, catalogue):
                return pb.ValidatePolicyResponse(faults=map(message_of, faults))
            return pb.ValidatePolicyResponse(
                warnings=self._warnings(request.document, catalogue),
                digest=self._ground.digests.of(request.document),
            )

    def dry_run_policy(
        self, _principal: Principal, request: pb.DryRunPolicyRequest, call: Call
    ) -> pb.DryRunPolicyResponse:
        """Decides calls by a document that is not in force."""
        if len(request.calls) > _MOST_CALLS:
            raise invalid("calls", f"expected at most {_MOST_CALLS} calls, got {len(request.calls)}")
        for index, one in enumerate(request.calls):
            if one.grant_token:
                raise invalid(f"calls[{index}].grant_token", "expected the grant's id in `grant`")
        catalogue = self._ground.sidecar.catalogue()
        servers = {one.server or _DEFAULT_SERVER for one in request.calls}
        with checking():
            check_policy(request.document, catalogue)
            engine = trial_engine("policy", request.document, catalogue, servers)
            compared = None
            if request.compared_policy:
                held = self._policies.get(request.compared_policy)
                compared = trial_engine(held.id, held.content, catalogue, servers)
            decisions = [_decided(engine, compared, one, call.now_us / 1_000) for one in request.calls]
            warnings = self._warnings(request.document, catalogue)
        return pb.DryRunPolicyResponse(decisions=decisions, warnings=warnings)

    def list_policies(
        self, _principal: Principal, request: pb.ListPoliciesRequest, _call: Call
    ) -> pb.ListPoliciesResponse:
        """Lists policies without their documents."""
        found, after = self._policies.page(position_of(request), size_of(request, _MOST_OF_PAGE))
        policies = [self._message(held, is_whole=False) for held in found]
        return pb.ListPoliciesResponse(policies=policies, next_page_token=token_for(request, after))

    def get_policy(self, _principal: Principal, request: pb.GetPolicyRequest, _call: Call) -> pb.GetPolicyResponse:
        """Gets a policy."""
        return pb.GetPolicyResponse(policy=self._message(self._policies.get(request.id)))

    def create_policy(
        self, principal: Principal, request: pb.CreatePolicyRequest, call: Call
    ) -> pb.CreatePolicyResponse:
        """Creates a policy."""
        change = Change(self._ground.store, principal, request, call, Domain.ADMINISTRATION)
        if (earlier := change.earlier(pb.CreatePolicyResponse)) is not None:
            return earlier
        self._policies.must_be_used(self._ground.sidecar)
        policy = request.policy
        _check_id(policy.id)
        warnings = self._check_document(policy.id, policy.document)

        def work() -> pb.CreatePolicyResponse:
            if self._proposing.is_on:
                self._policies.must_be_new(policy.id)
                proposal = self._proposing.propose(principal, call, policy.id, policy.document, None, request.reason)
                return pb.CreatePolicyResponse(proposal=proposal, warnings=warnings)
            by = actor(principal, call)
            made = self._policies.create(
                policy.id, policy.document, by, request.reason, call.now_us, is_never_reused=False
            )
            return pb.CreatePolicyResponse(policy=self._message(made), warnings=warnings)

        return change.once(work, pb.CreatePolicyResponse)

    def update_policy(
        self, principal: Principal, request: pb.UpdatePolicyRequest, call: Call
    ) -> pb.UpdatePolicyResponse:
        """Stores a new version."""
        change = Change(self._ground.store, principal, request, call, Domain.ADMINISTRATION)
        if (earlier := change.earlier(pb.UpdatePolicyResponse)) is not None:
            return earlier
        policy, by = request.policy, actor(principal, call)
        masked_fields(request.update_mask, _FIELDS, policy)
        if request.allow_missing and policy.etag:
            raise invalid("allow_missing", "not together with an etag")
        warnings = self._check_document(policy.id, policy.document)

        def work() -> pb.UpdatePolicyResponse:
            if request.allow_missing and self._policies.find(policy.id) is None:
                self._policies.must_be_used(self._ground.sidecar)
                _check_id(policy.id)
                if self._proposing.is_on:
                    proposal = self._proposing.propose(
                        principal, call, policy.id, policy.document, None, request.reason
                    )
                    return pb.UpdatePolicyResponse(proposal=proposal, warnings=warnings)
                made = self._policies.create(
                    policy.id, policy.document, by, request.reason, call.now_us, is_never_reused=False
                )
                return pb.UpdatePolicyResponse(policy=self._message(made), warnings=warnings)
            held = self._policies.must_be_stored(self._policies.get(policy.id))
            if self._proposing.is_on:
                self._policies.check_etag(held, policy.etag)
                proposal = self._proposing.propose(principal, call, held.id, policy.document, held, request.reason)
                return pb.UpdatePolicyResponse(proposal=proposal, warnings=warnings)
            held = self._policies.replace(held, policy.document, policy.etag, by, request.reason, call.now_us)
            return pb.UpdatePolicyResponse(policy=self._message(held), warnings=warnings)

        return change.once(work, pb.UpdatePolicyResponse)

    def delete_policy(
        self, principal: Principal, request: pb.DeletePolicyRequest, call: Call
    ) -> pb.DeletePolicyResponse:
        """Deletes a policy."""
        change = Change(self._ground.store, principal, request, call, Domain.ADMINISTRATION)
        if (earlier := change.earlier(pb.DeletePolicyResponse)) is not None:
            return earlier
        self._policies.must_be_stored(self._policies.get(request.id))
        uses = uses_of_policy(self._ground.store, request.id)

        def work() -> pb.DeletePolicyResponse:
            held = self._policies.must_be_stored(self._policies.get(request.id))
            uses.check_again()
            if self._proposing.is_on:
                self._policies.check_etag(held, request.etag)
                proposal = self._proposing.propose(principal, call, held.id, None, held, request.reason)
                return pb.DeletePolicyResponse(proposal=proposal)
            self._policies.delete(held, request.etag, actor(principal, call), request.reason, call.now_us)
            return pb.DeletePolicyResponse()

        return change.once(work, pb.DeletePolicyResponse)

    def list_policy_versions(
        self, _principal: Principal, request: pb.ListPolicyVersionsRequest, _call: Call
    ) -> pb.ListPolicyVersionsResponse:
        """Lists the versions of a policy."""
        size, before = size_of(request, _MOST_OF_PAGE), number_of(request)
        found = self._policies.stored.versions(request.id, before=before, size=size)
        if not found and before is None:
            self._policies.must_be_stored(self._policies.get(request.id))
        following = str(found[-1].version) if len(found) == size and found[-1].version > 1 else None
        return pb.ListPolicyVersionsResponse(
            versions=[self._version(one, is_whole=False) for one in found],
            next_page_token=token_for(request, following),
        )

    def get_policy_version(
        self, _principal: Principal, request: pb.GetPolicyVersionRequest, _call: Call
    ) -> pb.GetPolicyVersionResponse:
        """Gets a version of a policy."""
        return pb.GetPolicyVersionResponse(version=self._version(self._stored(request.id, request.version)))

    def diff_policy(self, _principal: Principal, request: pb.DiffPolicyRequest, _call: Call) -> pb.DiffPolicyResponse:
        """Compares two versions, or a version and a document."""
        is_draft = request.WhichOneof("to") == "document"
        if is_draft:
            newer_name, newer, newest = "draft", request.document, 0
        else:
            version = self._newest(request.id, request.to_version)
            newer_name, newer, newest = f"version {version.version}", version.content or "", version.version
        if request.from_version:
            older = self._stored(request.id, request.from_version)
        elif is_draft:
            held = self._policies.get(request.id)
            return pb.DiffPolicyResponse(diff=_diff(held.content, newer, held.place or "in force", newer_name))
        elif newest > 1:
            older = self._stored(request.id, newest - 1)
        else:
            return pb.DiffPolicyResponse(diff=_diff("", newer, "nothing", newer_name))
        return pb.DiffPolicyResponse(diff=_diff(older.content or "", newer, f"version {older.version}", newer_name))

    def roll_back_policy(
        self, principal: Principal, request: pb.RollBackPolicyRequest, call: Call
    ) -> pb.RollBackPolicyResponse:
        """Stores the document of an earlier version as a new one."""
        change = Change(self._ground.store, principal, request, call, Domain.ADMINISTRATION)
        if (earlier := change.earlier(pb.RollBackPolicyResponse)) is not None:
            return earlier
        document = self._stored(request.id, request.version).content
        if document is None:
            message = f"version {request.version} of the policy `{request.id}` deleted it; use DeletePolicy"
            raise failed_precondition(message)
        # The catalogue, or callgate itself, may have changed since.
        warnings = self._check_document(request.id, document)
        reason = request.reason or f"rolled back to version {request.version}"

        def work() -> pb.RollBackPolicyResponse:
            by = actor(principal, call)
            held = self._policies.find(request.id)
            if self._proposing.is_on:
                if held is not None:
                    self._policies.check_etag(self._policies.must_be_stored(held), request.etag)
                proposal = self._proposing.propose(principal, call, request.id, document, held, reason)
                return pb.RollBackPolicyResponse(proposal=proposal, warnings=warnings)
            if held is None:
                made = self._policies.create(request.id, document, by, reason, call.now_us, is_never_reused=False)
                return pb.RollBackPolicyResponse(policy=self._message(made), warnings=warnings)
            self._policies.must_be_stored(held)
            held = self._policies.replace(held, document, request.etag, by, reason, call.now_us)
            return pb.RollBackPolicyResponse(policy=self._message(held), warnings=warnings)

        return change.once(work, pb.RollBackPolicyResponse)

    def _check_document(self, name: str, document: str) -> list[pb.PolicyFault]:
        """Refuses a document that cannot be served; the warnings about one that can."""
        catalogue = self._ground.sidecar.catalogue()
        check_policy(document, catalogue)
        self._policies.must_be_servable(self._ground.sidecar, name, document)
        return self._warnings(document, catalogue)

    def _warnings(self, document: str, catalogue: Path | None) -> list[pb.PolicyFault]:
        people = self._ground.store.people.approver_groups()
        are_all_known = self._ground.identities.issuers is None
        return [message_of(one) for one in warnings_of(document, catalogue, people, are_all_known=are_all_known)]

    def _message(self, held: Held, *, is_whole: bool = True) -> pb.Policy:
        version = held.version
        return pb.Policy(
            id=held.id,
            document=held.content if is_whole else "",
            version=0 if version is None else version.version,
            digest=self._ground.digests.of(held.content),
            etag=held.etag,
            update_time=timestamp(None if version is None else version.made_us),
            configured_at=held.place,
        )

    def _version(self, version: Version, *, is_whole: bool = True) -> pb.PolicyVersion:
        return pb.PolicyVersion(
            version=version.version,
            document=(version.content or "") if is_whole else "",
            digest="" if version.content is None else self._ground.digests.of(version.content),
            deleted=version.content is None,
            create_time=timestamp(version.made_us),
            creator=actor_message(version.made_by),
            reason=version.reason,
        )

    def _stored(self, name: str, number: int) -> Version:
        try:
            return self._policies.stored.get(name, number)
        except UnknownIdError:
            raise not_found(f"the policy `{name}` has no version {number}") from None

    def _newest(self, name: str, number: int) -> Version:
        if number:
            return self._stored(name, number)
        found = self._policies.stored.versions(name, size=1)
        if not found:
            self._policies.must_be_stored(self._policies.get(name))
        return found[0]


def _check_id(name: str) -> None:
    check_id("policy.id", name)
    if "/" in name:
        raise invalid("policy.id", "expected an id without `/`, because decisions name the policy by it")


def _decided(engine: Engine, compared: Engine | None, request: CheckRequest, now_ms: float) -> pb.DryRunDecision:
    try:
        decision = messages.check(engine, request, now_ms, vouched=True)
        other = None if compared is None else messages.check(compared, request, now_ms, vouched=True)
    except (TypeError, ValueError, CallgateError) as error:
        raise AdminError(grpc.StatusCode.INVALID_ARGUMENT, str(error)) from None
    is_different = other is not None and (decision.outcome, decision.rule) != (other.outcome, other.rule)
    return pb.DryRunDecision(decision=decision, compared_decision=other, different=is_different)


def _diff(older: str, newer: str, older_name: str, newer_name: str) -> str:
    lines = difflib.unified_diff(older.splitlines(), newer.splitlines(), older_name, newer_name, lineterm="")
    return "".join(f"{line}\n" for line in lines)
