"""Clients in a browser: what pages of other origins may do at the gateway (CORS)."""

from __future__ import annotations

import json
from contextlib import ExitStack, contextmanager
from pathlib import Path
from queue import Queue
from typing import TYPE_CHECKING, Any

import httpx

from support.chromium import chromium
from support.gateway.running import bearer, gateway
from support.http_server import Handler, serving
from support.proxies.envoy import PATIENCE_S
from support.proxies.mcp import mcp_server

if TYPE_CHECKING:
    from collections.abc import Iterator

PAGE = "http://localhost:6274"
PREFLIGHT = {
    "access-control-request-method": "POST",
    "access-control-request-headers": "authorization,content-type,mcp-param-region,mcp-protocol-version,x-other",
}
CLIENT = """<!doctype html><script type="module">
const said = new URLSearchParams(location.search)
const url = said.get('url')
const common = {
  'content-type': 'application/json',
  accept: 'application/json, text/event-stream',
  'mcp-protocol-version': '2025-11-25',
  'mcp-param-region': 'eu',
}
const seen = {}
const post = (message, headers) => {
  const body = JSON.stringify({ jsonrpc: '2.0', ...message })
  return fetch(url, { method: 'POST', headers: { ...common, ...headers }, body })
}
try {
  const clientInfo = { name: 'page', version: '1' }
  const params = { protocolVersion: '2025-11-25', capabilities: {}, clientInfo }
  const nobody = await post({ id: 0, method: 'initialize', params }, {})
  seen.nobody = [nobody.status, (nobody.headers.get('www-authenticate') ?? '').includes('resource_metadata')]
  const known = { authorization: 'Bearer ' + said.get('token') }
  const begun = await post({ id: 1, method: 'initialize', params }, known)
  seen.begun = begun.status
  known['mcp-session-id'] = begun.headers.get('mcp-session-id')
  await begun.text()
  await post({ method: 'notifications/initialized' }, known)
  const listed = await (await post({ id: 2, method: 'tools/list' }, known)).text()
  seen.tools = [...listed.matchAll(/"name":"(\\w+)"/g)].map((found) => found[1]).sort()
  seen.ended = (await fetch(url, { method: 'DELETE', headers: known })).status
} catch (error) {
  seen.blocked = error.name
}
await fetch('/seen', { method: 'POST', body: JSON.stringify(seen) })
</script>"""


def test_a_page_of_an_allowed_origin_is_a_client_and_no_other(tmp_path: Path) -> None:
    with ExitStack() as stack:
        pages = [stack.enter_context(page()) for _ in range(2)]
        (allowed, _), _ = pages
        port = stack.enter_context(mcp_server("/mcp", stateless=False))
        running = stack.enter_context(
            gateway(
                tmp_path,
                {"tools": f"http://127.0.0.1:{port}/mcp"},
                grants={"alice": "tools"},
                gateway={"allowed_origins": [f"http://127.0.0.1:{allowed}"]},
            )
        )
        query = httpx.QueryParams({"url": running.url("tools"), "token": "cgt_alice"})
        seen = [browsed(f"http://127.0.0.1:{at}/?{query}", reports, tmp_path / str(at)) for at, reports in pages]
    assert seen == [
        {"nobody": [401, True], "begun": 200, "tools": ["capped", "open", "small"], "ended": 200},
        {"blocked": "TypeError"},
    ]


def test_what_browsers_are_told(tmp_path: Path) -> None:
    servers = {"tools": "http://127.0.0.1:9/mcp"}
    with gateway(tmp_path, servers, grants={"alice": "tools"}, gateway={"allowed_origins": [PAGE]}) as running:
        url = running.url("tools")
        metadata = f"http://{running.address}/.well-known/oauth-protected-resource/mcp/tools"
        for asked in (url, metadata):
            leave = httpx.options(asked, headers={"origin": PAGE, **PREFLIGHT})
            assert leave.status_code == 204
            assert leave.headers["access-control-allow-origin"] == PAGE
            assert leave.headers["access-control-allow-methods"] == "POST, GET, DELETE"
            sent = leave.headers["access-control-allow-headers"]
            assert sent == "authorization, content-type, mcp-param-region, mcp-protocol-version"
            assert "access-control-allow-credentials" not in leave.headers
        # Before anybody has proven anything, and with whatever status.
        answers = [
            httpx.post(url, json={}, headers={"origin": PAGE}),
            httpx.post(running.url("none"), json={}, headers={"origin": PAGE, **bearer("alice")}),
            httpx.get(metadata, headers={"origin": PAGE}),
        ]
        assert [answer.status_code for answer in answers] == [401, 404, 200]
        for answer in answers:
            assert answer.headers["access-control-allow-origin"] == PAGE
            assert answer.headers["vary"] == "Origin"
            assert {"mcp-session-id", "www-authenticate"} <= exposed(answer)

        for origin, status in (("http://localhost:6275", 405), ("https://evil.example", 403), ("null", 403)):
            leave = httpx.options(url, headers={"origin": origin, **PREFLIGHT})
            assert leave.status_code == status
            answer = httpx.post(url, json={}, headers={"origin": origin, **bearer("alice")})
            for one in (leave, answer):
                assert not [name for name in one.headers if name.startswith("access-control-")], origin
        rebound = httpx.options(url, headers={"origin": PAGE, "host": "evil.example", **PREFLIGHT})
        assert rebound.status_code == 403
        # The other doors have no pages.
        elsewhere = httpx.options(f"http://{running.address}/v1/check", headers={"origin": PAGE, **PREFLIGHT})
        assert elsewhere.status_code == 405
        assert "access-control-allow-origin" not in elsewhere.headers


def test_no_page_is_allowed_by_default_and_no_server_allows_one(tmp_path: Path) -> None:
    with serving(Generous) as port, gateway(tmp_path, {"s": f"http://127.0.0.1:{port}/mcp"}) as running:
        url = running.url("s")
        leave = httpx.options(url, headers={"origin": PAGE, **PREFLIGHT})
        assert leave.status_code == 405
        answer = httpx.post(url, json={"jsonrpc": "2.0", "id": 1, "method": "ping"}, headers={"origin": PAGE})
        assert answer.json()["result"] == {}
        for one in (leave, answer):
            assert not [name for name in one.headers if name.startswith("access-control-")]


def test_a_page_of_another_site_may_be_allowed(tmp_path: Path) -> None:
    site = "https://app.example.com"
    with (
        serving(Generous) as port,
        gateway(
            tmp_path, {"s": f"http://127.0.0.1:{port}/mcp"}, gateway={"allowed_origins": [f"{site}:443"]}
        ) as running,
    ):
        answer = httpx.post(
            running.url("s"), json={"jsonrpc": "2.0", "id": 1, "method": "ping"}, headers={"origin": site}
        )
        assert (answer.json()["result"], answer.headers["access-control-allow-origin"]) == ({}, site)
        check = httpx.post(f"http://{running.address}/v1/check", json={}, headers={"origin": site})
        assert check.status_code == 403


def exposed(answer: httpx.Response) -> set[str]:
    """The fields that a script may read."""
    return {name.strip().lower() for name in answer.headers["access-control-expose-headers"].split(",")}


class Generous(Handler):
    """A server that lets every page read its replies."""

    def do_POST(self) -> None:
        """Answers a ping."""
        self.rfile.read(int(self.headers["content-length"]))
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "result": {}}).encode()
        self.send_response(200)
        for name in ("origin", "headers", "methods"):
            self.send_header(f"access-control-allow-{name}", "*")
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@contextmanager
def page() -> Iterator[tuple[int, Queue[dict[str, Any]]]]:
    """An origin of its own whose page is a client of MCP: its port, and what the page reports."""
    reports: Queue[dict[str, Any]] = Queue()

    class Page(Handler):
        def do_GET(self) -> None:
            self.answer(200, "text/html", CLIENT)

        def do_POST(self) -> None:
            reports.put(json.loads(self.rfile.read(int(self.headers["content-length"]))))
            self.answer(200, "text/plain", "")

    with serving(Page) as port:
        yield port, reports


def browsed(url: str, reports: Queue[dict[str, Any]], profile: Path) -> dict[str, Any]:
    """The report of a page that a real browser has opened."""
    with chromium(profile) as browser:
        browser.go(url)
        return reports.get(timeout=PATIENCE_S)
