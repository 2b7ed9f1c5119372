"""Diagnostics of a document: faults, warnings and the findings of the analysis, each with its place."""

from __future__ import annotations

import re
from codecs import BOM_UTF8
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from callgate._callgate import validate
from callgate.config.check import of_policy
from callgate.config.document import parse_document
from callgate.config.engine_form import ConvertedDocument, engine_form
from callgate.config.faults import InvalidConfigError
from callgate.config.policies import faults_in
from callgate.errors import CallgateError, PolicyError
from callgate.text import is_text, masked
from callgate.workbench.analyse import analyse, repair
from callgate.workbench.lsp.kinds import Kind
from callgate.workbench.lsp.places import Places
from callgate.workbench.rules import parse_policy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from callgate.config.faults import Fault
    from callgate.workbench.analyse import Finding
    from callgate.workbench.lsp.documents import OpenDocument
    from callgate.workbench.rules import Policy

Severity: TypeAlias = Literal["error", "warning", "info"]
Clock: TypeAlias = "Callable[[], float]"

_SAYS_MORE: Final = frozenset({"CG105", "CG111", "CG112", "CG113", "CG131", "CG134", "CG141"})
"""Findings that say more than a warning at the same place."""
_NO_ANSWER: Final = "CG190"
_MARK: Final = "\ufeff"
_HALF: Final = re.compile(r"[\ud800-\udfff]")


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong at a place."""

    line: int
    """From 1."""
    column: int
    """From 1, in characters."""
    severity: Severity
    message: str
    code: str | None = None
    page: str | None = None
    """The page that explains the code, from the top of the repository."""
    is_fixable: bool = False


def problems(
    document: OpenDocument, path: Path | None, review: Callable[[Kind, Path], Iterable[Problem]], clock: Clock
) -> list[Problem]:
    """The problems of a document, in its order.

    Policies are checked as they are typed. Other kinds name further files, so they are checked as they are saved, and
    while they differ from their file only for being well formed.

    Args:
        document: The document.
        path: Its file; None if it was never saved.
        review: Checks the saved file of a kind other than a policy.
        clock: Time in seconds, for the bound of the analysis; it may raise to end it.
    """
    if document.kind is None or not document.is_checked:
        # Somebody else's document, or one that is not begun.
        return []
    if not is_text(document.text):
        return [_half_character(document)]
    content = document.text.encode()
    if document.kind is Kind.POLICY:
        found = _of_policy(document.name, content, clock)
    elif path is not None and _is_saved(path, content):
        found = list(review(document.kind, path))
    else:
        found = _of_form(document.name, content)
    return sorted(found, key=lambda one: (one.line, one.column))


def mended(document: OpenDocument, clock: Clock) -> str | None:
    """The text of a policy after the removal of what has no effect; None if nothing certain is to be removed."""
    try:
        done = repair(parse_policy(document.name, document.text.encode()), clock=clock)
    except CallgateError:
        return None
    if not done.mended:
        return None
    # The reader leaves a byte order mark out.
    return f"{_MARK if document.text.startswith(_MARK) else ''}{done.policy.document.text}"


def problem_of(fault: Fault, severity: Severity) -> Problem:
    """A fault or warning of a reader as a problem."""
    return Problem(fault.line, fault.column, severity, masked(fault.message))


def _half_character(document: OpenDocument) -> Problem:
    """The first lone surrogate of a text, which no file can hold."""
    found = _HALF.search(document.text)
    line, column = Places(document.text).place(0 if found is None else found.start())
    message = "half of a character (a lone surrogate), so that nothing was checked; remove it or write the whole one"
    return Problem(line, column, "error", message)


def _is_saved(path: Path, content: bytes) -> bool:
    # Some editors show a text without its byte order mark, and write it back to the file.
    text = content.removeprefix(BOM_UTF8)
    sizes = {len(text), len(BOM_UTF8) + len(text)}
    try:
        # A pipe has no size: to read it would wait without an end.
        return path.stat().st_size in sizes and path.read_bytes().removeprefix(BOM_UTF8) == text
    except OSError:
        return False


def _of_form(name: str, content: bytes) -> list[Problem]:
    try:
        parse_document(name, content)
    except InvalidConfigError as error:
        return [problem_of(one, "error") for one in error.faults]
    except CallgateError as error:
        return [Problem(1, 1, "error", masked(str(error)))]
    return []


def _of_policy(name: str, content: bytes, clock: Clock) -> list[Problem]:
    if faults := faults_in(name, content):
        return [problem_of(one, "error") for one in faults]
    try:
        warnings = _warnings(name, content)
        policy = parse_policy(name, content)
    except InvalidConfigError as error:
        return [problem_of(one, "error") for one in error.faults]
    except PolicyError as error:
        return [Problem(error.line or 1, error.column or 1, "error", masked(error.message))]
    except CallgateError as error:
        return [Problem(1, 1, "error", masked(str(error)))]
    analysis = analyse(policy, clock=clock)
    deep = [_of_finding(policy, one) for one in (*analysis.findings, *analysis.unknown)]
    places = {(one.line, one.column) for one in deep if one.code in _SAYS_MORE}
    texts = {_one_spaced(masked(one.message)) for one in (*analysis.findings, *analysis.unknown)}
    plain = [one for one in warnings if (one.line, one.column) not in places and _one_spaced(one.message) not in texts]
    return [*plain, *(one for one in deep if one.code != _NO_ANSWER)]


def _one_spaced(text: str) -> str:
    """The text as findings show it, with one space for several."""
    return " ".join(text.split())


def _warnings(name: str, content: bytes) -> list[Problem]:
    form = engine_form(name, content)
    with TemporaryDirectory(prefix="callgate-policy-") as folder:
        # The engine's reader takes paths alone.
        path = Path(folder) / f"policy{Path(name).suffix}"
        path.write_bytes(form.content)
        found = [form.fault(*one[1:]) for one in validate(path)]
    return [problem_of(one, "warning") for one in (*found, *of_policy(name, content, None, None))]


def _of_finding(policy: Policy, one: Finding) -> Problem:
    line, column = policy.document.place(one.at, of_key=one.of_key)
    text = masked(one.message)
    if one.witness.text:
        text = f"{text}\n{masked(one.witness.text)}"
    # The parts of a converted document are not those of its text.
    is_fixable = one.fix is not None and not isinstance(policy.document, ConvertedDocument)
    return Problem(line, column, one.code.severity, text, one.code.code, one.code.page, is_fixable)
