"""The rendered chart fits the API of Kubernetes, and its parts fit each other."""

from __future__ import annotations

import copy
import json
from typing import Any

import kubernetes_validate
import pytest
import yaml
from chart import digest
from kubernetes_validate.utils import all_versions, major_minor

from callgate import __version__
from callgate.config.units import parse_duration
from support.kubernetes import chart
from support.kubernetes.chart import CHART, RENDERED, SHAPES, callgate, config, containers, of_kind, only, pod
from support.kubernetes.image import only as image_instruction
from support.kubernetes.manifests import ROOT, Manifest, envoy_config, manifest

NEWEST = list(dict.fromkeys(map(major_minor, all_versions())))[-3:]
CORE = [
    (f"{shape}/{document['kind']}/{document['metadata']['name']}", document)
    for shape in SHAPES
    for document in [*chart.rendered(shape), chart.helm_test(shape)]
    if not document["apiVersion"].startswith("monitoring.coreos.com/")
] + [
    (f"example/{document['kind']}/{document['metadata']['name']}", document)
    for document in chart.documents(RENDERED / "example" / "rendered.yaml")
]
NETWORKED = ("service", "gateway")
EXAMPLE_AGENT = next(one for name, one in CORE if name == "example/Deployment/agent")["spec"]["template"]["spec"]
PODS = [(shape, pod(shape)) for shape in SHAPES] + [
    *((f"{shape}/test", chart.helm_test(shape)["spec"]) for shape in SHAPES),
    ("example", EXAMPLE_AGENT),
]


def test_the_rendered_files_are_those_of_the_chart() -> None:
    written = (RENDERED / "rendered-from").read_text(encoding="utf-8").strip()
    assert written == digest(), "the chart has changed since `make chart` rendered deploy/kustomize"


@pytest.mark.parametrize("version", NEWEST)
def test_the_api_takes_every_object(version: str) -> None:
    for name, document in CORE:
        assert kubernetes_validate.validate(document, version, strict=True) == version, name
        assert "namespace" not in document["metadata"], "it goes where it is sent"


def test_a_misspelt_field_is_found() -> None:
    document = copy.deepcopy(only("service", "HorizontalPodAutoscaler"))
    document["spec"]["metrics"][0]["containerResource"]["target"]["averageUtilisation"] = 70
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(document, NEWEST[-1], strict=True)


@pytest.mark.parametrize("shape", SHAPES)
def test_kinds_are_those_of_the_shape(shape: str) -> None:
    names = [(document["kind"], document["metadata"]["name"]) for document in chart.rendered(shape)]
    assert len(set(names)) == len(names)
    kinds = {kind for kind, _ in names}
    expected = {"ConfigMap", "Deployment", "NetworkPolicy", "Service", "ServiceAccount", "ServiceMonitor"}
    if shape in NETWORKED:
        expected |= {"PodDisruptionBudget", "PrometheusRule"}
    if shape == "service":
        expected.add("HorizontalPodAutoscaler")
    assert kinds == expected


@pytest.mark.parametrize(("name", "spec"), PODS, ids=[name for name, _ in PODS])
def test_no_pod_can_do_more_than_it_must(name: str, spec: Manifest) -> None:
    assert spec["automountServiceAccountToken"] is False
    assert spec["enableServiceLinks"] is False
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert not spec.keys() & {"hostNetwork", "hostPID", "hostIPC", "shareProcessNamespace"}
    for volume in spec.get("volumes", []):
        assert len(volume.keys() & {"configMap", "secret", "emptyDir"}) == 1, "nothing of the node's"
    for one in containers(spec):
        context = one["securityContext"]
        assert spec["securityContext"].get("runAsNonRoot") or name == "example"
        assert context["readOnlyRootFilesystem"] is True
        assert context["allowPrivilegeEscalation"] is False
        assert context["capabilities"] == {"drop": ["ALL"]}
        assert context["runAsUser"] > 0
        assert context["runAsGroup"] > 0
        tag = one["image"].rpartition(":")[2]
        assert any(character.isdigit() for character in tag), f"{name}: a tag that moves"
        assert {"cpu", "memory"} <= one["resources"]["requests"].keys()
        assert "memory" in one["resources"]["limits"]


@pytest.mark.parametrize(("name", "spec"), PODS, ids=[name for name, _ in PODS])
def test_volumes_are_mounted_as_folders_and_none_is_left_over(name: str, spec: Manifest) -> None:
    mounts = [mount for one in containers(spec) for mount in one.get("volumeMounts", [])]
    assert {mount["name"] for mount in mounts} == {volume["name"] for volume in spec.get("volumes", [])}, name
    assert not any("subPath" in mount for mount in mounts), "a single file does not follow its ConfigMap"


@pytest.mark.parametrize("shape", SHAPES)
def test_every_config_map_is_there(shape: str) -> None:
    named = {volume["configMap"]["name"] for volume in pod(shape)["volumes"] if "configMap" in volume}
    assert named == {name for name in chart.maps(shape) if not name.endswith("-dashboard")}


def test_the_image_is_this_version() -> None:
    for shape in SHAPES:
        assert callgate(shape)["image"] == f"callgate:{__version__}"
        context = callgate(shape)["securityContext"]
        assert image_instruction("USER").text == f"{context['runAsUser']}:{context['runAsGroup']}"
    about = yaml.safe_load((CHART / "Chart.yaml").read_text(encoding="utf-8"))
    assert about["version"] == about["appVersion"] == __version__


@pytest.mark.parametrize("shape", SHAPES)
def test_selectors_select_the_pods_and_nothing_else(shape: str) -> None:
    labels = chart.pod_template(shape)["metadata"]["labels"].items()
    selectors = [
        only(shape, "Deployment")["spec"]["selector"]["matchLabels"],
        only(shape, "NetworkPolicy")["spec"]["podSelector"]["matchLabels"],
        *(service["spec"]["selector"] for service in of_kind(shape, "Service")),
        *(budget["spec"]["selector"]["matchLabels"] for budget in of_kind(shape, "PodDisruptionBudget")),
        *(spread["labelSelector"]["matchLabels"] for spread in pod(shape)["topologySpreadConstraints"]),
    ]
    for selector in selectors:
        assert selector.items() <= labels
        assert not selector.items() <= chart.helm_test(shape)["metadata"]["labels"].items()
    names = {"app.kubernetes.io/name", "app.kubernetes.io/instance", "app.kubernetes.io/component"}
    assert all(selector.keys() == names for selector in selectors), "a version in a selector cannot be upgraded"


@pytest.mark.parametrize("shape", SHAPES)
def test_ports_agree(shape: str) -> None:
    container, settings = callgate(shape), config(shape)
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert settings["listen"] == f"0.0.0.0:{ports['decisions']}"
    assert settings["admin"]["listen"] == f"0.0.0.0:{ports['metrics']}"
    for name in ("startupProbe", "readinessProbe", "livenessProbe"):
        probe = container[name]
        # The kubelet does not speak gRPC over TLS.
        assert ("grpc" in probe) is ("tls" not in settings)
        asked = probe["grpc"]["port"] if "grpc" in probe else probe["httpGet"]["port"]
        assert asked == ports["decisions" if "grpc" in probe else "metrics"]
    targets = {port["targetPort"] for service in of_kind(shape, "Service") for port in service["spec"]["ports"]}
    assert targets == ({ports["metrics"]} if shape == "sidecar" else set(ports.values()))
    envoy = {port["containerPort"] for one in containers(pod(shape)) if one["name"] == "envoy" for port in one["ports"]}
    open_ports = {port["port"] for rule in only(shape, "NetworkPolicy")["spec"]["ingress"] for port in rule["ports"]}
    assert open_ports == targets | envoy


@pytest.mark.parametrize("shape", SHAPES)
def test_prometheus_finds_the_metrics(shape: str) -> None:
    monitor = only(shape, "ServiceMonitor")["spec"]
    wanted = monitor["selector"]["matchLabels"].items()
    [service] = [one for one in of_kind(shape, "Service") if wanted <= one["metadata"]["labels"].items()]
    [endpoint] = monitor["endpoints"]
    assert endpoint["port"] in {port["name"] for port in service["spec"]["ports"]}
    assert endpoint["path"] == "/metrics"
    # The alarms know the job by this name.
    assert "callgate" in service["metadata"]["labels"][monitor["jobLabel"]]


def test_rules_and_dashboard_are_those_of_deploy() -> None:
    monitoring = ROOT / "deploy" / "monitoring"
    rules = yaml.safe_load((monitoring / "callgate-rules.yaml").read_text(encoding="utf-8"))
    dashboard = json.loads((monitoring / "callgate-dashboard.json").read_text(encoding="utf-8"))
    for shape in NETWORKED:
        assert only(shape, "PrometheusRule")["spec"] == rules
        [shipped] = [one for one in of_kind(shape, "ConfigMap") if one["metadata"]["name"].endswith("-dashboard")]
        assert shipped["metadata"]["labels"]["grafana_dashboard"] == "1"
        assert json.loads(shipped["data"]["callgate-dashboard.json"]) == dashboard


def test_the_autoscaler_scales_what_there_is() -> None:
    scaler, deployment = only("service", "HorizontalPodAutoscaler")["spec"], only("service", "Deployment")
    assert scaler["scaleTargetRef"] == {
        "apiVersion": deployment["apiVersion"],
        "kind": "Deployment",
        "name": deployment["metadata"]["name"],
    }
    assert "replicas" not in deployment["spec"], "each upgrade would set them back"
    [metric] = scaler["metrics"]
    assert metric["containerResource"]["container"] in {one["name"] for one in containers(pod("service"))}
    assert scaler["minReplicas"] > 1


@pytest.mark.parametrize("shape", NETWORKED)
def test_a_rolling_update_keeps_its_replicas_and_its_grace(shape: str) -> None:
    assert only(shape, "Deployment")["spec"]["strategy"]["rollingUpdate"] == {"maxUnavailable": 0, "maxSurge": 1}
    pause_s = callgate(shape)["lifecycle"]["preStop"]["sleep"]["seconds"]
    grace_s = parse_duration(config(shape)["grace"]).total_seconds()
    assert pause_s > 0
    assert pause_s + grace_s < pod(shape)["terminationGracePeriodSeconds"]


@pytest.mark.parametrize("shape", NETWORKED)
def test_the_network_policy_names_each_place_that_is_asked(shape: str) -> None:
    egress = only(shape, "NetworkPolicy")["spec"]["egress"]
    ports = {port["port"] for rule in egress for port in rule["ports"]}
    assert ports == ({53, 6379} if shape == "service" else {53, 5432, 8081})
    # The clients of values-*.yaml, and not every pod.
    assert {} not in [peer.get("podSelector") for peer in only(shape, "NetworkPolicy")["spec"]["ingress"][0]["from"]]


def test_the_sidecar_is_what_deploy_kubernetes_has() -> None:
    """Two ways to one pod: what they say of each container must not drift apart."""
    theirs = manifest("Deployment", "agent")["spec"]["template"]["spec"]
    for one, other in zip(containers(pod("sidecar")), containers(theirs), strict=True):
        expected = {key: part for key, part in other.items() if key not in {"volumeMounts", "ports", "imagePullPolicy"}}
        assert {key: one[key] for key in expected} == expected
    ours = yaml.safe_load(chart.maps("sidecar")["callgate-envoy"]["envoy.yaml"])
    expected_envoy = envoy_config()
    for config_of_envoy in (ours, expected_envoy):
        del config_of_envoy["node"]
    assert ours == expected_envoy


def test_the_agent_has_nothing_of_callgates() -> None:
    for spec in (pod("sidecar"), EXAMPLE_AGENT):
        by_name = {one["name"]: one for one in containers(spec)}
        assert list(by_name) == ["callgate", "envoy", "agent"], "sidecars start before the agent, callgate first"
        assert all(by_name[name]["restartPolicy"] == "Always" for name in ("callgate", "envoy"))
        users = [one["securityContext"]["runAsUser"] for one in by_name.values()]
        assert len(set(users)) == 3
        assert config("sidecar")["peps"] == [{"name": "envoy", "uids": [users[1]]}]
        assert {mount["name"] for mount in by_name["agent"]["volumeMounts"]} == {"agent-token"}
        sockets = {
            name: [mount for mount in one["volumeMounts"] if mount["name"] == "callgate-socket"]
            for name, one in by_name.items()
        }
        assert config("sidecar")["socket"].startswith(f"{sockets['callgate'][0]['mountPath']}/")
        assert sockets["envoy"] == [{**sockets["callgate"][0], "readOnly": True}]


def test_secrets_are_named_and_none_is_shipped() -> None:
    assert not any(document["kind"] == "Secret" for _, document in CORE)
    page = (ROOT / "docs" / "helm.md").read_text(encoding="utf-8")
    for name, spec in PODS:
        secrets = [volume["secret"] for volume in spec.get("volumes", []) if "secret" in volume]
        assert all(secret["defaultMode"] == 0o440 for secret in secrets), name
        for secret in secrets:
            assert f"| `{secret['secretName']}` |" in page
    for shape in SHAPES:
        [key] = [one for one in callgate(shape)["env"] if one["name"] == "CALLGATE_GRANT_KEY"]
        # Shared counts are named by the key: without it, the pod waits for it.
        assert key["valueFrom"]["secretKeyRef"]["optional"] is (shape != "service")


def test_a_changed_configuration_replaces_the_pods() -> None:
    for shape in SHAPES:
        annotations = chart.pod_template(shape)["metadata"]["annotations"]
        assert len(annotations["checksum/config"]) == 64
    assert len({chart.pod_template(shape)["metadata"]["annotations"]["checksum/config"] for shape in SHAPES}) == 3


def kustomization(*folder: str) -> Any:
    return yaml.safe_load((RENDERED.joinpath(*folder) / "kustomization.yaml").read_text(encoding="utf-8"))


def test_kustomizations_name_files_that_exist() -> None:
    found = sorted(RENDERED.rglob("kustomization.yaml"))
    assert len(found) == 8
    for path in found:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        for name in [
            *content["resources"],
            *content.get("components", []),
            *(p["path"] for p in content.get("patches", [])),
        ]:
            assert (path.parent / name).exists(), f"{path}: {name}"


def test_the_component_patches_what_the_example_is() -> None:
    [patch] = kustomization("components", "sidecar")["patches"]
    label, _, value = patch["target"]["labelSelector"].partition("=")
    [agent] = chart.documents(RENDERED / "example" / "agent.yaml")
    assert agent["metadata"]["labels"][label] == value
    # What it adds is what the chart's pod has, with the same ConfigMaps.
    assert EXAMPLE_AGENT["initContainers"] == pod("sidecar")["initContainers"]
    added = [volume for volume in EXAMPLE_AGENT["volumes"] if volume["name"] != "agent-token"]
    assert added == [volume for volume in pod("sidecar")["volumes"] if volume["name"] != "agent-token"]
    assert EXAMPLE_AGENT["securityContext"].items() <= pod("sidecar")["securityContext"].items()
    maps = {document["metadata"]["name"]: document["data"] for name, document in CORE if "example/ConfigMap" in name}
    assert maps == chart.maps("sidecar")
    # The agent's own container is untouched.
    [before] = agent["spec"]["template"]["spec"]["containers"]
    assert EXAMPLE_AGENT["containers"] == [before]
