"""Secrets as the document has them made."""

from __future__ import annotations

import base64
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml

from support.kubernetes.manifests import PAGE, ROOT
from support.kubernetes.world import PROGRAMS
from support.program import PROGRAM

if TYPE_CHECKING:
    from collections.abc import Mapping


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for a cluster in which every `sh` block of docs/kubernetes.md has run, in order."""
    folder, work = tmp_path_factory.mktemp("cluster"), tmp_path_factory.mktemp("work")
    (work / "deploy").symlink_to(ROOT / "deploy")
    blocks = re.findall(r"^```sh\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    stand_in = work / "bin" / "kubectl"
    stand_in.parent.mkdir()
    stand_in.write_text(f'#!/bin/sh\nexec {sys.executable} {PROGRAMS / "kubectl.py"} "$@"\n')
    stand_in.chmod(0o755)
    path = os.pathsep.join([str(stand_in.parent), str(PROGRAM.parent), os.environ.get("PATH", os.defpath)])
    environment = {"PATH": path, "CLUSTER": str(folder), "HOME": str(work), "STORE_URL": "postgresql://db/x"}
    done = subprocess.run(
        ["/bin/bash", "-euo", "pipefail", "-c", "\n".join(blocks)],
        cwd=work,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60.0,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="session")
def secrets(cluster: Path) -> Mapping[str, Mapping[str, str]]:
    """The files of each Secret of that cluster."""
    documents = [yaml.safe_load(path.read_text()) for path in cluster.glob("secret-*.yaml")]
    return {
        document["metadata"]["name"]: {name: base64.b64decode(data).decode() for name, data in document["data"].items()}
        for document in documents
    }


@pytest.fixture(scope="session")
def token(secrets: Mapping[str, Mapping[str, str]]) -> str:
    """The agent's."""
    return secrets["agent-token"]["token"]
