"""The manifests fit the API of Kubernetes, each other, and what they say of themselves."""

from __future__ import annotations

import copy
import json
import subprocess
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from kubernetes_validate.utils import all_versions, major_minor

from callgate import __version__
from callgate.config.approvals import Approvals
from callgate.config.units import parse_duration
from support.kubernetes.image import only
from support.kubernetes.manifests import (
    FOLDER,
    REPLICAS,
    ROOT,
    Manifest,
    callgate_config,
    config_maps,
    container,
    envoy_config,
    manifest,
    manifests,
    pod_spec,
)
from support.planes import wait_until
from support.postgres import running_postgres
from support.program import run, sidecar
from support.proxies.envoy import ENVOY

NEWEST = list(dict.fromkeys(map(major_minor, all_versions())))[-3:]
CONTAINERS = ["callgate", "envoy", "agent"]
WITHOUT_ARGUMENTS_BYTES = 2_500
"""Bytes of an approval in the store with its evidence and indexes, of a tool with a short description: measured."""
SENT = [*manifests(), *manifests(REPLICAS)]


def test_three_versions_are_known() -> None:
    assert len(NEWEST) == 3


@pytest.mark.parametrize("version", NEWEST)
@pytest.mark.parametrize(("file", "document"), SENT, ids=[file for file, _ in SENT])
def test_the_api_takes_it(file: str, document: Manifest, version: str) -> None:
    assert file.endswith(".yaml"), "`kubectl apply -f` takes no other files"
    # A version that the package does not know would be checked against an older one.
    assert kubernetes_validate.validate(document, version, strict=True) == version
    assert "namespace" not in document["metadata"], "it goes where it is sent"


@pytest.mark.parametrize("version", NEWEST)
def test_misspelt_and_misplaced_fields_are_found(version: str) -> None:
    faults: list[tuple[list[str | int], str, Any]] = [
        (["spec", "template", "spec"], "enableServiceLink", False),
        (["spec", "template", "spec", "initContainers", 0], "restartpolicy", "Always"),
        (["spec", "template", "spec", "initContainers", 0, "securityContext"], "fsGroup", 1),
        (["spec", "template", "spec", "initContainers", 0, "readinessProbe", "grpc"], "port", "decisions"),
    ]
    for path, key, value in faults:
        document = copy.deepcopy(manifest("Deployment", "agent"))
        at: Any = document
        for step in path:
            at = at[step]
        at[key] = value
        with pytest.raises(kubernetes_validate.ValidationError):
            kubernetes_validate.validate(document, version, strict=True)


def test_no_name_is_used_twice() -> None:
    names = [(document["kind"], document["metadata"]["name"]) for _, document in manifests()]
    assert len(set(names)) == len(names)


def test_the_sidecars_start_in_order_and_stay() -> None:
    sidecars = pod_spec()["initContainers"]
    assert [one["name"] for one in sidecars] == ["callgate", "envoy"]
    for one in sidecars:
        assert one["restartPolicy"] == "Always"
        assert {"startupProbe", "readinessProbe", "livenessProbe"} <= one.keys()


@pytest.mark.parametrize("name", CONTAINERS)
def test_no_container_can_do_more_than_it_must(name: str) -> None:
    context = container(name)["securityContext"]
    assert context["readOnlyRootFilesystem"] is True
    assert context["allowPrivilegeEscalation"] is False
    assert context["capabilities"] == {"drop": ["ALL"]}
    assert context["runAsUser"] > 0
    assert context["runAsGroup"] > 0
    assert not context.keys() & {"privileged", "procMount", "seccompProfile", "runAsNonRoot"}, "the pod says it for all"
    tag = container(name)["image"].rpartition(":")[2]
    assert tag not in {"", "latest"}
    assert any(character.isdigit() for character in tag)


def test_nor_can_the_pod() -> None:
    spec = pod_spec()
    assert spec["automountServiceAccountToken"] is False
    assert spec["enableServiceLinks"] is False
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert not spec.keys() & {"hostNetwork", "hostPID", "hostIPC", "shareProcessNamespace", "serviceAccountName"}
    for volume in spec["volumes"]:
        assert len(volume.keys() & {"configMap", "secret", "emptyDir"}) == 1, "nothing of the node's"


def test_users_are_three_and_the_image_has_the_first() -> None:
    users = [container(name)["securityContext"]["runAsUser"] for name in CONTAINERS]
    assert len(set(users)) == 3
    assert only("USER").text == f"{users[0]}:{container('callgate')['securityContext']['runAsGroup']}"


def test_the_agent_has_its_token_and_nothing_of_callgates() -> None:
    mounted = {mount["name"] for mount in container("agent")["volumeMounts"]}
    assert mounted == {"agent-token"}
    assert not any("valueFrom" in one for one in container("agent")["env"])
    # Nor the other way round.
    for name in ("callgate", "envoy"):
        assert "agent-token" not in {mount["name"] for mount in container(name)["volumeMounts"]}
    assert "callgate-store" not in {mount["name"] for mount in container("envoy")["volumeMounts"]}


def test_envoy_is_the_one_who_may_ask() -> None:
    config = callgate_config()
    envoy = container("envoy")["securityContext"]["runAsUser"]
    assert config["peps"] == [{"name": "envoy", "uids": [envoy]}]
    assert config["proxies"]["identity"] == ["token"], "the agent's word is not enough"


@pytest.mark.parametrize("name", CONTAINERS)
def test_every_mount_is_a_folder_of_a_volume(name: str) -> None:
    volumes = {volume["name"] for volume in pod_spec()["volumes"]}
    for mount in container(name)["volumeMounts"]:
        assert mount["name"] in volumes
        assert "subPath" not in mount, "a single file does not follow its ConfigMap"


def test_no_volume_is_left_over() -> None:
    mounted = {mount["name"] for name in CONTAINERS for mount in container(name)["volumeMounts"]}
    assert mounted == {volume["name"] for volume in pod_spec()["volumes"]}


def test_every_config_map_is_there_and_used() -> None:
    named = {volume["configMap"]["name"] for volume in pod_spec()["volumes"] if "configMap" in volume}
    assert named == config_maps().keys()


def test_every_secret_is_optional_and_none_is_shipped() -> None:
    secrets = [volume["secret"] for volume in pod_spec()["volumes"] if "secret" in volume]
    secrets += [one["valueFrom"]["secretKeyRef"] for one in container("callgate")["env"]]
    assert len(secrets) == 4
    assert all(secret["optional"] is True for secret in secrets)
    assert all(document["kind"] != "Secret" for _, document in SENT)
    # As the API server reads it, a mode is a number: 0440 is octal there.
    assert {secret["defaultMode"] for secret in secrets if "defaultMode" in secret} == {0o440}


def test_policy_and_catalogue_are_the_examples() -> None:
    for name, key, example in [
        ("callgate-policies", "example.json", "policy.json"),
        ("callgate-catalogue", "catalogue.json", "catalogue.json"),
    ]:
        assert config_maps()[name] == {key: (ROOT / "examples" / example).read_text(encoding="utf-8")}


def test_envoy_asks_as_in_the_example_for_envoy() -> None:
    """The chain of filters before the agent's calls is the one that deploy/envoy has, and its tests start."""
    example = yaml.safe_load((ROOT / "deploy" / "envoy" / "ext-authz.yaml").read_text(encoding="utf-8"))
    theirs, ours = (
        manager(example["static_resources"]["listeners"][0]),
        manager(envoy_config()["static_resources"]["listeners"][0]),
    )
    for one in (theirs, ours):
        del one["route_config"]
    assert theirs == ours


def manager(listener: Manifest) -> Manifest:
    config: Manifest = listener["filter_chains"][0]["filters"][0]["typed_config"]
    return config


def test_what_is_asked_for_is_what_is_listened_on() -> None:
    config, callgate = callgate_config(), container("callgate")
    ports = {port["name"]: port["containerPort"] for port in callgate["ports"]}
    assert config["listen"] == f"0.0.0.0:{ports['decisions']}"
    assert config["admin"]["listen"] == f"0.0.0.0:{ports['metrics']}"
    annotations = manifest("Deployment", "agent")["spec"]["template"]["metadata"]["annotations"]
    assert annotations["prometheus.io/port"] == str(ports["metrics"])
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert callgate[probe]["grpc"]["port"] == ports["decisions"]
    open_to_others = {rule["port"] for rule in manifest("NetworkPolicy", "agent")["spec"]["ingress"][0]["ports"]}
    status = container("envoy")["ports"][0]["containerPort"]
    assert open_to_others == {ports["metrics"], status}, "decisions are asked for by nobody outside"


def test_envoys_listeners_are_for_the_agent_and_for_two_pages() -> None:
    addresses = {
        listener["name"]: listener["address"]["socket_address"]
        for listener in envoy_config()["static_resources"]["listeners"]
    }
    assert addresses["mcp"] == {"address": "127.0.0.1", "port_value": 8080}
    assert addresses.keys() == {"mcp", "status"}
    status = next(one for one in envoy_config()["static_resources"]["listeners"] if one["name"] == "status")
    routes = manager(status)["route_config"]["virtual_hosts"][0]["routes"]
    assert {route["match"]["path"] for route in routes} == {"/ready", "/stats/prometheus"}
    assert "pipe" in envoy_config()["admin"]["address"]


def test_the_image_is_this_version() -> None:
    assert container("callgate")["image"] == f"callgate:{__version__}"


def test_envoys_image_is_not_newer_than_what_tests_start() -> None:
    if not ENVOY.exists():
        pytest.skip("Envoy is not installed (make target/envoy/.stamp)")
    done = subprocess.run([ENVOY, "--version"], capture_output=True, text=True, check=True, timeout=60.0)
    tested = done.stdout.split("/")[-4] if "/BoringSSL" in done.stdout else ""
    wanted = container("envoy")["image"].rpartition("-v")[2]
    assert version_of(wanted) <= version_of(tested), done.stdout


def version_of(text: str) -> list[int]:
    return [int(part) for part in text.split(".")]


@pytest.mark.parametrize("name", CONTAINERS)
def test_requests_are_within_limits(name: str) -> None:
    resources = container(name)["resources"]
    assert mebibytes(resources["requests"]["memory"]) <= mebibytes(resources["limits"]["memory"])
    assert {"cpu", "memory"} <= resources["requests"].keys()


def test_the_state_folder_holds_what_one_agent_can_ask() -> None:
    """An agent that has as many calls waiting as it may, each as long as it may be, and nobody ever answers."""
    config, approvals = callgate_config(), Approvals.model_validate(callgate_config()["approvals"])
    policy = json.loads(config_maps()["callgate-policies"]["example.json"])
    [timeout] = {tool["approval"]["timeout"] for tool in policy["tools"].values() if "approval" in tool}
    at_once, length = approvals.pending_per_grant, parse_duration(timeout)
    with_arguments = at_once * (approvals.keep_arguments // length)
    in_all = at_once * (approvals.keep // length)
    store_bytes = with_arguments * approvals.max_arguments_bytes + in_all * WITHOUT_ARGUMENTS_BYTES
    counters_bytes = config["counters"]["capacity"] * 64
    [volume] = [one for one in pod_spec()["volumes"] if one["name"] == "callgate-state"]
    limit_bytes = mebibytes(volume["emptyDir"]["sizeLimit"]) << 20
    # The log of SQLite takes some of it, too.
    assert store_bytes + counters_bytes < 0.75 * limit_bytes


def test_replicas_differ_by_their_store_alone() -> None:
    (_, changed), (_, policy) = manifests(REPLICAS)
    assert changed["metadata"] == manifest("ConfigMap", "callgate-config")["metadata"]
    config, one = yaml.safe_load(changed["data"]["callgate.yaml"]), callgate_config()
    store = config.pop("store")
    del one["approvals"]
    assert config == one
    [mount] = [one for one in container("callgate")["volumeMounts"] if one["name"] == "callgate-store"]
    assert store == {"url_file": f"{mount['mountPath']}/url"}
    text = (REPLICAS / "callgate-config.yaml").read_text(encoding="utf-8")
    assert "://" not in text, "no URL, so that there is no password in it"
    agent = manifest("NetworkPolicy", "agent")
    assert policy["spec"]["podSelector"] == agent["spec"]["podSelector"]
    assert policy["metadata"]["name"] != agent["metadata"]["name"], "both hold"


def test_replicas_share_a_store_with_that_configuration(tmp_path: Path) -> None:
    """Two sidecars with the configuration as it is, but for the folders and ports of a pod."""
    maps = {**config_maps(), "callgate-config": manifests(REPLICAS)[0][1]["data"]}
    with ExitStack() as stack:
        url = stack.enter_context(running_postgres()).new_schema()
        places = []
        configs = [tmp_path / name / "etc" / "config" / "callgate.yaml" for name in ("one", "two")]
        for config in configs:
            name = config.parts[-4]
            etc = tmp_path / name / "etc"
            folders = {"/etc/callgate": etc, "/var/lib/callgate": tmp_path / name, "/run/callgate": tmp_path / name}
            for folder in ("config", "policies", "catalogue"):
                (etc / folder).mkdir(parents=True)
                for file, text in maps[f"callgate-{folder}"].items():
                    for path, own in folders.items():
                        text = text.replace(path, str(own))  # noqa: PLW2901  path by path
                    (etc / folder / file).write_text(text)
            (etc / "grants").mkdir()
            (etc / "store").mkdir()
            (etc / "store" / "url").write_text(url + "\n")
            stack.enter_context(sidecar("--config", config, "--state", tmp_path / name / "state"))
            wait_until(partial(is_store_open, config))
            places.append(status(config)["store"]["place"])
        assert places[0] == places[1]
        assert places[0].startswith("postgresql")
        assert run("freeze", "--all", "--reason", "test", "--config", configs[1]).code == 0
        wait_until(lambda: len(status(configs[0])["freezes"]) == 1)


def status(config: Path) -> Any:
    done = run("status", "--config", config, "--json")
    assert done.code == 0, done
    return json.loads(done.out)


def is_store_open(config: Path) -> bool:
    return bool(status(config)["store"]["state"] == "open")


def mebibytes(quantity: str) -> int:
    assert quantity.endswith("Mi")
    return int(quantity.removesuffix("Mi"))


def test_the_pods_grace_leaves_time_for_callgates() -> None:
    grace_s = parse_duration(callgate_config()["grace"]).total_seconds()
    assert grace_s * 2 <= pod_spec()["terminationGracePeriodSeconds"]


def test_the_page_shows_the_users_that_there_are() -> None:
    page = (ROOT / "docs" / "kubernetes.md").read_text(encoding="utf-8")
    for name in CONTAINERS:
        assert f"| {name} | {container(name)['securityContext']['runAsUser']} |" in page


def test_no_token_is_shipped() -> None:
    for path in (*FOLDER.iterdir(), *REPLICAS.iterdir()):
        text = path.read_text(encoding="utf-8")
        assert "cgt_" not in text
        assert "token_hash" not in text
