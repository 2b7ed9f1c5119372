"""The server of one client: its open documents, and what is wrong with them."""

from __future__ import annotations

import asyncio
import time
import traceback
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote

from lsprotocol import types as lsp
from pygls.lsp.server import LanguageServer
from pygls.uris import to_fs_path

from callgate._callgate import version
from callgate.workbench.lsp.checks import Problem, mended, problems
from callgate.workbench.lsp.documents import OpenDocument
from callgate.workbench.lsp.flow import FlowReader
from callgate.workbench.lsp.kinds import Kind
from callgate.workbench.lsp.places import Places
from callgate.workbench.lsp.protocol import AnsweringProtocol
from callgate.workbench.lsp.tokens import token_at
from callgate.workbench.lsp.words import end_of_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_PAUSE_S: Final = 0.25
"""Time without typing before a document is checked."""
_LONGEST_REPAIR_S: Final = 5.0
_SOURCE: Final = "callgate"
_PAGES: Final = "https://github.com/callgate/callgate/blob/main/"
_SEVERITIES: Final = {
    "error": lsp.DiagnosticSeverity.Error,
    "warning": lsp.DiagnosticSeverity.Warning,
    "info": lsp.DiagnosticSeverity.Information,
}


class _OutdatedError(Exception):
    """The document has changed while it was checked."""


class PolicyServer(LanguageServer):
    """A server for the documents of callgate."""

    def __init__(self, review: Callable[[Kind, Path], Iterable[Problem]]) -> None:
        """Takes the check of saved files of other kinds than policies."""
        # Whole texts: parts are counted in lines, and not all clients count the same lines.
        super().__init__(_SOURCE, version(), lsp.TextDocumentSyncKind.Full, protocol_cls=AnsweringProtocol)
        self.is_shut_down = False
        """True after the client asked to shut down."""
        self.has_failed = False
        """True after the client told to exit without that."""
        self._review = review
        # One at a time: a check of an outdated text ends soon.
        self._checker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="callgate-lsp")
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._documents: dict[str, tuple[int | None, OpenDocument]] = {}
        self._kinds: dict[str, Kind | None] = {}
        """The kinds of documents as they were checked last; None if it was not certain."""
        self._fixable: dict[str, tuple[OpenDocument, list[lsp.Diagnostic]]] = {}

    def document(self, uri: str) -> OpenDocument | None:
        """The newest text of a document; None if it is not open."""
        # The workspace would read a document that is not open from the disk.
        if unquote(uri) not in self.workspace.text_documents:
            return None
        open_one = self.workspace.get_text_document(uri)
        known = self._documents.get(uri)
        if known is not None and known[0] == open_one.version and known[1].text == open_one.source:
            return known[1]
        name = _name(uri, open_one.language_id)
        found = OpenDocument(name, open_one.source, _folder(uri), self._kinds.get(uri))
        self._documents[uri] = (open_one.version, found)
        return found

    def places(self, document: OpenDocument) -> Places:
        """The positions of a document, in the encoding of the client."""
        return Places(document.text, self.workspace.position_encoding or lsp.PositionEncodingKind.Utf16)

    def check_soon(self, uri: str, pause_s: float = _PAUSE_S) -> None:
        """Checks a document after a pause, in which further changes begin the pause anew."""
        self._cancel(uri)
        self._tasks[uri] = asyncio.ensure_future(self._check(uri, pause_s))

    def forget(self, uri: str) -> None:
        """Forgets a document that was closed, and takes its diagnostics back."""
        self._cancel(uri)
        self._documents.pop(uri, None)
        self._kinds.pop(uri, None)
        self._fixable.pop(uri, None)
        self.text_document_publish_diagnostics(lsp.PublishDiagnosticsParams(uri, []))

    def shutdown(self) -> None:
        """Ends without waiting for checks."""
        self._documents.clear()
        self._checker.shutdown(wait=False, cancel_futures=True)
        super().shutdown()  # type: ignore[no-untyped-call]  # pygls has no types here

    def fixable(self, uri: str, within: lsp.Range) -> list[lsp.Diagnostic]:
        """The diagnostics of the newest text in a range that a removal mends."""
        document, found = self._fixable.get(uri, (None, []))
        if document is None or document is not self.document(uri):
            return []
        return [one for one in found if one.range.start <= within.end and within.start <= one.range.end]

    async def mend(self, uri: str) -> lsp.WorkspaceEdit | None:
        """The edit that removes what has no effect from a policy."""
        document = self.document(uri)
        if document is None:
            return None
        end_s = time.monotonic() + _LONGEST_REPAIR_S

        def clock() -> float:
            now_s = time.monotonic()
            if now_s > end_s or not self._is_newest(uri, document):
                raise _OutdatedError
            return now_s

        try:
            text = await asyncio.get_running_loop().run_in_executor(self._checker, mended, document, clock)
        except _OutdatedError:
            return None
        return None if text is None else self.edit(uri, document, [_change(document.text, text)])

    def edit(self, uri: str, document: OpenDocument, changes: Iterable[tuple[int, int, str]]) -> lsp.WorkspaceEdit:
        """An edit of one document: start, end and text of each change."""
        places = self.places(document)
        return lsp.WorkspaceEdit({uri: [lsp.TextEdit(places.range(start, end), text) for start, end, text in changes]})

    def _cancel(self, uri: str) -> None:
        task = self._tasks.pop(uri, None)
        if task is not None:
            task.cancel()

    def _is_newest(self, uri: str, document: OpenDocument) -> bool:
        known = self._documents.get(uri)
        return known is not None and known[1] is document

    async def _check(self, uri: str, pause_s: float) -> None:
        await asyncio.sleep(pause_s)
        document = self.document(uri)
        if document is None:
            return
        path = to_fs_path(uri) if uri.startswith("file:") else None

        def clock() -> float:
            if not self._is_newest(uri, document):
                raise _OutdatedError
            return time.monotonic()

        def work() -> list[Problem]:
            if document.is_too_large:
                text = "the document is too long to be checked while it is edited; run `callgate validate`"
                return [Problem(1, 1, "info", text)]
            return problems(document, None if path is None else Path(path), self._review, clock)

        try:
            found = await asyncio.get_running_loop().run_in_executor(self._checker, work)
            places = self.places(document)
            every = [(_diagnostic(document, places, one), one.is_fixable) for one in found]
        except _OutdatedError:
            return
        except Exception as error:  # noqa: BLE001  whatever a document leads to: the next text may be better
            text = _unexpected(error)
            self.window_log_message(lsp.LogMessageParams(lsp.MessageType.Error, text))
            # Diagnostics of an older text, or none, would say that this one was checked.
            every = [(_not_checked(text), False)]
        if self._is_newest(uri, document):
            self._publish(uri, document, every)

    def _publish(self, uri: str, document: OpenDocument, every: list[tuple[lsp.Diagnostic, bool]]) -> None:
        self._kinds[uri] = document.kind if document.is_checked else None
        self._fixable[uri] = (document, [one for one, is_fixable in every if is_fixable])
        number = self.workspace.get_text_document(uri).version
        params = lsp.PublishDiagnosticsParams(uri, [one for one, _ in every], number)
        self.text_document_publish_diagnostics(params)


def _diagnostic(document: OpenDocument, places: Places, one: Problem) -> lsp.Diagnostic:
    start = places.offset_of(one.line, one.column)
    end = _end(document, start)
    if document.is_json and (one.line, one.column) == (1, 1) and document.text.startswith("\ufeff"):
        # JSON may not begin with a byte order mark: the mark itself is the fault.
        start, end = 0, 1
    return lsp.Diagnostic(
        places.range(start, end),
        one.message,
        severity=_SEVERITIES[one.severity],
        code=one.code,
        code_description=None if one.page is None else lsp.CodeDescription(f"{_PAGES}{one.page}"),
        source=_SOURCE,
        tags=[lsp.DiagnosticTag.Unnecessary] if one.is_fixable else None,
    )


def _not_checked(reason: str) -> lsp.Diagnostic:
    return lsp.Diagnostic(
        lsp.Range(lsp.Position(0, 0), lsp.Position(0, 1)),
        f"the document could not be checked ({reason}); run `callgate validate`",
        severity=lsp.DiagnosticSeverity.Error,
        source=_SOURCE,
    )


def _end(document: OpenDocument, start: int) -> int:
    """The end of what is shown as faulty: the key or value, or the part of a mapping or list on its first line."""
    token = token_at(document.tokens, start)
    if token is not None and token.end > start:
        return token.end
    text = document.text
    end = end_of_line(text, start)
    brackets = FlowReader(text, end + 1, (), 0).run(start) if text[start : start + 1] in {"{", "["} else None
    return end if brackets is None else min(brackets, end)


def _name(uri: str, language: str | None) -> str:
    """The name of a document's file, with the suffix of its language."""
    name = uri.rpartition("/")[2]
    path = to_fs_path(uri) if uri.startswith("file:") else None
    if path is not None:
        name = Path(path).name
    if language == "json" and not name.endswith(".json"):
        return f"{name}.json"
    return name if name.endswith((".json", ".yaml", ".yml")) else f"{name}.yaml"


def _folder(uri: str) -> str:
    """The name of the folder of a document's file; empty for a document that is no file."""
    path = to_fs_path(uri) if uri.startswith("file:") else None
    return "" if path is None else Path(path).parent.name


def _change(before: str, after: str) -> tuple[int, int, str]:
    """The one span in which two texts differ."""
    shorter = min(len(before), len(after))
    start = next((at for at in range(shorter) if before[at] != after[at]), shorter)
    most = shorter - start
    same = next((at for at in range(most) if before[-1 - at] != after[-1 - at]), most)
    return start, len(before) - same, after[start : len(after) - same]


def _unexpected(error: Exception) -> str:
    """The place of an exception without its message, which may contain text of a document."""
    *_, last = traceback.extract_tb(error.__traceback__)
    return f"internal error: {type(error).__name__} at {Path(last.filename).name}:{last.lineno}"
