"""A crowd at the admin API: open inboxes, and imports and withdrawn approvals in a loop while it is told so.

It reads one line of JSON, prints `open` once every inbox has what waits, and then follows its input: after `import` it
imports until `pause`, and prints one line with what it has done.
"""

from __future__ import annotations

import http.client
import json
import sys
import threading
import time
from collections import Counter
from typing import Any

import grpc
from control.filled import POLICY, SERVER

from callgate._proto.callgate.admin.v1 import approvals_pb2, grants_pb2, policies_pb2

TIMEOUT_SECONDS = 120.0
# Each of them begins with all that waits.
OPEN_SECONDS = 900.0
POLICY_TEXT = 'version: "1"\nname: imported\ndescription: "version %d"\ndefault: deny\n'
_SYNCED, _CHANGED = b'"synced": true', b'data: {"approval"'


class Crowd:
    """The inboxes and the importer of one sidecar."""

    def __init__(self, asked: dict[str, Any]) -> None:
        """Takes what was asked."""
        self._asked = asked
        self._channel = grpc.insecure_channel(asked["grpc"])
        self._metadata = (("authorization", f"Bearer {asked['token']}"),)
        self._paused = threading.Event()
        self._open = threading.Semaphore(0)
        self._done: Counter[str] = Counter()

    def run(self) -> None:
        """Opens the inboxes; then imports from each line `import` until the next line `pause`."""
        count = self._asked["inboxes"]
        for number in range(count):
            inbox = self._events if number % 2 else self._stream
            tokens = self._asked["inbox_tokens"]
            threading.Thread(target=inbox, args=(tokens[number % len(tokens)],), daemon=True).start()
        for _ in range(count):
            if not self._open.acquire(timeout=OPEN_SECONDS):
                sys.exit("an inbox did not open")
        print("open", flush=True)
        while sys.stdin.readline() == "import\n":
            self._done.clear()
            self._paused.clear()
            importer = threading.Thread(target=self._import, daemon=True)
            importer.start()
            if sys.stdin.readline() == "pause\n":
                self._paused.set()
                importer.join(TIMEOUT_SECONDS)
                print(json.dumps({"grants": self._done["grants"], "changes": self._done["changes"]}), flush=True)

    def _stream(self, token: str) -> None:
        """An inbox over gRPC."""
        follow: Any = self._channel.unary_stream(
            "/callgate.admin.v1.ApprovalsService/WatchApprovals",
            approvals_pb2.WatchApprovalsRequest.SerializeToString,
            approvals_pb2.WatchApprovalsResponse.FromString,
        )
        is_open = False
        metadata = (("authorization", f"Bearer {token}"),)
        for message in follow(approvals_pb2.WatchApprovalsRequest(), metadata=metadata):
            if message.synced:
                is_open = True
                self._open.release()
            elif is_open and message.HasField("approval"):
                self._done["changes"] += 1

    def _events(self, token: str) -> None:
        """An inbox as server-sent events."""
        connection = http.client.HTTPConnection(self._asked["http"], timeout=OPEN_SECONDS)
        connection.request("GET", "/admin/v1/approvals:watch", headers={"Authorization": f"Bearer {token}"})
        answer = connection.getresponse()
        is_open = False
        while line := answer.readline():
            if _SYNCED in line:
                is_open = True
                self._open.release()
            elif is_open and _CHANGED in line:
                self._done["changes"] += 1

    def _import(self) -> None:
        """Imports grants and a policy, and withdraws an approval, again and again."""
        name = f"import-{time.time_ns()}"
        turn = 0
        while not self._paused.is_set():
            turn += 1
            batch = grants_pb2.BatchCreateGrantsRequest(reason="import")
            for number in range(self._asked["batch"]):
                batch.requests.add(grant={"id": f"{name}-{turn:05}-{number:04}", "servers": {SERVER: POLICY}})
            self._call("GrantsService/BatchCreateGrants", batch, grants_pb2.BatchCreateGrantsResponse)
            self._done["grants"] += len(batch.requests)
            policy = {"id": "imported", "document": POLICY_TEXT % time.time_ns()}
            changed = policies_pb2.UpdatePolicyRequest(policy=policy, allow_missing=True)
            self._call("PoliciesService/UpdatePolicy", changed, policies_pb2.UpdatePolicyResponse)
            pending = approvals_pb2.ListApprovalsRequest(state=approvals_pb2.Approval.STATE_PENDING, page_size=1)
            listed = self._call("ApprovalsService/ListApprovals", pending, approvals_pb2.ListApprovalsResponse)
            for approval in listed.approvals:
                withdrawn = approvals_pb2.WithdrawApprovalRequest(id=approval.id, reason="no longer wanted")
                self._call("ApprovalsService/WithdrawApproval", withdrawn, approvals_pb2.WithdrawApprovalResponse)

    def _call(self, method: str, request: Any, kind: Any) -> Any:  # noqa: ANN401  messages of protobuf
        ask: Any = self._channel.unary_unary(
            f"/callgate.admin.v1.{method}", type(request).SerializeToString, kind.FromString
        )
        return ask(request, timeout=TIMEOUT_SECONDS, metadata=self._metadata)


if __name__ == "__main__":
    Crowd(json.loads(sys.stdin.readline())).run()
