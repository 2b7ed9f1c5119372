"""The values of the chart: what its schema refuses, its table, and what callgate makes of the configuration."""

from __future__ import annotations

import copy
import json
import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import chart as script
import jsonschema
import pytest
import trustme
import yaml

from callgate.config.schema import config_schema
from support.kubernetes import chart
from support.kubernetes.chart import CHART, SHAPES, config
from support.kubernetes.world import PROGRAMS
from support.program import PROGRAM, run

if TYPE_CHECKING:
    from pathlib import Path

SCHEMA = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))
DEFAULTS = yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))
OWN = {"state", "listen", "socket", "grants_file", "grant_key_file", "policies_folder", "catalogue", "tls", "store"}
"""Keys of callgate's configuration that follow from other values."""


def merged(values: Any, more: Any) -> Any:
    """As Helm merges values: mappings key by key, everything else as a whole."""
    if not (isinstance(values, dict) and isinstance(more, dict)):
        return more
    return {**values, **{key: merged(values.get(key), part) for key, part in more.items()}}


def values_of(shape: str) -> Any:
    return merged(DEFAULTS, yaml.safe_load((CHART / f"values-{shape}.yaml").read_text(encoding="utf-8")))


def faults(values: Any) -> list[str]:
    return [error.json_path for error in jsonschema.Draft7Validator(SCHEMA).iter_errors(values)]


def test_the_schema_is_one_and_takes_the_example_values() -> None:
    jsonschema.Draft7Validator.check_schema(SCHEMA)
    assert faults(DEFAULTS) == []
    for shape in SHAPES:
        assert faults(values_of(shape)) == []
        assert values_of(shape)["shape"] == shape


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("shape", "daemonset"),
        ("shapes", "service"),
        ("replicaCount", "two"),
        ("replicaCount", -1),
        ("image.digest", "sha256:1"),
        ("image.pullPolicy", "Sometimes"),
        ("config.listen", "0.0.0.0:1"),
        ("config.admin", {"listen": "0.0.0.0:1"}),
        ("config.counters", {"shared": {"url": "redis://x"}}),
        ("config.worker", 1),
        ("config.grace", 10),
        ("policies", {"payments.YAML": "x"}),
        ("policies", {"payments.yaml": {"version": "1"}}),
        ("redis.url", "redis.example.com"),
        ("tls.secretName", "x"),
        ("envoy.upstreams", {"srv": {"host": "x", "port": 80}}),
        ("envoy.upstreams", {"srv": {"host": "x", "port": 0, "path": "/mcp"}}),
        ("bindAddress", "127.0.0.1"),
        ("service.port", 0),
        ("resources.request", {}),
        ("state.sizeLimit", "big"),
        ("autoscaling.minReplicas", 0),
        ("podDisruptionBudget.maxUnavailable", "half"),
        ("topologySpread.whenUnsatisfiable", "Never"),
        ("networkPolicy.clients", {}),
        ("networkPolicy.dns", []),
        ("metrics.serviceMonitor.interval", 30),
        ("podLabels", {"x": 1}),
        ("readinessProbe.httpGet", {}),
        ("extraEnv", {}),
    ],
)
def test_the_schema_refuses(key: str, value: object) -> None:
    values = copy.deepcopy(values_of("service"))
    *path, last = key.split(".")
    at = values
    for step in path:
        at = at[step]
    at[last] = value
    assert faults(values) != []


def test_every_default_stands_in_the_schema_and_every_key_has_a_default() -> None:
    def leaves(schema: Any, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
        found: list[tuple[str, ...]] = []
        for name, part in schema["properties"].items():
            is_section = "description" not in part
            found += leaves(part, (*path, name)) if is_section else [(*path, name)]
        return found

    for path in leaves(SCHEMA):
        at = DEFAULTS
        if path == ("global",):
            continue
        for step in path:
            assert step in at, f"{'.'.join(path)} has no default in values.yaml"
            at = at[step]


def test_the_keys_of_the_configuration_are_those_that_callgate_has() -> None:
    allowed = set(SCHEMA["properties"]["config"]["propertyNames"]["enum"])
    assert allowed | OWN == config_schema()["properties"].keys()
    assert not allowed & OWN


def test_the_page_has_the_table_of_values() -> None:
    page = script.PAGE.read_text(encoding="utf-8")
    assert f"<!-- values -->\n{script.values_table()}<!-- end of values -->\n" in page, "run `make chart`"


@pytest.mark.parametrize("shape", SHAPES)
def test_callgate_reads_its_configuration(shape: str, tmp_path: Path) -> None:
    maps = chart.maps(shape)
    path = tmp_path / "callgate.yaml"
    text = maps["callgate-config"]["callgate.yaml"]
    folders = {volume["name"]: volume for volume in chart.pod(shape)["volumes"]}
    for mount in chart.callgate(shape)["volumeMounts"]:
        folder = tmp_path / mount["name"].removeprefix("callgate-")
        folder.mkdir()
        if mount["name"] != "callgate-tmp":
            text = text.replace(mount["mountPath"], str(folder))
        for name, content in maps.get(folders[mount["name"]].get("configMap", {}).get("name", ""), {}).items():
            (folder / name).write_text(content)
    if shape == "service":
        authority = trustme.CA()
        certificate = authority.issue_cert("callgate")
        certificate.private_key_pem.write_to_path(tmp_path / "tls" / "tls.key")
        certificate.cert_chain_pems[0].write_to_path(tmp_path / "tls" / "tls.crt")
        for secret in ("tls", "redis"):
            authority.cert_pem.write_to_path(tmp_path / secret / "ca.crt")
        (tmp_path / "redis" / "password").write_text("secret\n")
    if shape == "gateway":
        (tmp_path / "store" / "url").write_text("postgresql+psycopg://callgate@postgresql/callgate\n")
        (tmp_path / "store" / "url").chmod(0o600)
    path.write_text(text)
    key = {"CALLGATE_GRANT_KEY": "ab" * 32}
    done = run("config", "check", path, variables=key)
    assert done.code == 0, done
    assert done.out.endswith("callgate.yaml: ok\n")


def test_who_may_ask_is_never_everybody() -> None:
    for shape in SHAPES:
        assert "peps" in config(shape), "without the key everybody who reaches the port may ask"
        assert "grants_file" in config(shape), "without it callers are trusted to name the grant"
    assert config("gateway")["peps"] == []


def test_a_custom_resource_that_does_not_fit_is_found(tmp_path: Path) -> None:
    """The check of `make chart`, with definitions of the test's own."""
    fields: dict[str, Any] = {"selector": {"type": "object"}, "jobLabel": {"type": "string"}}
    properties = {
        "apiVersion": {"type": "string"},
        "kind": {"type": "string"},
        "spec": {"type": "object", "properties": fields},
    }
    schema = {"openAPIV3Schema": {"type": "object", "properties": properties}}
    definition = {
        "kind": "CustomResourceDefinition",
        "spec": {
            "group": "monitoring.coreos.com",
            "names": {"kind": "ServiceMonitor"},
            "versions": [{"name": "v1", "schema": schema}],
        },
    }
    (tmp_path / "crd.yaml").write_text(yaml.safe_dump(definition))
    with pytest.raises(SystemExit, match="'endpoints' was unexpected"):
        script.check_custom_resources([tmp_path], ("monitoring.coreos.com/v1",))
    fields["endpoints"] = {}
    (tmp_path / "crd.yaml").write_text(yaml.safe_dump(definition))
    with pytest.raises(SystemExit, match=r"no definition of monitoring\.coreos\.com/v1 PrometheusRule"):
        script.check_custom_resources([tmp_path], ("monitoring.coreos.com",))
    assert script.check_custom_resources([tmp_path], ()) == len(SHAPES)


@pytest.mark.parametrize("shape", ["service", "gateway"])
def test_the_commands_of_the_page_make_what_the_pods_want(shape: str, tmp_path: Path) -> None:
    """With stand-ins for the cluster: `kubectl` keeps files, and `helm` sends what is rendered.

    The configurations of these shapes name files that whoever makes a grant has not.
    """
    cluster = tmp_path / "cluster"
    programs = tmp_path / "bin"
    for folder in (cluster, programs):
        folder.mkdir()
    kubectl = f'exec {sys.executable} {PROGRAMS / "kubectl.py"} "$@"'
    rendered = chart.RENDERED / shape / "callgate.yaml"
    helm = (
        f'test "$*" = "install callgate deploy/helm/callgate --values values.yaml" && kubectl apply -f - < {rendered}'
    )
    for name, text in (("kubectl", kubectl), ("helm", helm)):
        (programs / name).write_text(f"#!/bin/sh\n{text}\n")
        (programs / name).chmod(0o755)
    [block] = re.findall(r"^```sh\n(.*?)^```$", script.PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    path = os.pathsep.join([str(programs), str(PROGRAM.parent), os.environ.get("PATH", os.defpath)])
    done = subprocess.run(
        ["/bin/bash", "-euo", "pipefail", "-c", block],
        cwd=tmp_path,
        env={"PATH": path, "CLUSTER": str(cluster), "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60.0,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    secrets = {document["metadata"]["name"]: document["data"] for document in map(yaml.safe_load, read_all(cluster))}
    [key] = [one["valueFrom"]["secretKeyRef"] for one in chart.callgate(shape)["env"]]
    assert key["key"] in secrets[key["name"]]
    assert {"callgate-grants", "callgate-grant-key", "agent-token"} == secrets.keys()
    assert yaml.safe_load((cluster / "deployment-callgate.yaml").read_text())["metadata"]["restarted"] is True


def read_all(cluster: Path) -> list[str]:
    """The files of the cluster's Secrets."""
    return [path.read_text(encoding="utf-8") for path in sorted(cluster.glob("secret-*.yaml"))]
