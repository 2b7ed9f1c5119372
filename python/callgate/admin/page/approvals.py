"""The pages on which people see approvals and answer them."""

from __future__ import annotations

from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

from starlette.responses import RedirectResponse, Response

from callgate.admin.http.errors import RequestError, request_error
from callgate.admin.http.forms import form_token
from callgate.admin.http.paths import PASSKEY_SCRIPT
from callgate.admin.http.work import in_thread
from callgate.admin.page.guard import ANSWER, READ, Guard
from callgate.admin.page.notice_link import PARAMETER, check_link
from callgate.admin.page.permit_form import permit_form, read_offer
from callgate.admin.page.script import with_script
from callgate.admin.page.templates import page
from callgate.approvals.sections import seen
from callgate.approvals.shown import approval_sections, open_line, state_line
from callgate.approvals.times import brief
from callgate.errors import CallgateError
from callgate.identity.answering import answer, refusal
from callgate.identity.secret_text import new_id
from callgate.store.model import PermitOffer, State, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request
    from starlette.routing import BaseRoute

    from callgate.admin.http.callers import Caller, Callers
    from callgate.admin.page.passkeys import PasskeyPages
    from callgate.store.approvals.recorded import Recorded
    from callgate.store.model import Approval, Person
    from callgate.store.pages import Page
    from callgate.store.store import Store

_ROWS: Final = 100
_LONGEST_REASON: Final = 1_000
_KINDS: Final = ("approve", "permit")
"""The answers that may take a passkey."""


class ApprovalPages:
    """The list of approvals, and a page for each."""

    def __init__(
        self,
        store: Store,
        callers: Callers,
        clock_us: Callable[[], int],
        owner_of: Callable[[str], Person | None] = lambda _: None,
        passkeys: PasskeyPages | None = None,
    ) -> None:
        """Takes an open store, the senders of requests, the clock, the present owner of a grant, and passkeys."""
        self._store = store
        self._callers = callers
        self._clock_us = clock_us
        self._owner_of = owner_of
        self._passkeys = passkeys

    def routes(self) -> list[BaseRoute]:
        """The routes of these pages."""
        guard = Guard(self._callers)
        challenges = [
            guard.post(f"/approvals/{{id}}/challenge/{kind}", ANSWER, partial(self._challenge, kind))
            for kind in (() if self._passkeys is None else _KINDS)
        ]
        return [
            *challenges,
            guard.get("/approvals", READ, self._list),
            guard.get("/approvals/{id}", READ, self._show),
            guard.post("/approvals/{id}/approve", ANSWER, partial(self._answer, Verdict.APPROVE)),
            guard.post("/approvals/{id}/deny", ANSWER, partial(self._answer, Verdict.DENY)),
            guard.post("/approvals/{id}/permit", ANSWER, partial(self._answer, Verdict.APPROVE, makes_permit=True)),
        ]

    async def _list(self, request: Request, caller: Caller) -> Response:
        is_pending = request.query_params.get("state") != "all"
        token = request.query_params.get("page")
        state = State.PENDING if is_pending else None
        now_us = self._clock_us()
        listed: Page[Approval] = await in_thread(
            lambda: self._store.approvals.page(now_us, state=state, size=_ROWS, token=token)
        )
        rows = [_row(one, now_us) for one in listed.items if not is_pending or one.state is State.PENDING]
        query = {} if is_pending else {"state": "all"}
        older = None if listed.next_token is None else f"/approvals?{urlencode({**query, 'page': listed.next_token})}"
        views = [("Waiting", "/approvals"), ("All", "/approvals?state=all")]
        return page(
            "approvals.html",
            HTTPStatus.OK,
            **self._of(caller),
            rows=rows,
            older=older,
            is_pending=is_pending,
            views=[(name, None if (link == "/approvals") == is_pending else link) for name, link in views],
        )

    async def _show(self, request: Request, caller: Caller) -> Response:
        notice = request.query_params.get(PARAMETER)
        if notice is not None:
            approval_id, now_us = request.path_params["id"], self._clock_us()
            await in_thread(lambda: check_link(self._store, notice, approval_id, caller.principal, now_us))
        return await self._shown(request, caller, HTTPStatus.OK, "")

    async def _answer(
        self, verdict: Verdict, request: Request, caller: Caller, fields: dict[str, str], *, makes_permit: bool = False
    ) -> Response:
        approval_id = request.path_params["id"]

        def write() -> None:
            now_us = self._clock_us()
            approval = self._store.approvals.get(approval_id, now_us)
            passkey = None
            if approval.takes_passkey and verdict is Verdict.APPROVE and self._passkeys is not None:
                kind = "permit" if makes_permit else "approve"
                passkey = self._passkeys.verify(caller, approval_id, kind, fields)
            answer(
                self._store,
                caller.principal,
                approval,
                verdict,
                source=caller.source,
                reason=fields.get("reason", "").strip()[:_LONGEST_REASON],
                owner=self._owner_of(approval.call.grant),
                now_us=now_us,
                permit=self._offer(approval_id, fields) if makes_permit else None,
                passkey=passkey,
            )

        try:
            await in_thread(write)
        except CallgateError as error:
            refused = request_error(error)
            if refused.status is HTTPStatus.NOT_FOUND:
                raise
            return await self._shown(request, caller, refused.status, seen(error))
        return RedirectResponse(f"/approvals/{approval_id}", HTTPStatus.SEE_OTHER)

    async def _challenge(self, kind: str, request: Request, caller: Caller, fields: dict[str, str]) -> Response:
        """The options with which a browser asks a passkey for an answer."""
        if self._passkeys is None:
            raise RequestError(HTTPStatus.NOT_FOUND, "approvals take no passkeys here")
        return await self._passkeys.challenge(caller, request.path_params["id"], kind, fields)

    def _of(self, caller: Caller) -> dict[str, Any]:
        """The head of a page: who is logged in, the token for their forms, and a link to their passkeys, if any."""
        return {
            "caller": seen(caller.principal.title),
            "token": form_token(caller.session or ""),
            "has_passkeys": self._passkeys is not None,
        }

    def _offer(self, approval_id: str, fields: dict[str, str]) -> PermitOffer:
        record = self._store.approvals.record(approval_id)
        terms, uses, duration_us = read_offer(record, fields)
        return PermitOffer(new_id(), terms, uses, duration_us)

    async def _shown(self, request: Request, caller: Caller, status: HTTPStatus, error: str) -> Response:
        approval_id = request.path_params["id"]
        now_us = self._clock_us()

        def read() -> tuple[Approval, Recorded, Person | None, str]:
            approval = self._store.approvals.get(approval_id, now_us)
            # The owner may be in the store too, which may hang: probes are answered meanwhile.
            owner = self._owner_of(approval.call.grant)
            return approval, self._store.approvals.record(approval_id), owner, self._lack(request, caller, approval)

        approval, record, owner, lack = await in_thread(read)
        refused = refusal(caller.principal, approval, owner)
        is_pending = approval.state is State.PENDING
        shown = page(
            "approval.html",
            status,
            **self._of(caller),
            id=approval.id,
            tool=seen(approval.call.tool),
            state=state_line(approval, now_us),
            sections=approval_sections(approval, record, now_us, owner),
            error=error,
            refusal=_sentence(refused) if is_pending and refused is not None else "",
            may_answer=is_pending and refused is None,
            is_reason_required=any(need.reason_required for need in approval.needs),
            permit=permit_form(approval, record),
            takes_passkey=approval.takes_passkey,
            lack=lack,
            script=PASSKEY_SCRIPT,
        )
        return with_script(shown) if approval.takes_passkey and self._passkeys is not None else shown

    def _lack(self, request: Request, caller: Caller, approval: Approval) -> str:
        """The reason for which this browser cannot ask a passkey for the answer; empty if it can, or needs none."""
        if not approval.takes_passkey:
            return ""
        if self._passkeys is None:
            return "Approving takes a passkey, and the configuration has none any more; withdraw it to ask anew."
        if not self._passkeys.is_here(request):
            return f"Approving takes a passkey, which is for another name of this page: {self._passkeys.public_url}"
        if not self._passkeys.has_passkey(caller):
            return "Approving takes a passkey, and you have registered none."
        return ""


def _row(approval: Approval, now_us: int) -> dict[str, str]:
    call = approval.call
    return {
        "id": approval.id,
        "tool": seen(call.tool),
        "server": seen(call.server),
        "grant": seen(call.grant),
        "asked": f"{brief(now_us - approval.created_us)} ago",
        "state": approval.state.value,
        "waits": open_line(approval),
    }


def _sentence(text: str) -> str:
    return seen(f"{text[:1].upper()}{text[1:]}.")
