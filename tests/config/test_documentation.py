"""The page that lists every key says what the model says."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from pydantic import BaseModel

from callgate.config.model import Config
from callgate.config.schema import config_schema
from callgate.config.shape import leaves
from callgate.control.restart import FIXED
from support.program import run

ROOT = Path(__file__).resolve().parent.parent.parent
PAGE = ROOT / "docs" / "configuration.md"


def rows() -> Iterator[str]:
    for path, meaning in leaves():
        key = ".".join(path).replace(".[]", "[]")
        variable = "CALLGATE_" + "__".join(path).upper() if "[]" not in path else ""
        text = " ".join(meaning.split())
        takes_effect = "restart" if path[0] in FIXED else "at once"
        cells = [f"`{key}`", f"`{variable}`" if variable else "", default(path), takes_effect, text]
        yield f"| {' | '.join(cells)} |".replace("|  |", "| |")


def default(path: tuple[str, ...]) -> str:
    model: Any = Config
    for step in path[:-1]:
        if step not in {"[]", "<name>"}:
            model = section(model, step)
    field = model.model_fields[path[-1]]
    if field.is_required():
        return "required"
    if field.default_factory is not None or field.default is None:
        return ""
    value = model.model_construct().model_dump(mode="json", include={path[-1]})[path[-1]]
    return f"`{value}`" if isinstance(value, str) else f"`{json.dumps(value)}`"


def section(model: type[BaseModel], name: str) -> type[BaseModel]:
    from callgate.config.shape import shapes_of  # noqa: PLC0415

    shape = shapes_of(model)[name]
    shape = shape.members or shape.items or shape
    assert shape.section is not None
    return shape.section


def test_every_key_is_on_the_page() -> None:
    wanted = list(rows())
    written = [line for line in PAGE.read_text().splitlines() if line.startswith("| `") and line.count("|") == 6]
    assert written == wanted, "the table should be\n" + "\n".join(wanted)


def test_every_key_has_a_meaning() -> None:
    for path, meaning in leaves():
        assert meaning, path
        assert meaning.endswith("."), path


def test_the_example_fits_the_schema() -> None:
    validator = jsonschema.Draft202012Validator(config_schema())
    example = yaml.safe_load((ROOT / "examples" / "callgate.yaml").read_text())
    assert list(validator.iter_errors(example)) == []


@pytest.mark.parametrize(
    ("document", "good"),
    [
        ({"servers": {"a": {}}}, True),
        (
            {"servers": {"a": {}}, "counters": {"capacity": 5}, "grace": "5s"},
            True,
        ),
        ({"servers": {"a": {}}, "listen": None, "socket": "s"}, True),
        ({}, False),
        ({"severs": {}}, False),
        ({"servers": {"a": {}}, "grant_key": "x"}, False),
        ({"servers": {"a": {}}, "grace": 5}, False),
        ({"servers": {"a": {}}, "grants": [{"id": "a"}]}, False),
        ({"servers": {"a": {}}, "grants": None}, False),
        ({"servers": {"a": {}}, "peps": None}, False),
    ],
)
def test_the_schema_says_what_the_model_says(document: dict[str, Any], good: bool, tmp_path: Path) -> None:
    path = tmp_path / "callgate.json"
    path.write_text(json.dumps(document))
    assert jsonschema.Draft202012Validator(json.loads(run("schema", "config").out)).is_valid(document) is good
    assert run("config", "check", path).code == (0 if good else 2)
