"""Answers of the server to the requests of an editor."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final

from lsprotocol import types as lsp
from pygls.exceptions import JsonRpcException

from callgate.text import masked
from callgate.workbench.lsp.completion import suggestions
from callgate.workbench.lsp.counters import RenameError, counter_at, renamed
from callgate.workbench.lsp.hover import meaning
from callgate.workbench.lsp.server import PolicyServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from callgate.workbench.lsp.checks import Problem
    from callgate.workbench.lsp.kinds import Kind

_TITLE: Final = "Remove what has no effect"


def serve(review: Callable[[Kind, Path], Iterable[Problem]]) -> None:
    """Serves one client over standard input and output, until it ends or closes them.

    Raises:
        SystemExit: The client told the server to exit, and not to shut down before, which the protocol calls an error.
    """
    logging.getLogger("pygls.protocol.json_rpc").addFilter(_is_unexpected)
    server = PolicyServer(review)
    for name, feature, options in _FEATURES:
        server.feature(name, options)(feature)
    server.start_io()
    if server.has_failed:
        raise SystemExit(1)


def _is_unexpected(record: logging.LogRecord) -> bool:
    """False for a refusal, which the client shows to its user."""
    return record.exc_info is None or not isinstance(record.exc_info[1], JsonRpcException)


def _shut_down(ls: PolicyServer, _: None) -> None:
    ls.is_shut_down = True


def _exited(ls: PolicyServer, _: None) -> None:
    ls.has_failed = not ls.is_shut_down


def _opened(ls: PolicyServer, params: lsp.DidOpenTextDocumentParams) -> None:
    ls.check_soon(params.text_document.uri, 0)


def _changed(ls: PolicyServer, params: lsp.DidChangeTextDocumentParams) -> None:
    # What is checked now is outdated from here on.
    ls.document(params.text_document.uri)
    ls.check_soon(params.text_document.uri)


def _saved(ls: PolicyServer, params: lsp.DidSaveTextDocumentParams) -> None:
    ls.check_soon(params.text_document.uri, 0)


def _closed(ls: PolicyServer, params: lsp.DidCloseTextDocumentParams) -> None:
    ls.forget(params.text_document.uri)


def _completion(ls: PolicyServer, params: lsp.CompletionParams) -> list[lsp.CompletionItem] | None:
    document = ls.document(params.text_document.uri)
    if document is None:
        return None
    places = ls.places(document)
    return [
        lsp.CompletionItem(
            one.label,
            kind=lsp.CompletionItemKind.Property if one.is_key else lsp.CompletionItemKind.Value,
            detail="required" if one.is_required else None,
            documentation=_markdown(one.description) if one.description else None,
            sort_text=f"{number:04}",
            # Editors compare this with what is typed, which may begin with a quote.
            filter_text=f"{_quote_at(document.text, one.start)}{one.label}",
            text_edit=lsp.TextEdit(places.range(one.start, one.end), one.text),
        )
        for number, one in enumerate(suggestions(document, places.offset(params.position)))
    ]


def _quote_at(text: str, offset: int) -> str:
    quote = text[offset : offset + 1]
    return quote if quote in {'"', "'"} else ""


def _hover(ls: PolicyServer, params: lsp.HoverParams) -> lsp.Hover | None:
    document = ls.document(params.text_document.uri)
    if document is None:
        return None
    places = ls.places(document)
    found = meaning(document, places.offset(params.position))
    return None if found is None else lsp.Hover(_markdown(found.text), places.range(found.start, found.end))


def _prepare_rename(ls: PolicyServer, params: lsp.PrepareRenameParams) -> lsp.PrepareRenamePlaceholder | None:
    document = ls.document(params.text_document.uri)
    if document is None:
        return None
    places = ls.places(document)
    try:
        found = counter_at(document, places.offset(params.position))
    except RenameError as error:
        raise _refusal(error) from None
    if found is None:
        return None
    start, end, name = found
    return lsp.PrepareRenamePlaceholder(places.range(start, end), name)


def _rename(ls: PolicyServer, params: lsp.RenameParams) -> lsp.WorkspaceEdit | None:
    uri = params.text_document.uri
    document = ls.document(uri)
    if document is None:
        return None
    try:
        changes = renamed(document, ls.places(document).offset(params.position), params.new_name)
    except RenameError as error:
        raise _refusal(error) from None
    return ls.edit(uri, document, changes)


def _refusal(error: RenameError) -> JsonRpcException:
    return JsonRpcException(masked(str(error)), lsp.LSPErrorCodes.RequestFailed.value)


async def _code_action(ls: PolicyServer, params: lsp.CodeActionParams) -> list[lsp.CodeAction]:
    uri = params.text_document.uri
    found = ls.fixable(uri, params.range)
    if not found:
        return []
    action = lsp.CodeAction(_TITLE, kind=lsp.CodeActionKind.QuickFix, diagnostics=found, data=uri)
    if not _resolves_edits(ls.client_capabilities):
        action.edit = await ls.mend(uri)
        if action.edit is None:
            return []
    return [action]


async def _resolve(ls: PolicyServer, action: lsp.CodeAction) -> lsp.CodeAction:
    if isinstance(action.data, str) and action.data in ls.workspace.text_documents:
        action.edit = await ls.mend(action.data)
    return action


def _markdown(text: str) -> lsp.MarkupContent:
    return lsp.MarkupContent(lsp.MarkupKind.Markdown, text)


def _resolves_edits(capabilities: Any) -> bool:  # noqa: ANN401  any part may be missing
    actions = getattr(getattr(capabilities, "text_document", None), "code_action", None)
    support = getattr(actions, "resolve_support", None)
    return support is not None and "edit" in support.properties


_FEATURES: Final[tuple[tuple[str, Callable[..., Any], Any], ...]] = (
    (lsp.SHUTDOWN, _shut_down, None),
    (lsp.EXIT, _exited, None),
    (lsp.TEXT_DOCUMENT_DID_OPEN, _opened, None),
    (lsp.TEXT_DOCUMENT_DID_CHANGE, _changed, None),
    (lsp.TEXT_DOCUMENT_DID_SAVE, _saved, None),
    (lsp.TEXT_DOCUMENT_DID_CLOSE, _closed, None),
    (lsp.TEXT_DOCUMENT_COMPLETION, _completion, lsp.CompletionOptions(trigger_characters=[" ", '"', "{", ",", ":"])),
    (lsp.TEXT_DOCUMENT_HOVER, _hover, None),
    (lsp.TEXT_DOCUMENT_PREPARE_RENAME, _prepare_rename, None),
    (lsp.TEXT_DOCUMENT_RENAME, _rename, lsp.RenameOptions(prepare_provider=True)),
    (
        lsp.TEXT_DOCUMENT_CODE_ACTION,
        _code_action,
        lsp.CodeActionOptions([lsp.CodeActionKind.QuickFix], resolve_provider=True),
    ),
    (lsp.CODE_ACTION_RESOLVE, _resolve, None),
)
