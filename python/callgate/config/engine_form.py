"""Policies in the form that the engine reads: its own as they are, Intercept's converted in memory."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from json import dumps
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from callgate.config.document import Document, parse_document, read_bytes
from callgate.config.faults import Fault, InvalidConfigError
from callgate.config.folder import documents_in
from callgate.config.intercept.detect import is_intercept, may_be_intercept
from callgate.errors import ConfigError, PolicyError, TransientError
from callgate.exact_json import write_json
from callgate.text import masked, reason_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from callgate.config.document import KeyPath
    from callgate.config.intercept.convert import Converted


@dataclass(frozen=True)
class ConvertedDocument(Document):
    """A converted policy. Its places are those in the source."""

    source: Document = field(repr=False)
    converted: Converted = field(repr=False)

    def place(self, path: KeyPath, *, of_key: bool = False) -> tuple[int, int]:
        """Line and column in the source of that from which the value comes."""
        return self.source.place(self.converted.origin(path), of_key=of_key)

    def fault(self, path: KeyPath, message: str, *, of_key: bool = False) -> Fault:
        """A fault of the value at a path of the converted policy, placed in the source."""
        return self.source.fault(self.converted.origin(path), message, of_key=of_key)


@dataclass(frozen=True)
class EngineForm:
    """A policy as the engine takes it: a name, whose suffix gives the format, and its contents."""

    file: str
    content: bytes = field(repr=False)
    document: ConvertedDocument | None = None
    """The document, if it was converted."""

    def fault(self, line: int, column: int, message: str) -> Fault:
        """A fault that the engine found in `content`, placed in the source."""
        if self.document is None:
            return Fault(message, self.file, line, column)
        of_section = " needs the field " in message or " is missing" in message
        return self.document.fault(self._read.path_at(line, column, of_section=of_section), message)

    def placed(self, error: PolicyError) -> PolicyError:
        """An error that the engine raised about `content`, placed in the source."""
        fault = self.fault(error.line, error.column, error.message)
        return PolicyError(self.file, fault.line, fault.column, fault.message)

    @cached_property
    def _read(self) -> Document:
        return parse_document(self.file, self.content)


def engine_form(file: str, content: bytes) -> EngineForm:
    """The form of one policy. What cannot be read is left as it is, because the engine says why.

    Raises:
        InvalidConfigError: It is one of Intercept's and cannot be converted; all that was found.
    """
    if not may_be_intercept(content):
        return EngineForm(file, content)
    try:
        source = parse_document(file, content)
    except ConfigError:
        return EngineForm(file, content)
    if not is_intercept(source.data):
        return EngineForm(file, content)
    # Here, because few policies are Intercept's.
    from callgate.config.intercept.convert import convert  # noqa: PLC0415

    converted = convert(source)
    text = write_json(converted.data, string=dumps if file.endswith(".json") else _yaml_string)
    return EngineForm(file, text.encode(), ConvertedDocument(file, content, converted.data, source, converted))


def engine_forms(policies: Iterable[tuple[str, bytes]]) -> Iterator[EngineForm]:
    """The form of each policy, of which the caller may drop those that it does not need.

    Raises:
        InvalidConfigError: Some are Intercept's and cannot be converted; all that was found, after the last one.
    """
    faults: list[Fault] = []
    for file, content in policies:
        try:
            yield engine_form(file, content)
        except InvalidConfigError as error:  # noqa: PERF203  every fault is wanted
            faults += error.faults
    if faults:
        raise InvalidConfigError(faults)


@contextmanager
def engine_path(path: Path) -> Iterator[Path]:
    """The path from which the engine reads a policy or a folder of them, while the context lasts.

    It is another one where a policy has to be converted; then errors inside name the source.

    Raises:
        ConfigError: A file cannot be read.
        InvalidConfigError: A policy of Intercept's cannot be converted.
    """
    files = documents_in(path) if path.is_dir() else [path]
    every = engine_forms((str(file), _contents(file)) for file in files)
    # Only converted ones are kept in memory: a folder may hold thousands of others.
    forms = {Path(form.file).name: form for form in every if form.document is not None}
    if not forms:
        yield path
        return
    with ExitStack() as stack:
        try:
            folder = stack.enter_context(TemporaryDirectory(prefix="callgate-policy-"))
            for file in files:
                is_converted = file.name in forms
                Path(folder, file.name).write_bytes(forms[file.name].content if is_converted else read_bytes(file))
        except OSError as error:
            message = (
                f"`{masked(str(path))}` has to be converted, and there is no folder for temporary files: "
                f"{reason_of(error)}; set TMPDIR, or convert it with `callgate convert intercept`"
            )
            raise ConfigError(message) from None
        try:
            yield Path(folder) if path.is_dir() else Path(folder, path.name)
        except PolicyError as error:
            raise _placed(error, Path(folder), path, forms) from None
        except ConfigError as error:
            if folder not in str(error):
                raise
            raise ConfigError(str(error).replace(folder, str(path if path.is_dir() else path.parent))) from None


def _contents(file: Path) -> bytes:
    """The contents of a file; none of one that cannot be read, because the engine says why."""
    try:
        return read_bytes(file)
    except TransientError:
        raise
    except ConfigError:
        return b""


def _placed(error: PolicyError, folder: Path, path: Path, forms: dict[str, EngineForm]) -> PolicyError:
    """The same error about the file from which the one in the folder was made."""
    made = Path(error.file)
    if made.parent != folder:
        return error
    form = forms.get(made.name)
    if form is not None:
        return form.placed(error)
    source = path / made.name if path.is_dir() else path
    return PolicyError(str(source), error.line, error.column, error.message)


def _yaml_string(text: str) -> str:
    """A string in quotes, for readers of YAML: they take no surrogates, and no invisible characters as they are."""
    written = dumps(text, ensure_ascii=False)
    if written.isprintable():
        return written
    return "".join(one if one.isprintable() else f"\\U{ord(one):08x}" for one in written)
