"""Renders the Helm chart into deploy/kustomize, and checks custom resources against their definitions.

`make chart` runs it. `chart.py digest`, `chart.py table` and what tests import need neither Helm nor kustomize.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, TypeAlias

import jsonschema
import yaml

Object: TypeAlias = "dict[str, Any]"

ROOT = Path(__file__).resolve().parent.parent
CHART = ROOT / "deploy" / "helm" / "callgate"
RENDERED = ROOT / "deploy" / "kustomize"
PAGE = ROOT / "docs" / "helm.md"
EXAMPLES = (ROOT / "deploy" / "envoy-gateway", ROOT / "deploy" / "agentgateway" / "kubernetes")
SHAPES = ("sidecar", "service", "gateway")
KUBERNETES = "1.34"
"""The version of Kubernetes for which the chart is rendered."""
_LONGEST_DEFAULT = 60
"""Characters of a default in the table of values."""
_MONITORING = ("ServiceMonitor", "PrometheusRule")
_WRITTEN = "# Written by `make chart` from deploy/helm/callgate/values-{shape}.yaml.\n"


def digest() -> str:
    """A digest of everything from which files are rendered: a change without `make chart` is found by it."""
    whole = hashlib.sha256()
    inputs = [path for path in CHART.rglob("*") if path.is_file()]
    inputs += [RENDERED / "example" / "agent.yaml", *RENDERED.rglob("kustomization.yaml")]
    for path in sorted(inputs):
        whole.update(f"{path.relative_to(ROOT)}\n".encode())
        whole.update(hashlib.sha256(path.read_bytes()).digest())
    return whole.hexdigest()


def values_table() -> str:
    """The rows of the table of values: each leaf of the schema with its default."""
    schema = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))
    defaults = yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))
    rows = ["| value | default | meaning |", "| --- | --- | --- |"]
    rows += [f"| `{key}` | {default} | {meaning} |" for key, default, meaning in _leaves(schema, defaults, ())]
    return "\n".join(rows) + "\n"


def _leaves(schema: Object, defaults: Object, path: tuple[str, ...]) -> list[tuple[str, str, str]]:
    rows: list[tuple[str, str, str]] = []
    for name, part in schema["properties"].items():
        default = defaults.get(name)
        if "description" not in part:
            rows += _leaves(part, default or {}, (*path, name))
            continue
        # Long mappings are in values.yaml, which says why.
        text = json.dumps(default, separators=(", ", ": "))
        shown = "" if default in ("", None) else f"`{text}`" if len(text) < _LONGEST_DEFAULT else "see `values.yaml`"
        rows.append((".".join((*path, name)), shown, part["description"]))
    return rows


def write_table() -> None:
    """Puts the table of values into its page."""
    text = PAGE.read_text(encoding="utf-8")
    begin, end = "<!-- values -->\n", "<!-- end of values -->\n"
    head, _, rest = text.partition(begin)
    _, _, tail = rest.partition(end)
    PAGE.write_text(f"{head}{begin}{values_table()}{end}{tail}", encoding="utf-8")


def render(helm: str, kustomize: str, target: Path) -> None:
    """Renders the three shapes, the component and its example below `target`, which has the kustomizations."""
    for shape in SHAPES:
        folder = target / shape
        words = [helm, "template", "callgate", str(CHART), "--values", str(CHART / f"values-{shape}.yaml")]
        text = _run([*words, "--kube-version", KUBERNETES])
        parts = {"callgate": "", "monitoring": "", "test": ""}
        for document in text.split("\n---\n"):
            content: Object | None = yaml.safe_load(document)
            if content is not None:
                parts[_part(content)] += f"---\n{_without_source(document)}\n"
        head = _WRITTEN.format(shape=shape)
        (folder / "callgate.yaml").write_text(head + parts["callgate"], encoding="utf-8")
        (folder / "test.yaml").write_text(head + parts["test"], encoding="utf-8")
        (folder / "monitoring" / "monitoring.yaml").write_text(head + parts["monitoring"], encoding="utf-8")
        _run([kustomize, "build", str(folder)])
        _run([kustomize, "build", str(folder / "monitoring")])
    _write_component(target)
    example = target / "example"
    text = _run([kustomize, "build", str(example)])
    (example / "rendered.yaml").write_text(
        f"# Written by `make chart` from kustomization.yaml.\n{text}", encoding="utf-8"
    )


def check_rendered(helm: str, kustomize: str) -> None:
    """Renders into a temporary folder, and names the first file that differs."""
    with tempfile.TemporaryDirectory() as folder:
        fresh = Path(folder) / "kustomize"
        shutil.copytree(RENDERED, fresh)
        render(helm, kustomize, fresh)
        for path in sorted(fresh.rglob("*.yaml")):
            shipped = RENDERED / path.relative_to(fresh)
            if path.read_bytes() != shipped.read_bytes():
                sys.exit(f"{shipped.relative_to(ROOT)} is not what the chart renders: run `make chart`")


def _part(document: Object) -> str:
    if "helm.sh/hook" in document["metadata"].get("annotations", {}):
        return "test"
    is_dashboard = document["metadata"]["name"].endswith("-dashboard")
    return "monitoring" if document["kind"] in _MONITORING or is_dashboard else "callgate"


def _without_source(document: str) -> str:
    lines = [line for line in document.strip().removeprefix("---").strip().splitlines() if "# Source: " not in line]
    return "\n".join(line.rstrip() for line in lines)


def _write_component(target: Path) -> None:
    """The patch that adds the sidecars, and their ConfigMaps, from the rendered shape `sidecar`."""
    documents = [one for one in yaml.safe_load_all((target / "sidecar" / "callgate.yaml").read_text()) if one]
    [deployment] = [one for one in documents if one["kind"] == "Deployment"]
    maps = [one for one in documents if one["kind"] == "ConfigMap"]
    pod = deployment["spec"]["template"]["spec"]
    workload = {mount["name"] for one in pod["containers"] for mount in one.get("volumeMounts", [])}
    patch = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        # The target of the patch selects the Deployments, whatever their names are.
        "metadata": {"name": "any"},
        "spec": {
            "template": {
                "metadata": {"annotations": deployment["spec"]["template"]["metadata"]["annotations"]},
                "spec": {
                    "enableServiceLinks": False,
                    "terminationGracePeriodSeconds": pod["terminationGracePeriodSeconds"],
                    "securityContext": {key: pod["securityContext"][key] for key in ("fsGroup", "seccompProfile")},
                    "initContainers": pod["initContainers"],
                    "volumes": [volume for volume in pod["volumes"] if volume["name"] not in workload],
                },
            }
        },
    }
    for one in maps:
        one["metadata"]["labels"] = {"app.kubernetes.io/name": "callgate"}
    folder = target / "components" / "sidecar"
    head = _WRITTEN.format(shape="sidecar")
    (folder / "sidecar.yaml").write_text(head + _dump(patch), encoding="utf-8")
    (folder / "configuration.yaml").write_text(head + "---\n".join(map(_dump, maps)), encoding="utf-8")


class _Dumper(yaml.SafeDumper):
    """Texts of several lines as they are."""


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _text)


def _dump(document: Object) -> str:
    dumped: str = yaml.dump(document, Dumper=_Dumper, sort_keys=False, width=120)
    return dumped


def _run(words: list[str]) -> str:
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"{' '.join(words)}:\n{done.stderr}")
    return done.stdout


class _Loader(yaml.CSafeLoader):
    """Without the type of a lone `=`, which is a plain word in YAML 1.2."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:value"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def schemas(places: list[Path]) -> dict[tuple[str, str], Object]:
    """The schemas of custom resources by version and kind, from files of their definitions."""
    found: dict[tuple[str, str], Object] = {}
    files = [file for place in places for file in ([place] if place.is_file() else sorted(place.rglob("*.yaml")))]
    for file in files:
        for document in yaml.load_all(file.read_text(encoding="utf-8"), Loader=_Loader):
            if document and document["kind"] == "CustomResourceDefinition":
                spec = document["spec"]
                for version in spec["versions"]:
                    schema = _strict(version["schema"]["openAPIV3Schema"])
                    # What the API server adds to every object.
                    schema["properties"]["metadata"] = {"type": "object"}
                    found[f"{spec['group']}/{version['name']}", spec["names"]["kind"]] = schema
    return found


def _strict(schema: Any) -> Any:  # noqa: ANN401 (a part of a schema is any JSON)
    """The schema without room for unknown fields, which the API server drops or refuses."""
    if isinstance(schema, list):
        return [_strict(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    strict = {key: _strict(part) for key, part in schema.items()}
    is_open = strict.get("x-kubernetes-preserve-unknown-fields") or "additionalProperties" in strict
    if strict.get("type") == "object" and isinstance(strict.get("properties"), dict) and not is_open:
        strict["additionalProperties"] = False
    return strict


def check_custom_resources(places: list[Path], required: tuple[str, ...]) -> int:
    """Checks every custom resource that is shipped, and gives the number of those that fit their definition.

    Kinds whose API group is not in `required` may have no definition among `places`.
    """
    known = schemas(places)
    count = 0
    files = [*RENDERED.rglob("*.yaml"), *(file for folder in EXAMPLES for file in folder.glob("*.yaml"))]
    for file in sorted(files):
        for document in yaml.load_all(file.read_text(encoding="utf-8"), Loader=_Loader):
            group = document["apiVersion"].partition("/")[0] if document else ""
            if "." not in group or (group.endswith(".k8s.io") and not group.startswith("gateway.")):
                continue
            schema = known.get((document["apiVersion"], document["kind"]))
            if schema is None:
                if group.startswith(required):
                    sys.exit(f"{file}: no definition of {document['apiVersion']} {document['kind']}")
                print(f"not checked: {file.relative_to(ROOT)}: {document['apiVersion']} {document['kind']}")
                continue
            for error in jsonschema.Draft202012Validator(schema).iter_errors(document):
                sys.exit(f"{file}: {document['kind']}: {error.json_path}: {error.message}")
            count += 1
    return count


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    rendering = commands.add_parser("render", help="render deploy/kustomize anew")
    rendering.add_argument("--helm", required=True)
    rendering.add_argument("--kustomize", required=True)
    rendering.add_argument("--check", action="store_true", help="say whether it is up to date instead")
    commands.add_parser("table", help="write the table of values into docs/helm.md")
    checking = commands.add_parser("crds", help="check custom resources against files of their definitions")
    checking.add_argument("places", nargs="+", type=Path)
    words = parser.parse_args()
    if words.command == "table":
        write_table()
    elif words.command == "crds":
        required = ("gateway.envoyproxy.io", "gateway.networking.k8s.io", "monitoring.coreos.com")
        print(f"{check_custom_resources(words.places, required)} custom resources fit their definitions")
    elif words.check:
        check_rendered(words.helm, words.kustomize)
    else:
        render(words.helm, words.kustomize, RENDERED)
        (RENDERED / "rendered-from").write_text(digest() + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
