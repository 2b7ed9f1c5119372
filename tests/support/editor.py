"""Texts with the cursor of an editor in them, and a client of the language server."""

from __future__ import annotations

import asyncio
import sys
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

from lsprotocol import types as lsp
from pygls.lsp.client import LanguageClient

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from pathlib import Path

MARK: Final = "‸"
PATIENCE_S: Final = 60.0


def split(text: str) -> tuple[str, int]:
    """A text without its mark, and the offset of the mark."""
    before, after = text.split(MARK)
    return before + after, len(before)


class Editor:
    """A client that opens documents of a folder and waits for their diagnostics."""

    def __init__(self, client: LanguageClient, folder: Path) -> None:
        """Takes a client, and the folder of its files."""
        self.client = client
        self.folder = folder
        self.messages: list[lsp.LogMessageParams] = []
        self.published: list[lsp.PublishDiagnosticsParams] = []
        self._news = asyncio.Event()
        self._versions: dict[str, int] = {}

        def published(params: lsp.PublishDiagnosticsParams) -> None:
            self.published.append(params)
            self._news.set()

        def logged(params: lsp.LogMessageParams) -> None:
            self.messages.append(params)

        # Functions, because the client writes to what it is given.
        client.feature(lsp.TEXT_DOCUMENT_PUBLISH_DIAGNOSTICS)(published)
        client.feature(lsp.WINDOW_LOG_MESSAGE)(logged)

    def uri(self, name: str) -> str:
        """The URI of a file."""
        return (self.folder / name).as_uri()

    def open(self, name: str, text: str, language: str = "yaml") -> None:
        """Opens a document."""
        self._versions[name] = 1
        item = lsp.TextDocumentItem(self.uri(name), language, 1, text)
        self.client.text_document_did_open(lsp.DidOpenTextDocumentParams(item))

    def change(self, name: str, text: str) -> None:
        """Replaces the text of a document."""
        self._versions[name] += 1
        document = lsp.VersionedTextDocumentIdentifier(self._versions[name], self.uri(name))
        whole = lsp.TextDocumentContentChangeWholeDocument(text)
        self.client.text_document_did_change(lsp.DidChangeTextDocumentParams(document, [whole]))

    def save(self, name: str, text: str) -> None:
        """Writes the text of a document, and tells it."""
        (self.folder / name).write_bytes(text.encode())
        document = lsp.TextDocumentIdentifier(self.uri(name))
        self.client.text_document_did_save(lsp.DidSaveTextDocumentParams(document))

    async def diagnostics(self, name: str, version: int | None = 0) -> list[lsp.Diagnostic]:
        """The diagnostics of a version of a document, by default the newest, as soon as they come; each once."""
        wanted = self._versions[name] if version == 0 else version

        async def wait() -> list[lsp.Diagnostic]:
            while True:
                self._news.clear()
                for one in self.published:
                    if one.uri == self.uri(name) and one.version == wanted:
                        self.published.remove(one)
                        return list(one.diagnostics)
                await self._news.wait()

        return await asyncio.wait_for(wait(), PATIENCE_S)

    def at(self, name: str, line: int, character: int) -> dict[str, Any]:
        """The members of a request about a position."""
        return {
            "text_document": lsp.TextDocumentIdentifier(self.uri(name)),
            "position": lsp.Position(line, character),
        }


@asynccontextmanager
async def editor(
    folder: Path, capabilities: lsp.ClientCapabilities | None = None, command: Sequence[str] = ("-m", "callgate", "lsp")
) -> AsyncIterator[tuple[Editor, lsp.InitializeResult]]:
    """Starts `callgate lsp`, or what a command of Python starts, and a client of it; ends both as editors do."""
    client = LanguageClient("tests", "1")
    one = Editor(client, folder)
    await client.start_io(sys.executable, *command, cwd=folder)
    params = lsp.InitializeParams(capabilities or lsp.ClientCapabilities(), root_uri=folder.as_uri())
    result = await asyncio.wait_for(client.initialize_async(params), PATIENCE_S)
    client.initialized(lsp.InitializedParams())
    yield one, result
    await asyncio.wait_for(client.shutdown_async(None), PATIENCE_S)
    client.exit(None)
    process: Any = client._server  # noqa: SLF001  the client has no way to its exit code
    assert await asyncio.wait_for(process.wait(), PATIENCE_S) == 0
    await client.stop()  # type: ignore[no-untyped-call]  # pygls has no types here
