"""The stream of approvals."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Final

import grpc

from callgate._proto.callgate.admin.v1 import approvals_pb2 as pb
from callgate.admin.approvals.messages import approval_message
from callgate.admin.calls.errors import AdminError, invalid
from callgate.store.changes import Kind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from callgate.admin.approvals.feed import ApprovalFeed
    from callgate.admin.calls.call import Call
    from callgate.admin.news import News
    from callgate.store.store import Store

BEAT_S: Final = 15.0
"""Longest silence of a stream."""

_LOOK_S: Final = 0.5
"""Longest time after which an ended stream is noticed."""

_PAUSE_S: Final = 0.1
"""Shortest time between two reads of changes."""

_TOKEN: Final = re.compile(r"[0-9]{1,18}")


def watch(
    store: Store, news: News, feed: ApprovalFeed, request: pb.WatchApprovalsRequest, call: Call
) -> Iterator[pb.WatchApprovalsResponse]:
    """The approvals that are pending, then each one that changes, until the call ends.

    Raises:
        AdminError: The stream cannot begin where the request says.
        StoreError: The store does not answer.
    """
    kind = Kind.APPROVALS.value
    # Before the store is read, so that what changes meanwhile is read again.
    told = news.count(kind)
    if request.resume_token:
        seen = _resumed(request.resume_token, store.last_changes()[Kind.APPROVALS])
    else:
        beginning = feed.beginning(request.grant)
        seen = beginning.change
        for message in beginning:
            if call.ended.is_set():
                return
            yield pb.WatchApprovalsResponse(approval=message)
        del beginning
    yield pb.WatchApprovalsResponse(synced=True, resume_token=str(seen))
    last_s = time.monotonic()
    while not call.ended.is_set():
        changed = feed.after(seen)
        for approval in changed:
            if request.grant in {"", approval.call.grant}:
                message = approval_message(approval)
                yield pb.WatchApprovalsResponse(approval=message, resume_token=str(approval.change))
                last_s = time.monotonic()
        if changed:
            seen = changed[-1].change
            # Many changes at once are few looks, or a hundred streams would keep the processors from decisions.
            call.ended.wait(_PAUSE_S)
            continue
        if time.monotonic() >= last_s + BEAT_S:
            yield pb.WatchApprovalsResponse(resume_token=str(seen))
            last_s = time.monotonic()
        told = news.wait(kind, told, min(_LOOK_S, BEAT_S))


def _resumed(token: str, last: int) -> int:
    if not _TOKEN.fullmatch(token):
        raise invalid("resume_token", "expected the token of a message of an earlier stream, or nothing")
    seen = int(token)
    if seen > last:
        # Of another store, or from before a restore.
        message = "`resume_token`: the store does not know this place any more; begin without one"
        raise AdminError(grpc.StatusCode.OUT_OF_RANGE, message, reason="RESUME_TOKEN")
    return seen
