"""The rendered shapes `sidecar` and `gateway` at work, with a real MCP server behind them."""

from __future__ import annotations

import asyncio
import http.client
import json
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from support.kubernetes import chart
from support.kubernetes.network import NODE_IP, PATIENCE_S, Network, cluster_network
from support.kubernetes.pod import Pod, running_pod, stopped_pod
from support.kubernetes.service import Streams, running_service
from support.kubernetes.world import SERVER_PORT, mcp_server, run_helm_test, told, until
from support.postgres import Postgres, running_postgres

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.kubernetes.grant import Grant

HOSTS = f"127.0.0.1 localhost\n{NODE_IP} postgresql\n{NODE_IP} mcp-server\n"


def test_an_agent_reaches_its_server_through_its_sidecars(grant: Grant) -> None:
    """Also what the component for kustomize adds: tests/helm/test_chart_objects.py holds the two equal."""
    with running_pod(grant.secrets, chart.pod("sidecar"), chart.maps("sidecar")) as pod, mcp_server(pod.network):
        assert pod.is_ready("callgate")
        assert pod.is_ready("envoy")
        assert told(pod, grant.token, "describe_images") == (200, "x-callgate-outcome: allow")
        assert told(pod, grant.token, "drop_table", name="users")[1] == "ask the data team"
        status, message = told(pod, grant.token.swapcase(), "describe_images")
        assert "that of no grant of this server" in message, (status, message)
        # Sidecars in the reverse order of their start.
        for name in ("envoy", "callgate"):
            pod.containers[name].terminate()
            assert pod.containers[name].wait() == 0, pod.containers[name].log


@contextmanager
def gateway(grant: Grant, postgres: Postgres, database: str) -> Iterator[tuple[Network, Pod]]:
    """The node's network, and a ready pod of the gateway with its PostgreSQL and its MCP server."""
    with cluster_network() as cluster, mcp_server(cluster.node):

        def to_postgres() -> Any:
            return asyncio.open_unix_connection(f"{postgres.folder}/.s.PGSQL.5432")

        async def to_server() -> Streams:
            return await asyncio.open_connection("127.0.0.1", SERVER_PORT)

        url = f"postgresql+psycopg://callgate@postgresql:5432/{database}"
        secrets = {**grant.secrets, "callgate-store": {"url": f"{url}\n"}}
        spec, maps = chart.pod("gateway"), chart.maps("gateway")
        with (
            running_service(cluster.node, 5432, to_postgres),
            running_service(cluster.node, SERVER_PORT, to_server),
            cluster.pod_network() as network,
            stopped_pod(secrets, spec, maps, joined=network, hosts=HOSTS) as pod,
        ):
            pod.start("callgate")
            until(lambda: pod.is_ready("callgate"))
            yield cluster.node, pod


def test_the_gateway_judges_calls_and_asks_people_by_postgresql(grant: Grant) -> None:
    def post(token: str, method: str, **parameters: Any) -> tuple[int, Any]:
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": parameters}
        headers = {
            "content-type": "application/json",
            "accept": "application/json, text/event-stream",
            "authorization": f"Bearer {token}",
            "host": "callgate.example.com",
        }
        connection = http.client.HTTPConnection(pod.network.address, 9191, timeout=PATIENCE_S)
        try:
            connection.request("POST", "/mcp/srv", json.dumps(body), headers)
            response = connection.getresponse()
            text = response.read().decode()
        finally:
            connection.close()
        return response.status, json.loads(text) if text.startswith("{") else text

    def ask(method: str, token: str = grant.token, **parameters: Any) -> tuple[int, Any]:
        return node.submit(lambda: post(token, method, **parameters)).result(PATIENCE_S)

    def call(tool: str, **arguments: Any) -> str:
        _, answer = ask("tools/call", name=tool, arguments=arguments)
        text: str = answer["result"]["content"][0]["text"]
        return text

    with ExitStack() as stack:
        postgres = stack.enter_context(running_postgres())
        database, _ = postgres.new_database()
        node, pod = stack.enter_context(gateway(grant, postgres, database))
        assert ask("tools/list", token="cgt_" + "x" * 40)[0] == 401
        _, answer = ask("tools/list")
        assert {tool["name"] for tool in answer["result"]["tools"]} == {"create-ami", "describe_images", "drop_table"}
        assert call("create-ami") == "made"
        until(lambda: "needs the approval" in call("drop_table", name="users"))
        with postgres.connect(database) as connection:
            [waiting] = connection.execute("SELECT count(*) FROM approvals").fetchall()
        assert waiting == (1,), "the store is the one of the Secret"
        run_helm_test("gateway", node, pod.network.address, pod.network.address)
        pod.containers["callgate"].terminate()
        assert pod.containers["callgate"].wait() == 0, pod.containers["callgate"].log
