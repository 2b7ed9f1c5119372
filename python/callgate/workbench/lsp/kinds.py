"""The kinds of documents, told apart by their names and their keys."""

from __future__ import annotations

import json
from enum import Enum
from functools import cache
from importlib.resources import files
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, Final

from callgate._callgate import policy_schema
from callgate.config.schema import config_schema
from callgate.workbench.policy_tests.schema import suite_schema

if TYPE_CHECKING:
    from collections.abc import Iterable

    from callgate.workbench.lsp.words import Token


class Kind(Enum):
    """A kind of document."""

    POLICY = "policy"
    CONFIG = "configuration"
    TESTS = "policy tests"
    CATALOGUE = "catalogue"


_ENDING_OF_TESTS: Final = "_test"


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


def kind_of(name: str, tokens: Iterable[Token]) -> Kind | None:
    """The kind of a document; None if it is none of callgate's, such as a manifest of another program.

    A document that has no keys yet, or only such as several kinds have, is told by its name, and else is a policy.

    Args:
        name: The name of its file.
        tokens: Its keys and values.
    """
    stem = PurePosixPath(name).stem
    if stem.endswith(_ENDING_OF_TESTS):
        return Kind.TESTS
    keys = {one.text for one in tokens if one.is_key and len(one.path) == 1 and not one.text.startswith("x-")}
    keys -= {"$schema"}
    known = {kind: len(keys & schema_of(kind)["properties"].keys()) for kind in Kind}
    best = max(known, key=lambda kind: (known[kind], _NAMES.get(stem) is kind, kind is Kind.POLICY))
    # Half of the keys may be misspelt; a document of which fewer are known is somebody else's.
    return best if known[best] * 2 >= len(keys) else None


_NAMES: Final = {"callgate": Kind.CONFIG, "catalogue": Kind.CATALOGUE}
