"""The objects that the commands of docs/kubernetes.md leave in a cluster."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import yaml

from callgate._callgate import hash_token
from callgate.config.key import parse_key
from support.kubernetes.manifests import manifests, pod_spec

Secrets = Mapping[str, Mapping[str, str]]


def test_everything_is_applied_and_the_agent_restarted(cluster: Path) -> None:
    there = {path.name for path in cluster.iterdir()}
    assert {f"{document['kind'].lower()}-{document['metadata']['name']}.yaml" for _, document in manifests()} <= there
    assert yaml.safe_load((cluster / "deployment-agent.yaml").read_text())["metadata"]["restarted"] is True


def test_the_secrets_are_those_that_the_pod_names(secrets: Secrets) -> None:
    volumes = {volume["secret"]["secretName"] for volume in pod_spec()["volumes"] if "secret" in volume}
    key = pod_spec()["initContainers"][0]["env"][0]["valueFrom"]["secretKeyRef"]
    assert secrets.keys() == volumes | {key["name"]}
    assert key["key"] in secrets[key["name"]]


def test_the_first_grant_is_that_of_the_token_and_does_not_hold_it(secrets: Secrets, token: str) -> None:
    assert token.startswith("cgt_")
    assert token == token.strip()
    text = secrets["callgate-grants"]["grants.yaml"]
    key = parse_key(secrets["callgate-grant-key"]["grant.key"], "the Secret")
    first, second = yaml.safe_load(text)["grants"]
    assert first == {"id": "agent", "server": "srv", "policy": "example", "token_hash": hash_token(key, token)}
    assert second == {**first, "id": "other", "token_hash": second["token_hash"]}
    assert second["token_hash"] != first["token_hash"]
    assert token not in text
