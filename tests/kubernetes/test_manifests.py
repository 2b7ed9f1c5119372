"""The manifests fit the API of Kubernetes, each other, and what they say of themselves."""

from __future__ import annotations

import copy
import subprocess
from typing import Any

import kubernetes_validate
import pytest
import yaml
from kubernetes_validate.utils import all_versions, major_minor

from callgate import __version__
from callgate.config.units import parse_duration
from support.kubernetes.image import only
from support.kubernetes.manifests import (
    FOLDER,
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
from support.proxies.envoy import ENVOY

NEWEST = list(dict.fromkeys(map(major_minor, all_versions())))[-3:]
CONTAINERS = ["callgate", "envoy", "agent"]


def test_three_versions_are_known() -> None:
    assert len(NEWEST) == 3


@pytest.mark.parametrize("version", NEWEST)
@pytest.mark.parametrize(("file", "document"), manifests(), ids=[file for file, _ in manifests()])
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
    assert len(secrets) == 3
    assert all(secret["optional"] is True for secret in secrets)
    assert all(document["kind"] != "Secret" for _, document in manifests())
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
    for path in FOLDER.iterdir():
        text = path.read_text(encoding="utf-8")
        assert "cgt_" not in text
        assert "token_hash" not in text
