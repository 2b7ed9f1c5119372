"""Approvals that wait for people, active permits and freezes of a running sidecar, as `status` and `top` print them."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from callgate.approvals.times import brief
from callgate.text import visible

if TYPE_CHECKING:
    from collections.abc import Mapping

_UNKNOWN: Final = "unknown, because the store is not open"


def approvals_line(document: Mapping[str, Any], command: str) -> str:
    """The approvals that wait, with the place to answer them."""
    numbers = document["approvals"]
    if numbers is None:
        return _UNKNOWN
    pending = numbers["pending"]
    if not pending:
        return "none waits for a person"
    oldest = brief(numbers["oldest_pending_s"] * 1_000_000)
    shown = f"1 waits for a person, for {oldest}" if pending == 1 else f"{pending} wait for people, the oldest {oldest}"
    return f"{shown}: {command}"


def permits_line(document: Mapping[str, Any]) -> str:
    """The permits that admit calls without asking."""
    numbers = document["approvals"]
    if numbers is None:
        return _UNKNOWN
    permits = numbers["active_permits"]
    return f"{permits} active, by which calls pass without asking" if permits else "none active"


def answering_place(status: Mapping[str, Any], state: Path | None, config: Path | None, admin: str | None) -> str:
    """The command, or the page, with which the approvals of a sidecar are answered; options are those of the caller.

    Args:
        status: The state of the sidecar, or the members `state` and `store` of it.
        state: The option `--state`, if it was given.
        config: The option `--config`, likewise.
        admin: The option `--admin`, likewise.
    """
    if admin is not None:
        return visible(f"{admin.rstrip('/')}/approvals")
    store = status["store"]
    folder = Path(store["place"]).parent
    words = ["callgate", "approvals", "watch"]
    if store["temporary"]:
        words += ["--state", str(folder)]
    elif folder == Path(status["state"]):
        words += [] if state is None else ["--state", str(state)]
        words += [] if state is not None or config is None else ["--config", str(config)]
    else:
        words += ["--config", "FILE" if config is None else str(config)]
    return visible(shlex.join(words))
