"""The files of recommended policies: one policy, or a folder with one for each server and their configuration."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from callgate.config.check import not_in_a_path
from callgate.config.document import SUFFIXES
from callgate.config.policies import faults_in
from callgate.config.server_files import stem_of
from callgate.config.upstreams import endpoint_url
from callgate.errors import ConfigError
from callgate.text import masked, quoted, reason_of
from callgate.workbench.recommend.render import Format, scalar
from callgate.workbench.replace import identity_of, put

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from callgate.workbench.catalogue import CatalogueServer

CONFIGURATION: Final = "callgate.yaml"
"""The name of the configuration in a folder."""

POLICIES: Final = "policies"
"""The folder of the policies beside it."""

_HEAD: Final = """\
# The configuration of `callgate serve`: each server with its recommended policy, in the folder `policies`.
# `callgate schema config` prints every key.
servers:
"""

_TAIL: Final = """\

policies_folder: policies

# The facts that people see when they are asked to approve a call.
catalogue: {catalogue}

# Counters, approvals and keys. It contains secrets: keep it out of version control.
state: state
"""


@dataclass(frozen=True, slots=True)
class Target:
    """The place of the output."""

    path: Path
    is_folder: bool


def target_of(path: Path) -> Target:
    """The file or the folder that a path means: a file if it has a suffix of policies.

    Raises:
        ConfigError: It has such a suffix, but not in lower case.
    """
    if path.suffix in SUFFIXES and not path.is_dir():
        return Target(path, is_folder=False)
    if path.suffix.lower() in SUFFIXES and not path.is_dir():
        message = f"the suffix of `{masked(str(path))}` is not in lower case, so that no policy would be read from it"
        raise ConfigError(message)
    return Target(path, is_folder=True)


def format_of(target: Target | None, wanted: Format | None) -> Format:
    """The format of the output: the one that is wanted, else that of the file's suffix, else YAML.

    Raises:
        ConfigError: A file's suffix says another one.
    """
    if target is None or target.is_folder:
        return wanted or Format.YAML
    by_suffix = Format.JSON if target.path.suffix == ".json" else Format.YAML
    if wanted not in (None, by_suffix):
        message = f"`{masked(str(target.path))}` is read as {by_suffix.name}, but --format is {wanted.value}"
        raise ConfigError(message)
    return by_suffix


def files_of(target: Target, servers: Iterable[str], form: Format) -> dict[str, Path]:
    """The file of each server's policy."""
    if not target.is_folder:
        return dict.fromkeys(servers, target.path)
    return {name: target.path / POLICIES / f"{stem_of(name)}.{form.value}" for name in servers}


def configuration_of(policies: Mapping[str, Path], servers: Mapping[str, CatalogueServer], catalogue: str) -> str:
    """The text of a configuration that serves policies.

    Args:
        policies: The file of each server's policy, in the folder `POLICIES` beside the configuration.
        servers: The servers, of which the configuration has the addresses.
        catalogue: The path of the catalogue's file, relative to that of the configuration.
    """
    entries = [_server(name, file.stem, servers[name]) for name, file in policies.items()]
    return _HEAD + "".join(entries) + _TAIL.format(catalogue=scalar(catalogue))


def check_policy(server: str, form: Format, text: str) -> None:
    """Makes sure that a policy loads.

    Raises:
        ConfigError: It does not, such as for a name that is too long.
    """
    faults = faults_in(f"policy.{form.value}", text.encode())
    if faults:
        message = f"no policy can be written for {quoted(server)}: {faults[0].message}"
        raise ConfigError(message)


def refuse_existing(files: Iterable[Path]) -> None:
    """Makes sure that no file is replaced.

    Raises:
        ConfigError: One of the files exists.
    """
    for file in files:
        if os.path.lexists(file):
            message = f"`{masked(str(file))}` exists already; name another place, or replace it with --force"
            raise ConfigError(message)


def write_files(contents: Mapping[Path, str]) -> None:
    """Writes files, each in one step, with their folders.

    Raises:
        ConfigError: A file cannot be written, or two of them are one.
    """
    written: dict[tuple[int, int] | None, Path] = {}
    for file, text in contents.items():
        folder = Path(os.path.realpath(file)).parent
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except FileExistsError:
            # A file stands in the place of the folder: the next line says so.
            pass
        except OSError as error:
            message = f"cannot write `{masked(str(file))}`: {reason_of(error)}"
            raise ConfigError(message) from None
        identity = identity_of(file)
        if identity is not None and identity in written:
            names = f"`{masked(str(written[identity]))}` and `{masked(str(file))}`"
            message = (
                f"{names} are one file here, so that one server would get the policy of the other; write to a file "
                "system that tells upper case from lower case, or remove the link"
            )
            raise ConfigError(message)
        put(file, text.encode())
        written[identity_of(file)] = file


def _server(name: str, stem: str, server: CatalogueServer) -> str:
    """The section of a server; its address is a comment if callgate cannot stand in front of it."""
    lines = [f"  {scalar(name)}:", f"    policy: {scalar(stem)}"]
    url = upstream_of(name, server)
    if url is not None:
        lines.append(f"    upstream: {{url: {scalar(url)}}}")
    elif is_started(server):
        lines.append("    # A command starts this server: `callgate wrap` stands in front of it.")
    else:
        lines.append('    # upstream: {url: "http://127.0.0.1:8000/mcp"}')
    return "\n".join(lines) + "\n"


def upstream_of(name: str, server: CatalogueServer) -> str | None:
    """The URL at which the gateway reaches a server; None if it cannot, or none is known."""
    url = server.source.get("url")
    return url if isinstance(url, str) and not_in_a_path(name) is None and _is_endpoint(url) else None


def is_started(server: CatalogueServer) -> bool:
    """True if a command starts the server."""
    return isinstance(server.source.get("command"), list)


def _is_endpoint(url: str) -> bool:
    try:
        endpoint_url(url)
    except ValueError:
        return False
    return True
