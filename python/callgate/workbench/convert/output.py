"""The output of conversions: stdout, a file, or a folder for several."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

from callgate.config.document import special
from callgate.errors import ConfigError
from callgate.text import quoted
from callgate.workbench.convert.render import render_json, render_yaml
from callgate.workbench.replace import put, refuse_sources

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from callgate.workbench.convert.rules import RateLimits


def targets(domains: Sequence[RateLimits], output: Path | None, sources: Sequence[Path]) -> list[Path | None]:
    """The file of each domain, None for stdout.

    Raises:
        ConfigError: There are several domains and no folder for them, or a file is one of the sources.
    """
    if output is not None and output.is_dir():
        files: list[Path | None] = [output / f"{_file_name(limits.domain)}.yaml" for limits in domains]
    elif len(domains) > 1:
        names = ", ".join(quoted(limits.domain) for limits in domains[:5]) + (", ..." if len(domains) > 5 else "")  # noqa: PLR2004
        message = f"there are {len(domains)} domains ({names}), and a file holds one; name a folder that exists as -o"
        raise ConfigError(message)
    else:
        files = [output] * len(domains)
    check_targets(files, sources)
    return files


def check_targets(files: Sequence[Path | None], sources: Sequence[Path]) -> None:
    """Refuses files that must not be replaced.

    Raises:
        ConfigError: One is a source, or no regular file.
    """
    refuse_sources((file for file in files if file is not None), sources)
    for file in files:
        if file is not None and file.exists() and not file.is_file():
            raise ConfigError(special(file).replace("read", "write", 1))


def text_of(limits: RateLimits, file: Path | None, header: Sequence[str]) -> str:
    """YAML, or JSON if the file's name ends with ``.json``."""
    if file is not None and file.suffix == ".json":
        return render_json(limits)
    return render_yaml(limits, header)


def write(text: str, file: Path) -> None:
    """Writes a file in one step, because a sidecar may watch its folder.

    Raises:
        ConfigError: It cannot be written.
    """
    put(file, text.encode())


def _file_name(domain: str) -> str:
    # A domain may be any text, even `..` or `a/b`; different domains stay different after escaping.
    name = quote(domain, safe="")
    return name.replace(".", "%2E", 1) if name.startswith(".") else name
