"""YAML with positions: the core schema of YAML 1.2, without anchors, aliases and tags, which policies lack too."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import yaml

from callgate.config.place import Malformed, Place
from callgate.text import quoted

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Malformed", "places", "read"]

_LOADER: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_DEPTH: Final = 64

# YAML 1.2, section 10.3.2. The library itself reads YAML 1.1, in which `no` is false and `1:30` is 90.
_WORDS: Final = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_INT: Final = re.compile(r"[-+]?[0-9]{1,300}")
_BASED: Final = re.compile(r"0o[0-7]{1,100}|0x[0-9a-fA-F]{1,100}")
_FLOAT: Final = re.compile(r"[-+]?(\.[0-9]+|[0-9]+\.[0-9]*|[0-9]+(?=[eE]))([eE][-+]?[0-9]+)?")


@dataclass
class _Open:
    """A mapping or sequence that has not ended."""

    value: dict[str, Any] | list[Any]
    path: tuple[str | int, ...]
    key: str | None = None
    key_place: tuple[int, int] | None = None


@dataclass
class _Builder:
    """Builds a document from its events without recursion, so that depth is a limit and not a crash."""

    found: dict[tuple[str | int, ...], Place] | None = None
    open: list[_Open] = field(default_factory=list)
    root: Any = None

    def next_path(self) -> tuple[str | int, ...]:
        """The path of the next value."""
        if not self.open:
            return ()
        top = self.open[-1]
        step = len(top.value) if isinstance(top.value, list) else top.key
        return (*top.path, step if step is not None else "")

    def scalar(self, event: yaml.ScalarEvent) -> None:
        top = self.open[-1] if self.open else None
        if top is not None and isinstance(top.value, dict) and top.key is None:
            _refuse_extras(event)
            if event.value in top.value:
                raise _malformed(event, f"the key {quoted(event.value)} stands here twice; keep one of them")
            if event.value == "<<" and event.implicit[0]:
                raise _malformed(event, "merge keys are not supported; write the values out")
            top.key, top.key_place = event.value, _place(event)
            return
        self.add(event, _resolve(event) if event.implicit[0] else event.value)

    def add(self, event: yaml.Event, value: Any) -> None:  # noqa: ANN401  a document may hold anything
        """Adds a value at its path."""
        _refuse_extras(event)
        place = _place(event)
        top = self.open[-1] if self.open else None
        if self.found is not None:
            self.found[self.next_path()] = Place((top.key_place if top else None) or place, place)
        path = self.next_path()
        if top is None:
            self.root = value
        elif isinstance(top.value, list):
            top.value.append(value)
        elif top.key is None:
            raise _malformed(event, "expected a plain key")
        else:
            top.value[top.key] = value
            top.key = top.key_place = None
        if isinstance(value, (dict, list)):
            if len(self.open) == _DEPTH:
                raise _malformed(event, f"nested more than {_DEPTH} levels deep")
            self.open.append(_Open(value, path))


def read(text: str) -> Any:  # noqa: ANN401  a document may hold anything
    """The value of a document; None where it is empty.

    Raises:
        Malformed: It is not YAML, uses what is not supported, or has a key twice.
    """
    return _build(text, _Builder()).root


def places(text: str) -> dict[tuple[str | int, ...], Place]:
    """The position of each value of a well-formed document."""
    found: dict[tuple[str | int, ...], Place] = {(): Place((1, 1), (1, 1))}
    _build(text, _Builder(found))
    return found


def _build(text: str, builder: _Builder) -> _Builder:
    documents = 0
    for event in _events(text):
        match event:
            case yaml.ScalarEvent():
                builder.scalar(event)
            case yaml.MappingStartEvent():
                builder.add(event, {})
            case yaml.SequenceStartEvent():
                builder.add(event, [])
            case yaml.MappingEndEvent() | yaml.SequenceEndEvent():
                builder.open.pop()
            case yaml.AliasEvent():
                raise _malformed(event, "aliases are not supported; write the value out")
            case yaml.DocumentStartEvent():
                documents += 1
                if documents > 1:
                    raise _malformed(event, "expected one document; remove what follows `---`")
            case _:
                pass
    return builder


def _events(text: str) -> Iterator[yaml.Event]:
    try:
        yield from yaml.parse(text, Loader=_LOADER)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        problem = error.problem or error.context or "cannot be read"
        raise Malformed(f"not well-formed YAML: {problem}", line, column) from None
    except yaml.reader.ReaderError as error:
        # The C library counts bytes.
        before = text[: error.position]
        if _LOADER is not yaml.SafeLoader:
            before = text.encode("utf-8", "surrogatepass")[: error.position].decode("utf-8", "ignore")
        line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
        raise Malformed("not well-formed YAML: a control character is not allowed here", line, column) from None


def _resolve(event: yaml.ScalarEvent) -> Any:  # noqa: ANN401  a scalar is one of five types
    text: str = event.value
    if text in _WORDS:
        return _WORDS[text]
    if _INT.fullmatch(text):
        return int(text)
    if _BASED.fullmatch(text):
        return int(text, 0)
    if _FLOAT.fullmatch(text):
        return float(text)
    return text


def _refuse_extras(event: yaml.Event) -> None:
    if getattr(event, "anchor", None) is not None:
        raise _malformed(event, "anchors are not supported; write the value out")
    if getattr(event, "tag", None) is not None:
        raise _malformed(event, "tags are not supported; remove it")


def _place(event: yaml.Event) -> tuple[int, int]:
    mark = event.start_mark
    return (mark.line + 1, mark.column + 1) if mark else (1, 1)


def _malformed(event: yaml.Event, message: str) -> Malformed:
    return Malformed(message, *_place(event))
