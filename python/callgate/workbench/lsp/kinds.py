"""The kinds of documents, told apart by their names and their keys."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from enum import Enum
from functools import cache
from importlib.resources import files
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, Final

from callgate._callgate import policy_schema
from callgate.config.schema import config_schema
from callgate.text import nearest
from callgate.workbench.policy_tests.schema import suite_schema

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from callgate.workbench.lsp.words import Token


class Kind(Enum):
    """A kind of document."""

    POLICY = "policy"
    CONFIG = "configuration"
    TESTS = "policy tests"
    CATALOGUE = "catalogue"


@cache
def schema_of(kind: Kind) -> dict[str, Any]:
    """The JSON Schema of a kind, as `callgate schema` prints it."""
    if kind is Kind.CONFIG:
        return config_schema()
    if kind is Kind.TESTS:
        return suite_schema()
    is_policy = kind is Kind.POLICY
    text = policy_schema() if is_policy else files("callgate").joinpath("catalogue.schema.json").read_text("utf-8")
    found: dict[str, Any] = json.loads(text)
    return found


@dataclass(frozen=True)
class Sort:
    """The kind of a document, and how certain it is."""

    kind: Kind | None
    """None if it is none of callgate's, such as a manifest of another program."""
    is_certain: bool
    """False if nothing in it shows its kind yet: it gets help as a new policy, and no diagnostics."""


OTHERS: Final = Sort(None, is_certain=True)
"""No document of callgate's."""
_NEW: Final = Sort(Kind.POLICY, is_certain=False)

_NAMES: Final = {"callgate": Kind.CONFIG, "catalogue": Kind.CATALOGUE, "policy": Kind.POLICY}
_ENDING_OF_TESTS: Final = "_test"
_POLICIES: Final = "policies"
"""The folder whose files are policies."""

_GENERIC: Final = frozenset({"version", "name", "description", "mode"})
"""Keys of a policy that many formats have."""
_LISTS: Final = frozenset({"hide", "log_args", "log_labels"})
_MAPPINGS: Final = frozenset({"tools", "all_tools", "categories"})
_OF_CONFIG: Final = frozenset(
    {
        "policies",
        "policies_folder",
        "grants",
        "grants_file",
        "grant_key_file",
        "peps",
        "rate_limits",
        "reservations",
        "pinning",
        "allowed_hosts",
    }
)
"""Keys of a configuration that say with `servers` what it is; others have `servers` too."""
_OF_TESTS: Final = frozenset({"policy", "calls", "people"})
"""Keys of policy tests that say with `tests` what they are."""
_LIKENESS: Final = 0.8
"""Likeness of a misspelt key: `modules` is no `mode`, and `defualt` is `default`."""


def sort_of(name: str, folder: str, text: str, tokens: Sequence[Token]) -> Sort:
    """The kind of a document: by its name where the name fixes it, else by keys that only this kind has.

    Keys that many formats have, such as ``version`` and ``name``, decide nothing alone.

    Args:
        name: The name of its file.
        folder: The name of the folder of its file.
        text: Its text.
        tokens: Its keys and values.
    """
    if (named := _kind_of_name(name, folder)) is not None:
        return Sort(named, is_certain=True)
    if any(isinstance(one.path[0], int) for one in tokens if one.path):
        # A list, and nothing of callgate's is one.
        return OTHERS
    keys = {one.text: one for one in tokens if one.is_key and len(one.path) == 1 and not one.text.startswith("x-")}
    keys.pop("$schema", None)
    forms = _forms(text, keys, tokens)
    if (other := _other_kind(forms, tokens)) is not None:
        return Sort(other, is_certain=True)
    if _is_policy(forms):
        return Sort(Kind.POLICY, is_certain=True)
    version = next((one.text for one in tokens if one.path == ("version",) and not one.is_key), "")
    is_foreign = version not in {"", "1"} or not all(_may_begin_policy(key, forms[key]) for key in keys)
    return OTHERS if is_foreign else _NEW


class _Form(Enum):
    """The form of a key's value, as far as it is typed."""

    SCALAR = 1
    LIST = 2
    MAPPING = 3
    EMPTY = 4
    """A colon, and nothing after it."""
    NONE = 5
    """The key alone, which somebody types."""


def _kind_of_name(name: str, folder: str) -> Kind | None:
    stem = PurePosixPath(name).stem
    if stem.endswith(_ENDING_OF_TESTS):
        return Kind.TESTS
    return _NAMES.get(stem, Kind.POLICY if folder == _POLICIES else None)


def _other_kind(forms: Mapping[str, _Form], tokens: Iterable[Token]) -> Kind | None:
    """The kind other than a policy that the keys show."""
    if "tests" in forms and _OF_TESTS & forms.keys():
        return Kind.TESTS
    if forms.get("servers", _Form.LIST) in {_Form.LIST, _Form.SCALAR}:
        return None
    if _OF_CONFIG & forms.keys():
        return Kind.CONFIG
    has_tools = any(len(one.path) > _DEPTH_OF_TOOLS and one.path[::2][:2] == ("servers", "tools") for one in tokens)
    return Kind.CATALOGUE if has_tools or "overrides" in forms else None


_DEPTH_OF_TOOLS: Final = 2


def _is_policy(forms: Mapping[str, _Form]) -> bool:
    """True if a key is one that only policies have, or such a key misspelt, with a value of its form."""
    own = _own_keys()
    for key, form in forms.items():
        meant = key if key in own else nearest(key, own, likeness=_LIKENESS)
        if meant is None or form is _Form.NONE:
            continue
        if meant in _MAPPINGS:
            fits = form in {_Form.MAPPING, _Form.EMPTY}
        else:
            fits = form is not _Form.MAPPING and (meant in _LISTS or form is not _Form.LIST)
        if fits:
            return True
    return False


def _may_begin_policy(key: str, form: _Form) -> bool:
    """True for a generic key, for the beginning of a key, and for a key that is half typed."""
    if form is _Form.NONE or key in _GENERIC:
        return True
    return form in {_Form.SCALAR, _Form.EMPTY} and any(one.startswith(key) for one in _GENERIC | _own_keys())


def _own_keys() -> set[str]:
    return set(schema_of(Kind.POLICY)["properties"]) - _GENERIC


def _forms(text: str, keys: Mapping[str, Token], tokens: Iterable[Token]) -> dict[str, _Form]:
    inner: dict[str, _Form] = {}
    for one in tokens:
        top = one.path[0] if one.path else None
        if isinstance(top, str) and (len(one.path) > 1 or not one.is_key):
            is_scalar = len(one.path) == 1
            form = _Form.SCALAR if is_scalar else _Form.LIST if isinstance(one.path[1], int) else _Form.MAPPING
            inner.setdefault(top, form)
    return {key: inner.get(key) or _form_after(text, token.end) for key, token in keys.items()}


def _form_after(text: str, end: int) -> _Form:
    """The form of a value in which no key and value is found."""
    found = _AFTER_KEY.match(text, end)
    if found is None:
        return _Form.NONE
    return {"{": _Form.MAPPING, "[": _Form.LIST}.get(found[1], _Form.EMPTY)


_AFTER_KEY: Final = re.compile(r"[ \t]*:\s*([{\[]?)")
