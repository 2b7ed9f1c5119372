"""The output of conversions: stdout, a file, or a folder for several."""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from callgate.config.document import special
from callgate.errors import ConfigError
from callgate.text import masked, quoted, reason_of
from callgate.workbench.convert.render import render_json, render_yaml

if TYPE_CHECKING:
    from collections.abc import Sequence

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
    taken = {source.resolve() for source in sources}
    for file in files:
        if file is not None and file.resolve() in taken:
            message = f"`{masked(str(file))}` is what is converted; name another file as -o"
            raise ConfigError(message)
        if file is not None and file.exists() and not file.is_file():
            raise ConfigError(special(file).replace("read", "write", 1))


def text_of(limits: RateLimits, file: Path | None, header: Sequence[str]) -> str:
    """YAML, or JSON if the file's name ends with ``.json``."""
    if file is not None and file.suffix == ".json":
        return render_json(limits)
    return render_yaml(limits, header)


def write(text: str, file: Path) -> None:
    """Writes a file atomically, because a sidecar may watch its folder.

    Raises:
        ConfigError: It cannot be written.
    """
    file = file.resolve()
    partial = file.with_name(f".{file.name}.{secrets.token_hex(4)}")
    try:
        try:
            with partial.open("x", encoding="utf-8", newline="\n") as handle:
                handle.write(text)
                handle.flush()
                os.fsync(handle.fileno())
            partial.replace(file)
        finally:
            partial.unlink(missing_ok=True)
    except OSError as error:
        message = f"cannot write `{masked(str(file))}`: {reason_of(error)}"
        raise ConfigError(message) from None


def _file_name(domain: str) -> str:
    # A domain may be any text, even `..` or `a/b`; different domains stay different after escaping.
    name = quote(domain, safe="")
    return name.replace(".", "%2E", 1) if name.startswith(".") else name
