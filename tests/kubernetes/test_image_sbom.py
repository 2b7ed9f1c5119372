"""The image's lists of what is installed, as CycloneDX documents, and the same bytes of two builds."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from importlib import metadata, resources
from typing import TYPE_CHECKING, Any

import pytest
from jsonschema import Draft7Validator
from packaging.utils import canonicalize_name
from referencing import Registry, Resource

from support.kubernetes.image import stages
from support.kubernetes.image_tree import INSTALLED, TIMEOUT_S, built_twice, digests
from support.kubernetes.manifests import ROOT

if TYPE_CHECKING:
    from pathlib import Path


def schema_faults(document: dict[str, Any]) -> list[str]:
    """Where a document differs from CycloneDX's own JSON schema of its version; formats of URLs are not looked at."""
    folder = resources.files("cyclonedx.schema") / "_res"
    found = {
        name: json.loads((folder / name).read_text(encoding="utf-8"))
        for name in (
            f"bom-{document['specVersion']}.SNAPSHOT.schema.json",
            "spdx.SNAPSHOT.schema.json",
            "jsf-0.82.SNAPSHOT.schema.json",
        )
    }
    # They name each other by their files.
    registry: Registry[Any] = Registry().with_resources(
        (f"http://cyclonedx.org/schema/{name}", Resource.from_contents(schema)) for name, schema in found.items()
    )
    schema = next(iter(found.values()))
    return [error.json_path for error in Draft7Validator(schema, registry=registry).iter_errors(document)]


def listed_packages() -> str:
    """The document that the command of the Dockerfile makes of this environment."""
    [command] = [one.text for stage in stages() for one in stage if one.text.startswith("cyclonedx-py ")]
    program, *words = shlex.split(command)
    assert words[-3:] == ["--output-file", f"{INSTALLED}/sbom/python.cdx.json", f"{INSTALLED}/bin/python"]
    # Its own look at the result takes twenty times as long as the rest.
    done = subprocess.run(
        [f"{sys.exec_prefix}/bin/{program}", *words[:-3], "--no-validate", sys.executable],
        capture_output=True,
        text=True,
        check=False,
        timeout=TIMEOUT_S,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_installed_package_is_listed() -> None:
    text = listed_packages()
    document = json.loads(text)
    assert schema_faults(document) == []
    listed = {(canonicalize_name(one["name"]), one["version"]) for one in document["components"]}
    installed = {(canonicalize_name(one.name), one.version) for one in metadata.distributions()}
    assert ("callgate", metadata.version("callgate")) in listed
    assert listed == installed
    # What depends on what is told as well.
    known = {one["bom-ref"] for one in document["components"]}
    links = {one["ref"]: one.get("dependsOn", []) for one in document["dependencies"]}
    [callgate] = [one["bom-ref"] for one in document["components"] if one["name"] == "callgate"]
    assert len(links[callgate]) >= 10
    assert {ref for refs in links.values() for ref in refs} <= known


def test_every_crate_is_listed_in_the_wheel() -> None:
    [path] = [one for one in metadata.files("callgate") or [] if one.match("*.dist-info/sboms/*")]
    document = json.loads(path.read_text(encoding="utf-8"))
    assert document["bomFormat"] == "CycloneDX"
    assert schema_faults(document) == []
    listed = {(one["name"], one["version"]) for one in document["components"]}
    words = ["cargo", "tree", "--locked", "--package", "callgate-python", "--edges", "normal,build", "--prefix", "none"]
    tree = subprocess.run(
        [*words, "--format", "{p}"], cwd=ROOT, capture_output=True, text=True, check=False, timeout=TIMEOUT_S
    )
    assert tree.returncode == 0, tree.stderr
    crates = {tuple(line.split()[:2]) for line in tree.stdout.splitlines() if line}
    built = {(name, version.removeprefix("v")) for name, version in crates} - {("callgate-python", "0.1.0")}
    assert len(built) >= 100
    # It lists those of other platforms too.
    assert built <= listed


@pytest.fixture(scope="module")
def trees(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str], dict[str, str]]:
    return built_twice(tmp_path_factory.mktemp("image"))


def test_two_builds_have_the_same_bytes(trees: tuple[Path, dict[str, str], dict[str, str]]) -> None:
    _, first, second = trees
    assert {"bin/callgate", "bin/python", "sbom/python.cdx.json", "sbom/rust.cdx.json"} <= first.keys()
    assert any(name.endswith("callgate/__init__.py") for name in first)
    assert any(name.endswith(".pyc") for name in first)
    assert first == second


def test_the_lists_are_where_the_page_says(trees: tuple[Path, dict[str, str], dict[str, str]]) -> None:
    installed, before, _ = trees
    page = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    for name in ("python", "rust"):
        document = json.loads((installed / "sbom" / f"{name}.cdx.json").read_text(encoding="utf-8"))
        assert document["bomFormat"] == "CycloneDX"
        assert "serialNumber" not in document, "a random number"
        assert document["metadata"]["timestamp"].startswith("2023-11-14T22:13:20")
        assert f"`{INSTALLED}/sbom/{name}.cdx.json`" in page
    # The comparison of the bytes sees all of that.
    (installed / "sbom" / "python.cdx.json").write_text("{}")
    assert digests(installed) != before
