"""Arguments of tools: what they carry, which operations they choose, and every text in a schema."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, Literal

from callgate.workbench.classify.acts import Act, act_of
from callgate.workbench.classify.vocabulary import FORMS
from callgate.workbench.classify.words import name_words, word_set

if TYPE_CHECKING:
    from collections.abc import Iterator


Carried = Literal["command", "sql", "url", "path"]
"""Kind of what an argument carries."""

_OPERATION_NAMES: Final = word_set(
    """
        operation op action command subcommand method verb mode operations actions task request_type
    """
)
DEEPEST: Final = 24
MOST_TEXTS: Final = 2_000
"""Bounds of what is read of one schema."""

_CARRIERS: Final[tuple[tuple[Carried, re.Pattern[str]], ...]] = (
    (
        "command",
        re.compile(
            r"(?:^|_)(?:command|commands|cmd|shell|script|code|expression|python|javascript|js|bash|argv|program)(?:$|_)"
        ),
    ),
    ("sql", re.compile(r"(?:^|_)(?:sql|statement|statements|cypher|gremlin|cql|soql|query_string_sql)(?:$|_)")),
    ("url", re.compile(r"(?:^|_)(?:url|urls|uri|uris|endpoint|webhook|callback|link|href|host|hostname)(?:$|_)")),
    (
        "path",
        re.compile(
            r"(?:^|_)(?:path|paths|file|files|filename|filepath|directory|dir|folder|cwd|workdir|destination_path|file_path)(?:$|_)"
        ),
    ),
)
_NO_CARRIERS: Final = re.compile(
    r"(?:^|_)(?:id|ids|type|types|count|size|name_only|code_id|country|currency|language|zip|postal|status|error|region|area|"
    r"exit|mode|format|hash|timeout|limit|encoding|version|max|min|has|is|include|enable|json|arn)(?:$|_)"
)
_SQL_TEXT: Final = re.compile(r"\bSQL\b|\bcypher\b|\bSELECT\b")


def properties_of(schema: Mapping[str, Any] | None) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Each declared argument with its schema; those that are no schema are left out."""
    found = schema.get("properties") if isinstance(schema, Mapping) else None
    if isinstance(found, Mapping):
        for name, of in found.items():
            if isinstance(of, Mapping):
                yield str(name), of


def choices_of(of: Mapping[str, Any]) -> list[str]:
    """The texts that an argument may have: of `enum`, `const` and their unions."""
    found: list[str] = []
    for part in (of, *_parts(of)):
        values = part.get("enum")
        if isinstance(values, list):
            found += [value for value in values if isinstance(value, str)]
        const = part.get("const")
        if isinstance(const, str):
            found.append(const)
    return found


def _parts(of: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for key in ("anyOf", "oneOf", "allOf"):
        values = of.get(key)
        if isinstance(values, list):
            yield from (part for part in values if isinstance(part, Mapping))
    items = of.get("items")
    if isinstance(items, Mapping):
        yield items


def operation_acts(schema: Mapping[str, Any] | None) -> list[Act]:
    """The acts of the operations that an argument such as `action` chooses from."""
    acts: list[Act] = []
    for name, of in properties_of(schema):
        if not set(name_words(name)) & _OPERATION_NAMES and name.lower() not in _OPERATION_NAMES:
            continue
        for choice in choices_of(of):
            words = name_words(choice)
            place = next((at for at, word in enumerate(words) if word in FORMS and FORMS[word].form == "base"), None)
            if place is not None:
                acts.append(act_of(FORMS[words[place]].base, words[place + 1 :] + words[:place]))
    return acts


def runs_commands(schema: Mapping[str, Any] | None) -> bool:
    """True if an argument carries commands, code or SQL."""
    return any(kind in ("command", "sql") for _, kind in carried(schema))


def carried(schema: Mapping[str, Any] | None) -> Iterator[tuple[str, Carried]]:
    """Each argument that carries commands, SQL, URLs or paths, with its kind."""
    for name, of in properties_of(schema):
        if not _takes_text(of) or choices_of(of):
            continue
        plain = "_".join(name_words(name))
        if _NO_CARRIERS.search(plain):
            continue
        said = of.get("description")
        if plain in ("query", "q") and isinstance(said, str) and _SQL_TEXT.search(said):
            yield name, "sql"
            continue
        if of.get("format") in ("uri", "url", "iri", "uri-reference"):
            yield name, "url"
            continue
        kind = next((kind for kind, pattern in _CARRIERS if pattern.search(plain)), None)
        if kind is not None:
            yield name, kind


def _takes_text(of: Mapping[str, Any]) -> bool:
    kinds = {part.get("type") for part in (of, *_parts(of)) if not isinstance(part.get("type"), list)}
    for part in (of, *_parts(of)):
        several = part.get("type")
        if isinstance(several, list):
            kinds |= {one for one in several if isinstance(one, str)}
    return not (kinds - {None}) or "string" in kinds


def texts_of(schema: object) -> tuple[list[tuple[tuple[str, ...], str]], bool]:
    """Every text of a schema with the steps to it: names of arguments, descriptions, defaults, choices, examples.

    The second result is False if the schema has more texts, or deeper ones, than are looked at.
    """
    found: list[tuple[tuple[str, ...], str]] = []
    open_values: list[tuple[tuple[str, ...], object]] = [((), schema)]
    is_whole = True
    while open_values:
        path, value = open_values.pop()
        if isinstance(value, str):
            found.append((path, value))
        elif isinstance(value, (Mapping, list)):
            if len(path) >= DEEPEST or len(found) + len(value) > MOST_TEXTS:
                is_whole = False
                continue
            inner = list(value.items()) if isinstance(value, Mapping) else list(enumerate(value))
            if isinstance(value, Mapping):
                found += [((*path, str(key)), str(key)) for key in value]
            # Reversed, since the last one is taken first.
            open_values += [((*path, str(key)), one) for key, one in reversed(inner)]
    return found, is_whole
