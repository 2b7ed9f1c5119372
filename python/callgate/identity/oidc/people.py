"""The person whom claims describe: the name for pages, and the groups."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from callgate.identity.errors import LoginError, LoginReason
from callgate.text import is_text, plain_line

if TYPE_CHECKING:
    from collections.abc import Mapping

    from callgate.config.login import Login

_MOST_GROUPS: Final = 500
_LONGEST_GROUP: Final = 256
_LONGEST_NAME: Final = 120


def has_groups(claims: Mapping[str, Any], login: Login) -> bool:
    """True if the claim with the groups is there."""
    return _at(claims, login.groups_claim) is not None


def groups_of(claims: Mapping[str, Any], login: Login) -> frozenset[str]:
    """The groups of a person: none if the claim is missing, and one if it is a text.

    Raises:
        LoginError: There are more than can be kept, or the claim is something else.
    """
    found = _at(claims, login.groups_claim)
    listed = [] if found is None else [found] if isinstance(found, str) else found
    claim = ".".join(login.groups_claim)
    if not isinstance(listed, list):
        message = f"the claim `{claim}` of the issuer is no list of groups; check `groups_claim` of the configuration"
        raise LoginError(LoginReason.CLAIMS, message)
    groups = frozenset(group for group in listed if isinstance(group, str) and _is_group(group))
    if len(groups) > _MOST_GROUPS:
        message = (
            f"the issuer names {len(groups)} groups, and at most {_MOST_GROUPS} are taken; have it send those alone "
            "that matter to callgate"
        )
        raise LoginError(LoginReason.GROUPS, message)
    return groups


def name_of(claims: Mapping[str, Any], login: Login) -> str:
    """The name of a person on pages and in records; empty if the issuer gives none."""
    found = _at(claims, login.name_claim)
    return plain_line(found)[:_LONGEST_NAME] if isinstance(found, str) and is_text(found) else ""


def _at(claims: Mapping[str, Any], path: tuple[str, ...]) -> Any:  # noqa: ANN401  JSON
    found: Any = claims
    for name in path:
        found = found.get(name) if isinstance(found, dict) else None
    return found


def _is_group(group: str) -> bool:
    return 0 < len(group) <= _LONGEST_GROUP and group.isprintable() and is_text(group)
