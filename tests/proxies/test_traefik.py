"""The requests of Traefik's ForwardAuth, as `deploy/traefik` configures it, and its use of the answers.

Traefik is in no package, so this is a client that asks as it does: `GET` with the client's header fields, those of the
connection and `X-Forwarded-*` of its own set anew, and the whole body (`forwardBody`). A status of 2xx lets the request
go on with the header fields that match `authResponseHeadersRegex`; every other answer is the client's: status, fields
and body.
"""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from support.planes import wait_until
from support.proxies.envoy import Answer
from support.proxies.forward import DEPLOY, PEP_TOKEN, asked
from support.proxies.people import RULE, add_approver, approval_in, approve
from support.proxies.upstream import call, send_raw
from support.proxies.ways import ASKS, KEYS

Headers = list[tuple[str, bytes]]

DYNAMIC = yaml.safe_load((DEPLOY / "traefik" / "dynamic.yaml").read_text())["http"]
FORWARD_AUTH = DYNAMIC["middlewares"]["callgate"]["forwardAuth"]
OF_THE_CONNECTION = {"connection", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade", "content-length"}
FORWARDED = {"x-forwarded-method", "x-forwarded-proto", "x-forwarded-host", "x-forwarded-port", "x-forwarded-uri"}
CLIENT: Headers = [("authorization", b"Bearer cgt_alice"), ("content-type", b"application/json")]


def through_middlewares(address: str, headers: Headers, body: bytes, method: str = "POST") -> tuple[Answer, Headers]:
    """The answer of the forward authorization, and what goes on where that is 2xx."""
    names = DYNAMIC["routers"]["mcp"]["middlewares"]
    before, asking, after, _ = (DYNAMIC["middlewares"][name] for name in names)
    headers = customised(headers, before["headers"]["customRequestHeaders"])
    answer = asked_by_traefik(address, headers, body, method)
    if answer.status not in range(200, 300):
        return answer, []
    pattern = re.compile(asking["forwardAuth"]["authResponseHeadersRegex"], re.IGNORECASE)
    headers = [(name, value) for name, value in headers if not pattern.search(name)]
    headers += [(name, value.encode()) for name, value in answer.headers.items() if pattern.search(name)]
    return answer, customised(headers, after["headers"]["customRequestHeaders"])


def customised(headers: Headers, custom: dict[str, str]) -> Headers:
    """An empty value takes a header away."""
    names = {name.lower() for name in custom}
    kept = [(name, value) for name, value in headers if name.lower() not in names]
    given = {name: value.replace("cgt_...", PEP_TOKEN) for name, value in custom.items()}
    return kept + [(name, value.encode()) for name, value in given.items() if value]


def asked_by_traefik(address: str, headers: Headers, body: bytes, method: str) -> Answer:
    kept = [(name, value) for name, value in headers if name.lower() not in OF_THE_CONNECTION | FORWARDED]
    described = {
        "X-Forwarded-Method": method,
        "X-Forwarded-Proto": "http",
        "X-Forwarded-Host": "mcp.example.com",
        "X-Forwarded-Port": "80",
        "X-Forwarded-Uri": "/mcp/aws",
        "X-Forwarded-For": "127.0.0.1",
    }
    own = [(name, value.encode()) for name, value in described.items()]
    path = "/" + FORWARD_AUTH["address"].split("/", 3)[3]
    assert FORWARD_AUTH["forwardBody"] is True
    assert FORWARD_AUTH["trustForwardHeader"] is False
    return send_raw(address, "GET", path, kept + own, body)


def test_the_server_s_name_is_taken_off_last() -> None:
    last = DYNAMIC["middlewares"][DYNAMIC["routers"]["mcp"]["middlewares"][-1]]["replacePathRegex"]
    for path, expected in (("/mcp/aws", "/mcp"), ("/mcp", "/mcp"), ("/mcp/a/b", "/mcp/a/b")):
        assert re.sub(last["regex"], last["replacement"], path) == expected


def test_what_goes_on_and_what_does_not(tmp_path: Path) -> None:
    with asked(tmp_path) as running:
        forged: Headers = [
            ("X-Callgate-Rule", b"forged"),
            ("X_callgate_outcome", b"forged"),
            ("X.callgate.shadow", b"forged"),
            ("Upgrade", b"websocket"),
            ("X-Forwarded-Method", b"GET"),
            ("X-Original-Method", b"GET"),
        ]
        answer, onward = through_middlewares(running.address, CLIENT + forged, call("open"))
        assert answer.status == 200
        sent = {name.lower(): value for name, value in onward}
        assert sent["x-callgate-outcome"] == b"allow"
        gone = {
            "x-callgate-rule",
            "x_callgate_outcome",
            "x.callgate.shadow",
            "x-callgate-pep",
            "authorization",
            "upgrade",
        }
        assert not gone & set(sent)

        denied, onward = through_middlewares(running.address, CLIENT, call("small", n=11))
        assert (denied.status, denied.body["id"], onward) == (403, 7, [])
        assert denied.body["result"]["content"][0]["text"] == "too many"
        statuses = [through_middlewares(running.address, CLIENT, call("capped"))[0].status for _ in range(3)]
        assert statuses == [200, 200, 429]
        capped, _ = through_middlewares(running.address, CLIENT, call("capped"))
        assert int(capped.headers["retry-after"]) > 0
        assert "try again in" in capped.body["result"]["content"][0]["text"]

        stranger: Headers = [("authorization", b"Bearer cgt_nobody")]
        assert through_middlewares(running.address, stranger, call("open"))[0].status == 403
        assert through_middlewares(running.address, CLIENT, b"", "GET")[0].status == 200
        assert through_middlewares(running.address, CLIENT, b"{")[0].status == 403
        # An alias is no field of Traefik's: it passes on what the client sent.
        alias: Headers = [("X_Forwarded_Method", b"GET")]
        assert through_middlewares(running.address, CLIENT + alias, call("open"))[0].status == 403
        # Without its own field the proxy is nobody.
        assert asked_by_traefik(running.address, CLIENT, call("open"), "POST").status == 403


def test_a_person_admits_one_call(tmp_path: Path) -> None:
    add_approver(tmp_path / "state")
    with asked(tmp_path, ASKS, keys=KEYS) as running:

        def approval() -> str:
            answer, onward = through_middlewares(running.address, CLIENT, call("risky", n=1))
            assert (answer.status, answer.headers["x-callgate-outcome"], onward) == (403, "approval_required", [])
            result = answer.body["result"]
            return approval_in(result["content"][0]["text"], result["_meta"]["callgate/decision"])

        wait_until(
            lambda: (
                through_middlewares(running.address, CLIENT, call("risky", n=1))[0].headers["x-callgate-rule"] == RULE
            )
        )
        first = approval()
        approve(tmp_path / "state", first)
        assert through_middlewares(running.address, CLIENT, call("risky", n=1))[0].status == 200
        assert approval() != first
