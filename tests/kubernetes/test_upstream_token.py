"""The filter that docs/kubernetes.md shows: what was allowed goes on with a token that the agent never had."""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING, Any

import yaml

from support.kubernetes.containers import Container
from support.kubernetes.manifests import PAGE, container, envoy_config
from support.kubernetes.pod import stopped_pod
from support.kubernetes.volumes import Files
from support.kubernetes.world import mcp_server, told, until

if TYPE_CHECKING:
    from collections.abc import Mapping

    from support.kubernetes.pod import Pod

BLOCKS = re.findall(r"^```text\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
FILTER = next(block for block in BLOCKS if "credential_injector" in block)
SECRET = next(block for block in BLOCKS if "generic_secret" in block)
TOKEN = "the-server's-own-token"
MOUNT = {"name": "upstream", "mountPath": "/etc/upstream", "readOnly": True}


def with_the_filter() -> str:
    """Envoy's configuration, and the page's filter where the page wants it."""
    config = envoy_config()
    connections: dict[str, Any] = config["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]
    filters = connections["typed_config"]["http_filters"]
    filters.insert([one["name"] for one in filters].index("envoy.filters.http.router"), yaml.safe_load(FILTER))
    return yaml.safe_dump(config)


def answers(pod: Pod, token: str, seen: str) -> bool:
    return told(pod, token, "describe_images") == (200, seen)


def test_the_server_gets_its_token_and_the_agent_does_not(secrets: Mapping[str, Mapping[str, str]], token: str) -> None:
    assert TOKEN in SECRET
    with stopped_pod(secrets) as pod, mcp_server(pod.network):
        upstream = Files(pod.place.folder / "volumes" / "upstream", pod.place.group, 0o440)
        pod.place.volumes["upstream"] = upstream.folder
        pod.put("envoy-config", {"envoy.yaml": with_the_filter()})
        pod.start("callgate")
        envoy = {**container("envoy"), "volumeMounts": [*container("envoy")["volumeMounts"], MOUNT]}
        ended = Container(envoy, pod.place)
        assert ended.wait() != 0, "without the token nothing passes"
        assert "'/etc/upstream/sds.yaml' does not exist" in ended.log
        upstream.put({"sds.yaml": SECRET})
        pod.start("envoy", envoy)
        for value in (TOKEN, "another"):
            upstream.put({"sds.yaml": SECRET.replace(TOKEN, value)})
            seen = f"authorization: Bearer {value}, x-callgate-outcome: allow"
            until(partial(answers, pod, token, seen))
        assert told(pod, token, "drop_table", name="users") == (200, "ask the data team")
