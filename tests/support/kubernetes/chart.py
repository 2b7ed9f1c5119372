"""The rendered files of the Helm chart, and their pods."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import yaml

from support.kubernetes.manifests import ROOT, Manifest

CHART = ROOT / "deploy" / "helm" / "callgate"
RENDERED = ROOT / "deploy" / "kustomize"
SHAPES = ("sidecar", "service", "gateway")


@cache
def documents(path: Path) -> list[Manifest]:
    """The objects of a file."""
    return [
        document for document in yaml.load_all(path.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader) if document
    ]


def rendered(shape: str) -> list[Manifest]:
    """Every object of a shape, apart from the pod of `helm test`."""
    folder = RENDERED / shape
    return [*documents(folder / "callgate.yaml"), *documents(folder / "monitoring" / "monitoring.yaml")]


def helm_test(shape: str) -> Manifest:
    """The pod of `helm test`."""
    [pod] = documents(RENDERED / shape / "test.yaml")
    return pod


def of_kind(shape: str, kind: str) -> list[Manifest]:
    """All objects of a kind."""
    return [document for document in rendered(shape) if document["kind"] == kind]


def only(shape: str, kind: str) -> Manifest:
    """The only object of a kind."""
    found = of_kind(shape, kind)
    assert len(found) == 1, f"{len(found)} objects of the shape `{shape}` are a {kind}"
    return found[0]


def pod_template(shape: str) -> Manifest:
    """The template of the pods."""
    template: Manifest = only(shape, "Deployment")["spec"]["template"]
    return template


def pod(shape: str) -> Manifest:
    """The pod that the Deployment makes."""
    spec: Manifest = pod_template(shape)["spec"]
    return spec


def containers(spec: Manifest) -> list[Manifest]:
    """The containers of a pod, sidecars first."""
    return [*spec.get("initContainers", []), *spec["containers"]]


def callgate(shape: str) -> Manifest:
    """callgate's container."""
    return next(one for one in containers(pod(shape)) if one["name"] == "callgate")


def maps(shape: str) -> dict[str, dict[str, str]]:
    """The files of each ConfigMap."""
    return {one["metadata"]["name"]: one["data"] for one in of_kind(shape, "ConfigMap")}


def config(shape: str) -> Any:
    """callgate's configuration."""
    return yaml.safe_load(maps(shape)["callgate-config"]["callgate.yaml"])
