"""Stands in for kubectl, with a folder ($CLUSTER) for a cluster: the commands of docs/kubernetes.md, and no others."""

import base64
import os
import re
import sys
from pathlib import Path

import yaml

CLUSTER = Path(os.environ["CLUSTER"])


def parts(pattern: str, text: str) -> tuple[str, ...]:
    """The parts of an option, which must match the pattern."""
    found = re.fullmatch(pattern, text)
    return found.groups() if found else sys.exit(f"kubectl: `{text}` is not what the stand-in knows")


def place(kind: str, name: str) -> Path:
    """The file of an object."""
    return CLUSTER / f"{kind.lower()}-{name}.yaml"


def apply(source: str) -> None:
    """Takes every document of every file of a folder, or of standard input, as they are."""
    texts = [sys.stdin.read()] if source == "-" else [path.read_text() for path in sorted(Path(source).iterdir())]
    for text in texts:
        for document in yaml.safe_load_all(text):
            place(document["kind"], document["metadata"]["name"]).write_text(yaml.safe_dump(document))


def get_data(kind: str, name: str, key: str) -> None:
    """Prints one file of a ConfigMap, without anything after it."""
    sys.stdout.write(yaml.safe_load(place(kind, name).read_text())["data"][key])


def create_secret(name: str, files: list[str], *, dry_run: bool = False) -> None:
    """Makes a Secret of files, or prints what it would make; one that is there is an error."""
    data = {}
    for option in files:
        key, path = parts(r"--from-file=([^=]+)=(.+)", option)
        data[key] = base64.b64encode(Path(path).read_bytes()).decode()
    document = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "data": data}
    if dry_run:
        yaml.safe_dump(document, sys.stdout)
        return
    with place("Secret", name).open("x") as file:
        yaml.safe_dump(document, file)


def restart(name: str) -> None:
    """Notes it; a Deployment that is not there is an error."""
    document = yaml.safe_load(place("Deployment", name).read_text())
    document["metadata"]["restarted"] = True
    place("Deployment", name).write_text(yaml.safe_dump(document))


def scale(name: str, replicas: str) -> None:
    """Changes the number of pods of a Deployment."""
    document = yaml.safe_load(place("Deployment", name).read_text())
    document["spec"]["replicas"] = int(replicas)
    place("Deployment", name).write_text(yaml.safe_dump(document))


match sys.argv[1:]:
    case ["apply", "-f", source]:
        apply(source)
    case ["get", "configmap", name, "--output", template]:
        get_data("ConfigMap", name, parts(r"jsonpath=\{\.data\.(.+)\}", template)[0].replace("\\.", "."))
    case ["create", "secret", "generic", name, *files, "--dry-run=client", "--output", "yaml"]:
        create_secret(name, files, dry_run=True)
    case ["create", "secret", "generic", name, *files]:
        create_secret(name, files)
    case ["rollout", "restart", "deployment", name]:
        restart(name)
    case ["scale", "deployment", name, "--replicas", replicas]:
        scale(name, replicas)
    case words:
        sys.exit(f"kubectl {' '.join(words)}: the stand-in does not know this command")
