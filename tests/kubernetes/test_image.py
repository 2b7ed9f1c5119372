"""The Dockerfile, without an engine: what it copies is there, it runs what `make` runs, what it starts starts."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from callgate import __version__
from support.kubernetes.image import Instruction, entry_point, instructions, is_sent, only, stages
from support.kubernetes.manifests import ROOT, container
from support.program import run

PINS = ROOT / "deploy" / "image"
TIMEOUT_S = 300.0


def stage(name: str) -> list[Instruction]:
    return next(one for one in stages() if one[0].text.endswith(f" AS {name}"))


def copied() -> list[str]:
    """The files that the stages copy from the checkout."""
    sources = []
    for one in stage("wheel") + stage("environment") + stage("sbom"):
        if one.name == "COPY" and not one.words[0].startswith("--from="):
            sources += one.words[:-1]
    return sources


def tracked() -> list[str]:
    """The files of the checkout, as git knows them."""
    words = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True, timeout=TIMEOUT_S)
    return [path for path in done.stdout.splitlines() if (ROOT / path).exists()]


def is_below(path: str, source: str) -> bool:
    return path == source or path.startswith(f"{source.rstrip('/')}/")


def test_what_is_copied_is_there_and_is_sent() -> None:
    assert copied()
    for source in copied():
        below = [path for path in tracked() if is_below(path, source)]
        assert below, f"`{source}` is not there"
        assert all(is_sent(path) for path in below), f"`.dockerignore` keeps `{source}` back"


def test_nothing_else_is_sent() -> None:
    for path in tracked():
        if is_sent(path):
            assert any(is_below(path, source) for source in copied()), f"`{path}` is sent for nothing"
    for path in (
        "target/release/callgate",
        ".venv/bin/python",
        "tokens/grant.key",
        "python/callgate/__pycache__/a.pyc",
        ".git/config",
    ):
        assert not is_sent(path)
    assert not is_sent("python/callgate/_callgate.abi3.so"), "what was built here is not what the image is built of"


def test_stages_come_in_order_and_are_pinned() -> None:
    defaults = dict(one.text.split("=", 1) for one in instructions() if one.name == "ARG" and "=" in one.text)
    known: set[str] = set()
    for first in (one[0] for one in stages()):
        base, _, name = first.text.partition(" AS ")
        if base in known:
            known.add(name)
            continue
        argument = re.fullmatch(r"\$\{(\w+)\}", base)
        assert argument, f"`{base}`: a base image is an argument, so that it can be named with its digest"
        image = defaults[argument[1]].replace("${RUST_VERSION}", defaults["RUST_VERSION"])
        assert re.fullmatch(r"[a-z]+:\d[\w.-]*", image), f"`{image}` has no tag"
        known.add(name)
    assert known == {"rust", "wheel", "environment", "sbom", ""}
    for one in instructions():
        if one.name == "COPY" and one.words[0].startswith("--from="):
            assert one.words[0].removeprefix("--from=") in known


def test_the_compiler_is_one_that_builds_this() -> None:
    defaults = dict(one.text.split("=", 1) for one in instructions() if one.name == "ARG" and "=" in one.text)
    oldest = re.search(r'^rust-version = "([\d.]+)"$', (ROOT / "Cargo.toml").read_text(encoding="utf-8"), re.MULTILINE)
    assert oldest
    assert numbers(defaults["RUST_VERSION"]) >= numbers(oldest[1])
    # `rust-toolchain.toml` says `stable`, which moves: what rustup takes is said by a variable, and the file stays out.
    assert any("RUSTUP_TOOLCHAIN=${RUST_VERSION}" in one.text for one in stage("wheel") if one.name == "ENV")
    assert not is_sent("rust-toolchain.toml")


def numbers(version: str) -> list[int]:
    return [int(part) for part in version.split(".")]


def test_the_wheel_is_built_as_make_builds_it_but_without_a_profile() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    recipe = re.search(r"^wheel:.*\n((?:\t.*\n)+)", makefile, re.MULTILINE)
    assert recipe
    made = next(line for line in recipe[1].splitlines() if "maturin build" in line)
    # A profile is recorded by running callgate, so no two are alike, and an image built again would have other bytes.
    words = made.split("maturin ")[1].replace(" --pgo", "").replace("$(locked)", "--locked").split()
    ran = [one.text for one in stage("wheel") if one.name == "RUN"]
    assert ran[-1].split() == ["maturin", *words]
    assert "--locked" in words
    times = [one.text for one in stage("wheel") if one.name == "ARG"]
    assert "SOURCE_DATE_EPOCH=0" in times


@pytest.mark.parametrize(
    ("name", "file"), [("wheel", "build.txt"), ("environment", "runtime.txt"), ("sbom", "sbom.txt")]
)
def test_nothing_is_installed_without_its_hash(name: str, file: str) -> None:
    installs = [one.text for one in stage(name) if one.name == "RUN" and "install" in one.text.split()]
    assert f"--require-hashes --requirement deploy/image/{file}" in installs[0]
    # Besides, there is only what was built here.
    assert all("--no-index --no-deps dist/*.whl" in one for one in installs[1:])
    assert not any("apt-get" in one.text or "curl" in one.text for one in stage(name))
    pins, hashes = pinned(file), (PINS / file).read_text(encoding="utf-8").count("--hash=sha256:")
    assert hashes >= len(pins) > 0


def pinned(file: str) -> dict[str, str]:
    """Versions by name."""
    lines = (PINS / file).read_text(encoding="utf-8").splitlines()
    found = [re.match(r"([\w.-]+)==([\w.]+) \\$", line) for line in lines if line[:1].isalnum()]
    assert all(found), "each is one version, with its hashes below"
    return {canonicalize_name(one[1]): one[2] for one in found if one}


def test_the_pins_are_what_the_project_asks_for() -> None:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    [lists] = re.findall(r'^image-sbom = \["(.+)"\]$', text, re.MULTILINE)
    builds = re.findall(r'^(?:requires|build) = \["(maturin[^"]+)"\]$', text, re.MULTILINE)
    assert len(builds) == 2, "what the package and `make build` are built with"
    requirements = [("runtime.txt", metadata.requires("callgate") or []), ("build.txt", builds), ("sbom.txt", [lists])]
    for file, wanted in requirements:
        assert wanted
        pins = pinned(file)
        # The image has one extra, with the library that its base lacks.
        others = [one for one in map(Requirement, wanted) if "extra ==" not in str(one.marker)]
        others += [one for one in map(Requirement, wanted) if str(one.marker) == 'extra == "postgres"']
        for requirement in others:
            version = pins.get(canonicalize_name(requirement.name))
            assert version is not None, f"`{requirement.name}` is missing: make image-pins"
            assert requirement.specifier.contains(version), f"{requirement} is not met by {version}: make image-pins"
    pins = pinned("runtime.txt")
    assert pins["psycopg-binary"] == pins["psycopg"]


def test_what_is_sent_can_be_built(tmp_path: Path) -> None:
    """The workspace is whole, fits its lock file, and the package has all that it names."""
    for path in tracked():
        if is_sent(path):
            target = tmp_path / path
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / path, target)
    tree = subprocess.run(
        ["cargo", "tree", "--locked", "--package", "callgate-python", "--edges", "normal,build"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=TIMEOUT_S,
    )
    assert tree.returncode == 0, tree.stderr
    assert "callgate-core" in tree.stdout
    maturin = Path(sys.executable).with_name("maturin")
    info = subprocess.run(
        [maturin, "pep517", "write-dist-info", "--metadata-directory", "info", "--interpreter", sys.executable],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=TIMEOUT_S,
    )
    assert info.returncode == 0, info.stderr
    described = (tmp_path / "info" / f"callgate-{__version__}.dist-info" / "METADATA").read_text()
    assert "# callgate" in described, "the readme is part of it"


def test_what_the_image_starts() -> None:
    assert entry_point() == ["callgate"]
    # As it is without a configuration: a program that is there, and says what it misses.
    done = run(*only("CMD").words)
    assert done.code == 2
    assert only("CMD").words[-1] in done.err
    assert only("CMD").words == container("callgate")["args"]


def test_the_image_has_no_build_in_it() -> None:
    last = stages()[-1]
    assert [one.name for one in last] == ["FROM", "COPY", "ENV", "USER", "ENTRYPOINT", "CMD"]
    assert last[1].words[0] == "--from=sbom"
