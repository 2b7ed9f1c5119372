"""Answers at an admin port, with the questions and the words of those at the store."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import typer

from callgate.approvals.documents import approval_document
from callgate.cli import answering
from callgate.cli.remote.approvals import remote_approvals
from callgate.cli.shown import confirm, is_interactive, print_sections
from callgate.errors import CallgateError
from callgate.store.model import State, Verdict

if TYPE_CHECKING:
    from collections.abc import Sequence

    from callgate.cli.remote.approvals import RemoteApprovals
    from callgate.store.model import Approval, PermitOffer


def approve(
    admin: str,
    text: str,
    reason: str,
    permit: tuple[int | None, int | None, Sequence[str]],
    *,
    yes: bool,
    as_json: bool,
) -> None:
    """Approves one call, or makes a permit of these uses, microseconds and terms.

    Raises:
        CallgateError: The person may not give this answer.
    """
    remote = remote_approvals(admin)
    approval, record = remote.get(text)
    uses, duration_us, terms = permit
    offer = None
    if uses is not None and duration_us is not None and approval.state is State.PENDING:
        offer = answering.make_offer(approval, record, uses, duration_us, terms)
    if is_interactive(yes=yes) and approval.state is State.PENDING:
        print_sections(answering.sections_to_answer(approval, record, None), err=as_json)
        question = f"approve this call once: {answering.call_line(approval)}?"
        if offer is not None:
            typer.echo("\n" + "\n".join(answering.offer_lines(offer)), err=as_json)
            question = f"make this permit: {answering.call_line(approval)}?"
        confirm(question, err=as_json)
    answered, permit_id = remote.answer(approval, Verdict.APPROVE, reason, offer)
    if as_json:
        typer.echo(json.dumps({**approval_document(answered), "permit_id": permit_id}))
        return
    _print(remote, answered, offer, permit_id)


def deny(admin: str, texts: Sequence[str], reason: str, *, yes: bool, as_json: bool) -> None:
    """Denies calls.

    Raises:
        CallgateError: One cannot be denied; the others are.
    """
    remote = remote_approvals(admin)
    # All of them are found before the first one is denied.
    approvals = list({one.id: one for one, _ in map(remote.get, texts)}.values())
    if is_interactive(yes=yes):
        for approval in approvals:
            typer.echo(f"{approval.id}  {answering.call_line(approval)}", err=as_json)
        confirm("deny this call?" if len(approvals) == 1 else f"deny these {len(approvals)} calls?", err=as_json)
    denied, faults = list[object](), list[str]()
    for approval in approvals:
        try:
            answered, _ = remote.answer(approval, Verdict.DENY, reason)
        except CallgateError as error:
            faults.append(str(error))
            continue
        denied.append(approval_document(answered))
        if not as_json:
            _print(remote, answered, None, None)
    if as_json:
        typer.echo(json.dumps(denied))
    if faults:
        raise CallgateError("\n".join(faults))


def withdraw(admin: str, text: str, reason: str, *, as_json: bool) -> None:
    """Ends an approval.

    Raises:
        CallgateError: The person may not withdraw it, or it is consumed or has ended.
    """
    remote = remote_approvals(admin)
    approval, _ = remote.get(text)
    ended = remote.withdraw(approval, reason)
    if as_json:
        typer.echo(json.dumps({**approval_document(ended), "permit_id": None}))
        return
    _print(remote, ended, None, None)


def _print(remote: RemoteApprovals, answered: Approval, offer: PermitOffer | None, permit_id: str | None) -> None:
    _, record = remote.get(answered.id)
    # The sidecar gives the permit its id.
    made = offer if offer is None or permit_id is None else replace(offer, permit_id=permit_id)
    for line in answering.result_lines(answered, record, made, None):
        typer.echo(line)
