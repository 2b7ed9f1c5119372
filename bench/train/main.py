"""Puts the installed callgate to the work that its users have, for a build that is optimised by a profile of it.

maturin runs this between the two builds of `maturin build --pgo`, with an instrumented callgate installed; what the
processes record goes to the folder of `LLVM_PROFILE_FILE`. The work is a mix of what callgate is asked: decisions in a
process, over gRPC one by one, in batches and streams, for proxies, and through the gateway; allowed, denied, limited.
It is not the work of the benches.

With `TRAINED=FILE` the merged profile is kept there as well, for other builds of the same tree.
"""

from __future__ import annotations

import http.client
import http.server
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import grpc
from common import programs
from train.documents import GRANTS, POLICY, RATE_LIMITS, any_token, arguments, token, tool
from train.envoy import AUTHORIZATION, RATE_LIMIT, authorization_question, limit_question

import callgate
from callgate._callgate import hash_token

SECONDS = "2s"
DECISIONS, CALLS, QUESTIONS, AT_ONCE = 40_000, 4_000, 6_000, 32


def in_process() -> None:
    """Decides in this process, with arguments as bytes and as Python values."""
    engine = callgate.Engine.from_dict(POLICY)
    chance = random.Random(1)
    for number in range(DECISIONS):
        given = arguments(chance)
        args = given if number % 4 == 0 else json.dumps(given).encode()
        grant, session = f"grant-{chance.randrange(3_000)}", f"s{chance.randrange(4)}"
        engine.check(grant=grant, tool=tool(chance), args=args, session=session, reserve=number % 8 == 0)


class Upstream(http.server.BaseHTTPRequestHandler):
    """An MCP server that answers every call alike."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        """Answers a message."""
        message = json.loads(self.rfile.read(int(self.headers["content-length"])))
        result = {"content": [{"type": "text", "text": "done " * 40}], "isError": False}
        body = json.dumps({"jsonrpc": "2.0", "id": message.get("id"), "result": result}).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Says nothing."""


def settings(folder: Path, upstream: int) -> dict[str, object]:
    """The configuration of a sidecar with everything that is asked here."""
    key = bytes(range(32))
    (folder / "grant.key").write_text(key.hex(), encoding="ascii")
    (folder / "grant.key").chmod(0o600)
    for name, document in (("policy", POLICY), ("limits", RATE_LIMITS)):
        (folder / f"{name}.json").write_text(json.dumps(document), encoding="utf-8")
    return {
        "servers": {"srv": {"policy": "trained", "upstream": {"url": f"http://127.0.0.1:{upstream}/mcp"}}},
        "policies": {"trained": str(folder / "policy.json")},
        "rate_limits": [str(folder / "limits.json")],
        "grants": [
            {"id": f"g{n}", "server": "srv", "policy": "trained", "token_hash": hash_token(key, token(n))}
            for n in range(GRANTS)
        ],
        "grant_key_file": str(folder / "grant.key"),
        "proxies": {"server": ["path"], "paths": ["/mcp/{server}"]},
    }


def over_grpc(address: str, folder: Path) -> None:
    """Decisions by each method, over TCP and the Unix socket."""
    chance = random.Random(2)
    lines = folder / "calls.jsonl"
    with lines.open("w", encoding="utf-8") as out:
        for _ in range(2_000):
            call = {"grant_token": any_token(chance), "tool": tool(chance), "args": arguments(chance)}
            out.write(json.dumps(call) + "\n")
    for target in (address, f"unix:{folder / 'callgate.sock'}"):
        for method in ("check", "check", "batch", "stream"):
            options = ["--calls", str(lines), "--method", method, "--duration", SECONDS, "--threads", "1"]
            command = [sys.executable, "-m", "callgate", "bench", *options, target]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def through_the_gateway(address: str) -> None:
    """Calls of tools as MCP clients send them."""
    chance = random.Random(3)
    host, _, port = address.partition(":")
    connections = [http.client.HTTPConnection(host, int(port), timeout=programs.START_SECONDS) for _ in range(4)]
    for number in range(CALLS):
        message = {
            "jsonrpc": "2.0",
            "id": number,
            "method": "tools/call",
            "params": {"name": tool(chance), "arguments": arguments(chance)},
        }
        headers = {
            "authorization": f"Bearer {any_token(chance)}",
            "content-type": "application/json",
            "accept": "application/json, text/event-stream",
            "mcp-protocol-version": "2025-11-25",
        }
        connection = connections[number % len(connections)]
        connection.request("POST", "/mcp/srv", json.dumps(message), headers)
        answer = connection.getresponse()
        # A denial is the result of a tool: anything else trains for faults.
        if answer.status != http.HTTPStatus.OK:
            sys.exit(f"train: the gateway answered {answer.status}: {answer.read()!r}")
        answer.read()


def for_proxies(address: str) -> None:
    """Questions of Envoy: rate limits and external authorization."""
    chance = random.Random(4)
    with grpc.insecure_channel(address) as channel:
        for path, question in ((RATE_LIMIT, limit_question), (AUTHORIZATION, authorization_question)):
            ask = channel.unary_unary(path, request_serializer=bytes, response_deserializer=bytes)
            for _ in range(QUESTIONS // AT_ONCE):
                for answer in [ask.future(question(chance)) for _ in range(AT_ONCE)]:
                    answer.result()


def trained() -> None:
    """Does all of it."""
    subprocess.run([sys.executable, "-m", "train.main", "in-process"], check=True)
    upstream = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Upstream)
    threading.Thread(target=upstream.serve_forever, daemon=True).start()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        asked = settings(folder, upstream.server_address[1])
        # It is ended by a signal that it obeys: only then its profile is written.
        with programs.sidecar(asked, folder, socket_path=folder / "callgate.sock", core=None) as running:
            over_grpc(running.address, folder)
            through_the_gateway(running.address)
            for_proxies(running.address)
    upstream.shutdown()


def keep(kept: Path) -> None:
    """Merges what was recorded into a profile of its own."""
    recorded = Path(os.environ["LLVM_PROFILE_FILE"]).parent
    kept.parent.mkdir(parents=True, exist_ok=True)
    raw = [str(path) for path in recorded.glob("*.profraw")]
    subprocess.run([profdata(), "merge", "--output", str(kept), *raw], check=True)


def profdata() -> str:
    """The `llvm-profdata` of the compiler in use."""
    told = subprocess.run(["rustc", "--print", "target-libdir"], capture_output=True, text=True, check=True)
    found = Path(told.stdout.strip()).parent / "bin" / "llvm-profdata"
    return str(found) if found.exists() else shutil.which("llvm-profdata") or "llvm-profdata"


def main() -> None:
    """Trains; with `in-process`, does the part of one process."""
    if sys.argv[1:] == ["in-process"]:
        in_process()
        return
    trained()
    if kept := os.environ.get("TRAINED"):
        keep(Path(kept))


if __name__ == "__main__":
    main()
