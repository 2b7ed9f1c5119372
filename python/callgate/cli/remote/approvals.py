"""`callgate approvals` at an admin port: the approvals there, answered as the person who has logged in."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from google.protobuf import json_format

from callgate._proto.callgate.admin.v1 import approvals_pb2 as pb
from callgate.cli.remote.messages import STATES, approval_of, offer_message, read_message, record_of
from callgate.cli.remote.port import logged_in
from callgate.errors import CallgateError
from callgate.store.model import LIVE_STATES, State, Verdict
from callgate.text import quoted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from callgate.cli.remote.port import RemotePort
    from callgate.store.approvals.recorded import Recorded
    from callgate.store.model import Approval, PermitOffer

_PATH: Final = "/admin/v1/approvals"
_LEAST: Final = 4
"""Characters by which an approval may be named."""

_WHOLE: Final = 26
"""Characters of a whole id."""


@dataclass(frozen=True)
class RemoteApprovals:
    """The approvals of the store behind an admin port."""

    port: RemotePort

    def page(self, state: State | None, grant: str | None, token: str | None) -> tuple[list[Approval], str | None]:
        """A page of approvals, newest first, and the token of the next one.

        Raises:
            CallgateError: The port does not answer, or refuses.
        """
        query = {"pageSize": "200", "grant": grant or "", "pageToken": token or ""}
        if state is not None:
            query["state"] = pb.Approval.State.Name(STATES[state])
        listed = read_message(
            self.port.get(_PATH, {name: value for name, value in query.items() if value}), pb.ListApprovalsResponse
        )
        return [approval_of(one) for one in listed.approvals], listed.next_page_token or None

    def every(self, state: State | None, grant: str | None) -> Iterator[Approval]:
        """Approvals, page by page, newest first.

        Raises:
            CallgateError: The port does not answer, or refuses.
        """
        token = None
        while True:
            found, token = self.page(state, grant, token)
            yield from found
            if token is None:
                return

    def listed(self, wanted: State | None, grant: str | None) -> Iterator[Approval]:
        """Approvals in the order of the list: pending ones first.

        Raises:
            CallgateError: The port does not answer, or refuses.
        """
        if wanted is not None:
            # Nobody may have written yet that the time of some is over.
            stored = [wanted, *sorted(LIVE_STATES)] if wanted is State.EXPIRED else [wanted]
            for one in stored:
                yield from (found for found in self.every(one, grant) if found.state is wanted)
            return
        pending = set[str]()
        for found in self.every(State.PENDING, grant):
            if found.state is State.PENDING:
                pending.add(found.id)
                yield found
        yield from (found for found in self.every(None, grant) if found.id not in pending)

    def get(self, text: str) -> tuple[Approval, Recorded]:
        """An approval that is named by the beginning of its id, with its evidence.

        Raises:
            CallgateError: There is none, or there are several.
        """
        name = text if len(text) == _WHOLE else self._full(text)
        message = read_message(self.port.get(f"{_PATH}/{quote(name, safe='')}"), pb.GetApprovalResponse).approval
        return approval_of(message), record_of(message)

    def answer(
        self, approval: Approval, verdict: Verdict, reason: str, permit: PermitOffer | None = None
    ) -> tuple[Approval, str | None]:
        """Answers; the approval that it leads to, and the id of the permit that it has made.

        Raises:
            CallgateError: The person may not give this answer.
        """
        document: dict[str, Any] = {"reason": reason, "requestId": str(uuid.uuid4())}
        path = f"{_PATH}/{quote(approval.id, safe='')}"
        if verdict is Verdict.DENY:
            denied = read_message(self.port.post(f"{path}:deny", document), pb.DenyApprovalResponse)
            return approval_of(denied.approval), None
        if permit is not None:
            document["permit"] = json_format.MessageToDict(offer_message(permit))
        approved = read_message(self.port.post(f"{path}:approve", document), pb.ApproveApprovalResponse)
        return approval_of(approved.approval), approved.permit or None

    def withdraw(self, approval: Approval, reason: str) -> Approval:
        """Ends an approval; the approval after it.

        Raises:
            CallgateError: The person may not withdraw it, or it is consumed or has ended.
        """
        document = {"reason": reason, "requestId": str(uuid.uuid4())}
        answered = self.port.post(f"{_PATH}/{quote(approval.id, safe='')}:withdraw", document)
        return approval_of(read_message(answered, pb.WithdrawApprovalResponse).approval)

    def _full(self, text: str) -> str:
        """The id that begins with a text; pending ones are looked through first, which is what people answer."""
        if len(text) < _LEAST:
            message = f"{quoted(text)} is too short: expected at least {_LEAST} characters of the id of the approval"
            raise CallgateError(message)
        found = [one.id for one in self.every(State.PENDING, None) if one.id.startswith(text)]
        found = found or [one.id for one in self.every(None, None) if one.id.startswith(text)]
        if len(found) == 1:
            return found[0]
        if not found:
            message = f"there is no approval {quoted(text)} at `{self.port.admin}`; `approvals list` prints them"
        else:
            message = f"several ids begin with {quoted(text)}: {', '.join(found[:10])}; give more characters"
        raise CallgateError(message)


def remote_approvals(admin: str) -> RemoteApprovals:
    """The approvals at an address, as the person who has logged in there.

    Raises:
        ConfigError: Nobody has.
    """
    return RemoteApprovals(logged_in(admin))
