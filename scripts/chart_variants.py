"""Renders the Helm chart with further values: those that contradict each other are refused, all others fit Kubernetes.

`make chart` runs it: `chart_variants.py HELM`.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, TypeAlias

import kubernetes_validate
import yaml
from chart import CHART, KUBERNETES, Object

Values: TypeAlias = "dict[str, Any]"

REFUSED: list[tuple[str, Values, str]] = [
    ("sidecar", {"workload": {"containers": []}}, "workload.containers is empty"),
    ("sidecar", {"envoy": {"upstreams": None}}, "envoy.upstreams is empty"),
    ("sidecar", {"autoscaling": {"enabled": True}}, "autoscaling is for the shapes `service` and `gateway`"),
    ("service", {"workload": {"containers": [{"name": "agent"}]}}, "has no effect in the shape `service`"),
    ("service", {"policiesConfigMap": "mine"}, "policies and policiesConfigMap exclude each other"),
    ("service", {"catalogue": "{}", "catalogueConfigMap": "mine"}, "catalogue and catalogueConfigMap exclude"),
    ("service", {"tls": {"secret": ""}}, "tls.clientCa needs tls.secret"),
    ("service", {"redis": {"url": ""}}, "redis.secret has no effect without redis.url"),
    ("service", {"redis": {"secret": ""}}, "redis.caKey needs redis.secret"),
    ("service", {"networkPolicy": {"egress": []}}, "networkPolicy.egress is empty"),
    ("gateway", {"terminationGracePeriodSeconds": 15}, "terminationGracePeriodSeconds must be more than 15"),
    ("gateway", {"config": {"grace": "70s"}}, "terminationGracePeriodSeconds must be more than 75"),
    ("gateway", {"config": {"state": "/elsewhere"}}, "state"),
    ("gateway", {"replicas": 3}, "replicas"),
]
"""A shape, values beside its example values, and a part of the message."""

ACCEPTED: dict[str, tuple[str, Values]] = {
    "without TLS, and on IPv6": ("service", {"tls": {"secret": "", "clientCa": False}, "bindAddress": "[::]"}),
    "a proxy of one's own": (
        "sidecar",
        {"envoy": {"enabled": False}, "config": {"peps": [{"name": "mine", "uids": [10009]}]}},
    ),
    "ConfigMaps of one's own": (
        "",
        {"shape": "service", "policiesConfigMap": "mine", "catalogueConfigMap": "mine-too"},
    ),
    "a catalogue and a digest": (
        "gateway",
        {"catalogue": '{"version": "1", "servers": {}}', "image": {"digest": f"sha256:{'0' * 64}"}},
    ),
    "an admin port with TLS": (
        "gateway",
        {
            "config": {"admin": {"tls": {"certificate": "/tls/tls.crt", "key": "/tls/tls.key"}}},
            "metrics": {"serviceMonitor": {"tlsConfig": {"serverName": "callgate"}}},
            "extraVolumes": [{"name": "admin-tls", "secret": {"secretName": "admin-tls"}}],
            "extraVolumeMounts": [{"name": "admin-tls", "mountPath": "/tls", "readOnly": True}],
        },
    ),
    "everything that may be added": (
        "gateway",
        {
            "commonLabels": {"team": "agents"},
            "imagePullSecrets": [{"name": "registry"}],
            "extraArgs": ["--no-watch"],
            "extraEnv": [{"name": "TZ", "value": "UTC"}],
            "extraEnvFrom": [{"configMapRef": {"name": "more", "optional": True}}],
            "extraObjects": [
                {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "{{ .Release.Name }}-more"}, "data": {}}
            ],
            "nodeSelector": {"kubernetes.io/os": "linux"},
            "tolerations": [{"key": "agents", "operator": "Exists"}],
            "affinity": {"podAntiAffinity": {}},
            "priorityClassName": "high",
            "podAnnotations": {"a": "b"},
            "podLabels": {"a": "b"},
            "service": {"type": "LoadBalancer", "annotations": {"a": "b"}, "labels": {"a": "b"}},
            "serviceAccount": {"annotations": {"a": "b"}},
            "autoscaling": {"enabled": True, "behavior": {"scaleDown": {"stabilizationWindowSeconds": 600}}},
            "podDisruptionBudget": {"maxUnavailable": "50%"},
            "metrics": {"dashboard": {"annotations": {"grafana_folder": "callgate"}}},
            "preStopSeconds": 0,
        },
    ),
    "as little as possible": (
        "gateway",
        {
            "networkPolicy": {"enabled": False},
            "podDisruptionBudget": {"enabled": False},
            "topologySpread": {"enabled": False},
            "serviceAccount": {"create": False},
            "test": {"enabled": False},
        },
    ),
}
"""A shape, or none, and values beside its example values."""


def rendered(helm: str, shape: str, values: Values) -> subprocess.CompletedProcess[str]:
    """Renders values beside the example values of a shape."""
    with tempfile.NamedTemporaryFile("w", suffix=".yaml", encoding="utf-8") as file:
        yaml.safe_dump(values, file)
        file.flush()
        words = [helm, "template", "release", str(CHART), "--kube-version", KUBERNETES]
        files = [str(CHART / f"values-{shape}.yaml")] if shape else []
        options = [word for name in [*files, file.name] for word in ("--values", name)]
        return subprocess.run([*words, *options], capture_output=True, text=True, check=False)


def check_refused(helm: str) -> None:
    """Values that contradict each other are refused, with a message that says so."""
    for shape, values, message in REFUSED:
        done = rendered(helm, shape, values)
        if done.returncode == 0 or message not in done.stderr:
            sys.exit(f"{shape} with {values}: expected to be refused with `{message}`, got:\n{done.stderr}")


def check_accepted(helm: str) -> None:
    """Checks that the other sets of values fit the API of Kubernetes, and that each value is rendered."""
    for name, (shape, values) in ACCEPTED.items():
        done = rendered(helm, shape, values)
        if done.returncode != 0:
            sys.exit(f"{name}:\n{done.stderr}")
        for document in filter(None, yaml.safe_load_all(done.stdout)):
            check(name, document)
        for text in leaves(values):
            if text not in done.stdout:
                sys.exit(f"{name}: `{text}` is nowhere in what is rendered")


def check(name: str, document: Object) -> None:
    """One object; custom resources are checked by `chart.py crds`."""
    if document["apiVersion"].startswith("monitoring.coreos.com/"):
        return
    try:
        kubernetes_validate.validate(document, KUBERNETES, strict=True)
    except kubernetes_validate.ValidationError as error:
        sys.exit(f"{name}: {document['kind']} `{document['metadata']['name']}`: {error}")


def leaves(values: object) -> list[str]:
    """The texts among values that stand in what is rendered as they are."""
    if isinstance(values, dict):
        return [leaf for value in values.values() for leaf in leaves(value)]
    if isinstance(values, list):
        return [leaf for value in values for leaf in leaves(value)]
    return [values] if isinstance(values, str) and "{{" not in values else []


def main() -> None:
    """The command line."""
    [helm] = sys.argv[1:]
    check_refused(str(Path(helm).resolve()))
    check_accepted(str(Path(helm).resolve()))
    print(f"{len(REFUSED)} sets of values are refused, {len(ACCEPTED)} fit Kubernetes")


if __name__ == "__main__":
    main()
