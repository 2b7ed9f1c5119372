"""The unchanged manifests of `deploy/kubernetes`."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeAlias

import yaml

ROOT = Path(__file__).resolve().parents[3]
PAGE = ROOT / "docs" / "kubernetes.md"
FOLDER = ROOT / "deploy" / "kubernetes"
REPLICAS = ROOT / "deploy" / "kubernetes-replicas"

Manifest: TypeAlias = "dict[str, Any]"


def manifests(folder: Path = FOLDER) -> list[tuple[str, Manifest]]:
    """The objects that `kubectl apply -f deploy/kubernetes` sends, each with its file's name."""
    return [
        (path.name, document)
        for path in sorted(folder.iterdir())
        for document in yaml.safe_load_all(path.read_text(encoding="utf-8"))
    ]


def manifest(kind: str, name: str) -> Manifest:
    """One of them."""
    found = [
        document for _, document in manifests() if (document["kind"], document["metadata"]["name"]) == (kind, name)
    ]
    assert len(found) == 1, f"{len(found)} manifests are a {kind} `{name}`"
    return found[0]


def pod_spec() -> Manifest:
    """The pod that the Deployment makes."""
    spec: Manifest = manifest("Deployment", "agent")["spec"]["template"]["spec"]
    return spec


def container(name: str) -> Manifest:
    """One of its containers, sidecars included."""
    return next(one for one in [*pod_spec()["initContainers"], *pod_spec()["containers"]] if one["name"] == name)


def config_maps() -> dict[str, dict[str, str]]:
    """The files of each ConfigMap."""
    return {
        document["metadata"]["name"]: document["data"] for _, document in manifests() if document["kind"] == "ConfigMap"
    }


def callgate_config() -> Manifest:
    """callgate's configuration."""
    config: Manifest = yaml.safe_load(config_maps()["callgate-config"]["callgate.yaml"])
    return config


def envoy_config() -> Manifest:
    """Envoy's configuration."""
    config: Manifest = yaml.safe_load(config_maps()["envoy-config"]["envoy.yaml"])
    return config
