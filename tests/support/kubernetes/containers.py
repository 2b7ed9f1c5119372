"""A container's command as a process: its mounts, user, environment and read-only root, and the pod's network."""

from __future__ import annotations

import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from support.kubernetes.image import entry_point
from support.kubernetes.manifests import ROOT
from support.kubernetes.network import PATIENCE_S, Network

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

CONTAIN = Path(__file__).parent / "programs" / "contain.sh"
# Replacements for an image's files: the system's programs, this checkout with its build, and Python.
_SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib64", "/proc", "/etc/ssl", "/etc/ld.so.cache")
_DEVICES = ("null", "zero", "full", "random", "urandom")
_PATH = f"{ROOT}/.venv/bin:{ROOT}/target/envoy/bin:/usr/bin:/bin"


@dataclass(frozen=True)
class Place:
    """The place of a pod on this machine."""

    folder: Path
    network: Network
    group: int
    """Of the files in its volumes (`fsGroup`)."""
    volumes: dict[str, Path]
    secrets: Mapping[str, Mapping[str, str]]


class Container:
    """A running one."""

    def __init__(self, spec: Mapping[str, Any], place: Place, command: Sequence[str | Path] | None = None) -> None:
        """Starts it; a test's own program is given as `command`."""
        self.name: str = spec["name"]
        words = [*_command(spec)] if command is None else [str(word) for word in command]
        folder = place.folder / f"container-{self.name}"
        (folder / "root").mkdir(parents=True, exist_ok=True)
        mounts = folder / "mounts"
        mounts.write_text("".join(f"{line}\n" for line in _mounts(spec, place)), encoding="utf-8")
        user = spec["securityContext"]
        ids = [str(user["runAsUser"]), str(user["runAsGroup"]), str(place.group)]
        self._log = folder / "log"
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                [
                    *place.network.prefix(),
                    *(
                        "unshare",
                        "--mount",
                        "--ipc",
                        "--uts",
                        "/bin/sh",
                        str(CONTAIN),
                        str(folder / "root"),
                        str(mounts),
                        *ids,
                    ),
                    *("env", "-i", *_environment(spec, place), *words),
                ],
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    @property
    def log(self) -> str:
        """The output so far."""
        return self._log.read_text(encoding="utf-8", errors="replace")

    def terminate(self) -> None:
        """SIGTERM."""
        self.process.send_signal(signal.SIGTERM)

    def wait(self) -> int:
        """Its status."""
        return self.process.wait(PATIENCE_S)

    def kill(self) -> None:
        """Kills it."""
        self.process.kill()
        self.process.wait()


def _command(spec: Mapping[str, Any]) -> list[str]:
    """The command as the container runtime builds it, with the image's part if the manifest leaves it out."""
    command: list[str] = spec.get("command") or entry_point()
    return [*command, *spec.get("args", [])]


def _environment(spec: Mapping[str, Any], place: Place) -> list[str]:
    """The manifest's variables and those of every image alone: no home, no folder for temporary files."""
    values = {"PATH": _PATH}
    for one in spec.get("env", []):
        if "value" in one:
            values[one["name"]] = one["value"]
            continue
        reference = one["valueFrom"]["secretKeyRef"]
        secret = place.secrets.get(reference["name"], {})
        if reference["key"] in secret:
            values[one["name"]] = secret[reference["key"]]
        else:
            assert reference.get("optional"), f"the Secret `{reference['name']}` has no `{reference['key']}`"
    return [f"{name}={value}" for name, value in values.items()]


def _mounts(spec: Mapping[str, Any], place: Place) -> list[str]:
    system = [path for path in map(Path, _SYSTEM) if path.exists()]
    lines = [f"link {path.readlink()} {path}" if path.is_symlink() else f"ro {path} {path}" for path in system]
    lines += [f"rw /dev/{name} /dev/{name}" for name in _DEVICES]
    # As every container has it, one for the whole pod: the only place that can be written to besides volumes.
    lines.append(f"rw {place.folder / 'shm'} /dev/shm")
    lines.append(f"ro {place.folder / 'hosts'} /etc/hosts")
    lines.append(f"ro {place.folder / 'resolv.conf'} /etc/resolv.conf")
    lines += [f"ro {path} {path}" for path in dict.fromkeys([ROOT, Path(sys.base_prefix)])]
    for mount in spec.get("volumeMounts", []):
        unknown = mount.keys() - {"name", "mountPath", "readOnly"}
        assert not unknown, f"the kubelet of these tests does not know {unknown}"
        kind = "ro" if mount.get("readOnly") else "rw"
        lines.append(f"{kind} {place.volumes[mount['name']]} {mount['mountPath']}")
    return lines
