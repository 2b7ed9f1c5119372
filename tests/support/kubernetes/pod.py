"""A pod, started as the kubelet would: containers in order, each behind its startup probe.

It is that of `deploy/kubernetes`, or one that a test names."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from support.kubernetes.containers import Container, Place
from support.kubernetes.manifests import Manifest, config_maps, pod_spec
from support.kubernetes.network import Network, network
from support.kubernetes.probes import succeeds, wait_until_started
from support.kubernetes.volumes import Files, chosen, empty_dir
from support.proxies.envoy import ENVOY

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

# An address of the pod's network, at which tests start the server of this name in the cluster.
HOSTS = "127.0.0.1 localhost\n127.0.0.1 mcp-server\n"


class Pod:
    """A pod whose sidecars run; the test acts as the agent."""

    def __init__(
        self, place: Place, spec: Manifest, files: Mapping[str, Files], sources: Mapping[str, tuple[str, Any]]
    ) -> None:
        """Prepares a pod without starting its containers."""
        self.place = place
        self.spec = spec
        self.network = place.network
        self.containers: dict[str, Container] = {}
        self._files = files
        self._sources = sources

    def container(self, name: str) -> Manifest:
        """The specification of a container, sidecars included."""
        found: Manifest = next(
            one for one in [*self.spec.get("initContainers", []), *self.spec["containers"]] if one["name"] == name
        )
        return found

    def start(self, name: str, spec: Manifest | None = None) -> Container:
        """Starts a container, or one of its name like `spec`, and waits for its startup probe, if any."""
        spec = self.container(name) if spec is None else spec
        started = self.containers[name] = Container(spec, self.place)
        if "startupProbe" in spec:
            wait_until_started(started, spec["startupProbe"], self.network)
        return started

    def is_ready(self, name: str) -> bool:
        """One readiness probe."""
        return succeeds(self.container(name)["readinessProbe"], self.network)

    def is_alive(self, name: str) -> bool:
        """One liveness probe."""
        return succeeds(self.container(name)["livenessProbe"], self.network)

    def put(self, name: str, files: Mapping[str, str]) -> None:
        """Changes a ConfigMap or Secret in all volumes that contain it."""
        shown = [volume for volume, (owner, _) in self._sources.items() if owner == name]
        assert shown, f"no volume shows `{name}`"
        for volume in shown:
            self._files[volume].put(chosen(self._sources[volume][1], files))

    def run(self, *words: str | Path, spec: Manifest | None = None) -> str:
        """Runs a program to its end in the agent's container, or in one like `spec`; gives its output."""
        running = self.begin(*words, spec=spec)
        status = running.wait()
        assert status == 0, running.log
        return running.log

    def kill(self) -> None:
        """Ends everything that runs."""
        for one in self.containers.values():
            one.kill()

    def begin(self, *words: str | Path, spec: Manifest | None = None) -> Container:
        """Starts a program there; it ends with the pod."""
        spec = {**(self.container("agent") if spec is None else spec), "name": f"program-{len(self.containers)}"}
        started = self.containers[spec["name"]] = Container(spec, self.place, words)
        return started


@contextmanager
def stopped_pod(
    secrets: Mapping[str, Mapping[str, str]],
    spec: Manifest | None = None,
    maps: Mapping[str, Mapping[str, str]] | None = None,
    *,
    joined: Network | None = None,
    hosts: str = HOSTS,
) -> Iterator[Pod]:
    """A pod without running containers, in a cluster with these Secrets; ends them at the end.

    Args:
        secrets: The files of each Secret.
        spec: The pod; that of `deploy/kubernetes` by default.
        maps: The files of each ConfigMap; those of `deploy/kubernetes` by default.
        joined: The pod's network; a new one by default.
        hosts: The file `/etc/hosts`.
    """
    if subprocess.run(["unshare", "--net", "--mount", "true"], check=False, capture_output=True).returncode != 0:
        pytest.skip("containers with users, mounts and a network of their own need root")
    spec = pod_spec() if spec is None else spec
    maps = config_maps() if maps is None else maps
    if "envoy" in {one["name"] for one in spec.get("initContainers", [])} and not ENVOY.exists():
        pytest.skip("Envoy is not installed (make target/envoy/.stamp)")
    # Not pytest's own folder, which is closed to other users; short, as names of sockets have to be.
    folder = Path(tempfile.mkdtemp(prefix="pod-", dir="/tmp"))
    folder.chmod(0o755)
    try:
        with ExitStack() as stack:
            shared = stack.enter_context(network()) if joined is None else joined
            group = spec["securityContext"]["fsGroup"]
            (folder / "volumes").mkdir()
            (folder / "shm").mkdir()
            (folder / "shm").chmod(0o1777)
            (folder / "hosts").write_text(hosts)
            (folder / "resolv.conf").write_text("")
            paths: dict[str, Path] = {}
            files: dict[str, Files] = {}
            sources: dict[str, tuple[str, Any]] = {}
            for volume in spec["volumes"]:
                name, path = volume["name"], folder / "volumes" / volume["name"]
                paths[name] = path
                if "emptyDir" in volume:
                    empty_dir(path, group)
                    continue
                kind, key, there = (
                    ("secret", "secretName", secrets) if "secret" in volume else ("configMap", "name", maps)
                )
                source = volume[kind]
                sources[name] = (source[key], source)
                files[name] = Files(path, group, source.get("defaultMode"))
                assert source[key] in there or source.get("optional"), f"there is no {kind} `{source[key]}`"
                files[name].put(chosen(source, there.get(source[key], {})))
            pod = Pod(Place(folder, shared, group, paths, secrets), spec, files, sources)
            stack.callback(pod.kill)
            yield pod
    finally:
        shutil.rmtree(folder)


@contextmanager
def running_pod(
    secrets: Mapping[str, Mapping[str, str]],
    spec: Manifest | None = None,
    maps: Mapping[str, Mapping[str, str]] | None = None,
) -> Iterator[Pod]:
    """A pod whose sidecars have started."""
    with stopped_pod(secrets, spec, maps) as pod:
        for one in pod.spec["initContainers"]:
            pod.start(one["name"])
        yield pod
