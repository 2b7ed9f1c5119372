"""`calls.py HOST:PORT FOLDER TOKEN`: proxies that ask all the time until SIGTERM, over mutual TLS.

FOLDER has `ca.crt`, `tls.crt` and `tls.key`. One thread keeps a connection of gRPC, another makes a connection of HTTP
for each call. Prints `asking` once both have an answer. At its end it prints as JSON what did not go well, and the
calls of each thread and of the limited tool that were allowed and refused.
"""

import http.client
import json
import signal
import ssl
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import grpc

from callgate import Client

target, folder, token = sys.argv[1], Path(sys.argv[2]), sys.argv[3]
TIMEOUT_S = 20.0
stopped = threading.Event()
asking = threading.Barrier(3)
allowed: Counter[str] = Counter()
refused: Counter[str] = Counter()
faults: list[str] = []


def note(kind: str, tool: str, outcome: str, reason: str) -> None:
    """Counts an answer; the tool without a limit is always allowed."""
    if outcome == "allow":
        allowed[tool if tool == "create-ami" else kind] += 1
    elif tool == "create-ami" and (outcome == "rate_limited" or "(counter store unavailable)" in reason):
        # Also on a machine so busy that Redis does not answer within the budget of a call: that is an answer.
        refused[tool] += 1
    else:
        faults.append(f"{kind} {tool}: {outcome} {reason}")


def ask_grpc() -> None:
    """Asks over one channel, which connects anew when its connection ends."""
    pair = ((folder / "tls.key").read_bytes(), (folder / "tls.crt").read_bytes())
    credentials = grpc.ssl_channel_credentials((folder / "ca.crt").read_bytes(), *pair)
    with Client(target, credentials=credentials, timeout_ms=int(TIMEOUT_S * 1000)) as client:
        for number in rounds():
            tool = "describe_images" if number % 8 else "create-ami"
            decision = client.check(grant_token=token, server="srv", tool=tool)
            note("grpc", tool, decision.outcome, f"{decision.rule} {decision.message}")


def ask_http() -> None:
    """Asks over a new connection for each call."""
    context = ssl.create_default_context(cafile=str(folder / "ca.crt"))
    context.load_cert_chain(folder / "tls.crt", folder / "tls.key")
    body = json.dumps({"grant_token": token, "server": "srv", "tool": "describe_images"})
    for _ in rounds():
        connection = http.client.HTTPSConnection(target, timeout=TIMEOUT_S, context=context)
        try:
            connection.request("POST", "/v1/check", body, {"content-type": "application/json"})
            answer = json.loads(connection.getresponse().read())
            note("http", "describe_images", answer["outcome"], answer.get("rule", ""))
        except (OSError, http.client.HTTPException, ValueError) as error:
            faults.append(f"http: {error!r}")
        finally:
            connection.close()


def rounds() -> Iterator[int]:
    """Numbers of calls until SIGTERM; the first one is made before the others may begin."""
    number = 1
    while not stopped.is_set():
        yield number
        if number == 1:
            asking.wait(TIMEOUT_S)
        number += 1
        # The machine has other work as well.
        stopped.wait(0.002)


signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
threads = [threading.Thread(target=work, daemon=True) for work in (ask_grpc, ask_http)]
for thread in threads:
    thread.start()
asking.wait(TIMEOUT_S)
sys.stdout.write("asking\n")
sys.stdout.flush()
signal.sigwait([signal.SIGTERM])
stopped.set()
for thread in threads:
    thread.join(TIMEOUT_S)
    if thread.is_alive():
        faults.append("a call has no end")
sys.stdout.write(json.dumps({"faults": faults, "allowed": allowed, "refused": refused}))
