"""The inbox drawn on a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rich.cells import cell_len, set_cell_size
from rich.text import Text

from callgate.approvals.sections import lines_of, seen
from callgate.approvals.shown import approval_sections, open_line, state_line
from callgate.approvals.times import brief
from callgate.cli.answering import call_line, offer_lines
from callgate.cli.inbox import View
from callgate.cli.shown import broken
from callgate.store.model import State, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from callgate.cli.inbox import Inbox
    from callgate.store.approvals.recorded import Recorded
    from callgate.store.model import Approval, Person

_HEAD: Final = ("LEFT", "GRANT", "CALL", "WAITS FOR")
_LIST_KEYS: Final = "up/down j/k: move   enter: show   a: approve   d: deny   p: permit   q: quit"
_EVIDENCE_KEYS: Final = "up/down j/k space: scroll   a: approve   d: deny   p: permit   esc: back   q: quit"
_CONFIRM_KEYS: Final = "y: yes   r: yes, with a reason   n: no   up/down: scroll"
_REASON_KEYS: Final = "enter: {}   esc: cancel   ctrl-u: clear"
_PERMIT_KEYS: Final = "enter: next   up/down: other questions   esc: cancel   ctrl-u: clear"
_MOST_MESSAGE_LINES: Final = 5
_CUT: Final = "~"
"""The mark of a cell that goes on; the evidence has it in full."""

_STALE: Final = "NOT UP TO DATE   "

_TITLE: Final = "reverse"
_SELECTED: Final = "bold reverse"
_ATTENTION: Final = "bold"


def evidence_lines(approval: Approval, record: Recorded, owner: Person | None, now_us: int, width: int) -> list[str]:
    """The evidence of an approval in lines that fit."""
    lines = lines_of(approval_sections(approval, record, now_us, owner))
    return [part for line in lines for part in broken(line, width)]


def draw(
    inbox: Inbox, evidence: list[str] | None, place: str, fault: str, now_us: int, width: int, height: int
) -> Text:
    """The screen, of which every cell is written; also tells the inbox how much fits.

    Args:
        inbox: Its state.
        evidence: The lines of `evidence_lines` for the selected approval, if it is to be shown.
        place: The store's place.
        fault: The reason for which changes cannot be seen, if so.
        now_us: The time.
        width: Columns of the terminal.
        height: Lines of the terminal.
    """
    lines = list(_lines(inbox, evidence, place, fault, now_us, width, height))[:height]
    return Text("\n", no_wrap=True, overflow="crop").join(lines)


def _lines(
    inbox: Inbox, evidence: list[str] | None, place: str, fault: str, now_us: int, width: int, height: int
) -> Iterator[Text]:
    message = _message(inbox, fault, width)
    # The title and the keys.
    page = height - 2 - len(message)
    current = inbox.current
    if inbox.view is View.LIST or current is None or evidence is None:
        count = inbox.pending
        waits = f"{count} {'approval waits' if count == 1 else 'approvals wait'} for people   " if inbox.is_read else ""
        title = f"{waits}{seen(place)}"
        body = list(_list(inbox, now_us, width, page - 1))
        keys = _LIST_KEYS
    else:
        if inbox.offer is not None and inbox.view in {View.CONFIRM, View.REASON}:
            offered = ("", "the permit", *(f"  {line}" for line in offer_lines(inbox.offer)))
            evidence = [*evidence, *(part for line in offered for part in broken(line, width))]
        inbox.fit(len(evidence), page)
        shown = evidence[inbox.scroll : inbox.scroll + max(page, 0)]
        more = len(evidence) - inbox.scroll - len(shown)
        title = f"{call_line(current)}   lines {inbox.scroll + 1} to {inbox.scroll + len(shown)} of {len(evidence)}"
        title += f"   {more} MORE BELOW" if more else ""
        body = [Text(_cell(line, width)) for line in shown]
        keys = _keys(inbox)
    yield Text(_cell(f"{_STALE if fault else ''}{title}", width), _TITLE)
    yield from body
    yield from [Text(" " * width)] * (page - len(body))
    yield from (Text(_cell(line, width), _ATTENTION) for line in message)
    yield Text(_cell(keys, width), _TITLE)


def _list(inbox: Inbox, now_us: int, width: int, page: int) -> Iterator[Text]:
    rows = inbox.rows()
    inbox.fit(0, page)
    if not rows:
        yield Text(" " * width)
        yield Text(_cell("  nothing waits for an answer" if inbox.is_read else "  reading the store", width))
        return
    place = next((number for number, one in enumerate(rows) if one.id == inbox.selected), 0)
    # The selected row is in the middle, where there are rows around it.
    first = max(min(place - page // 2, len(rows) - page), 0)
    cells = [_HEAD, *(_row(one, now_us) for one in rows[first : first + page])]
    widths = _widths(cells, width - 2)
    for number, row in enumerate(cells):
        line = "  ".join(_cell(cell, size) for cell, size in zip(row, widths, strict=True))
        is_selected = number == place - first + 1
        yield Text(_cell(("> " if is_selected else "  ") + line, width), _SELECTED if is_selected else "")


def _row(approval: Approval, now_us: int) -> Sequence[str]:
    call = approval.call
    is_pending = approval.state is State.PENDING
    return (
        brief(approval.until_us - now_us) if is_pending else approval.state.value,
        seen(call.grant),
        f"{seen(call.server)}/{seen(call.tool)}",
        open_line(approval) if is_pending else state_line(approval, now_us),
    )


def _widths(cells: Sequence[Sequence[str]], width: int) -> Sequence[int]:
    """Columns as wide as they need, with the widest ones cut until all fit."""
    widths = [max(map(cell_len, column)) for column in zip(*cells, strict=True)]
    over = sum(widths) + 2 * (len(widths) - 1) - width
    while over > 0 and max(widths) > 1:
        widths[widths.index(max(widths))] -= 1
        over -= 1
    return widths


def _message(inbox: Inbox, fault: str, width: int) -> list[str]:
    """The lines above the keys: a question, the reason as it is typed, or a message."""
    text = seen(inbox.message)
    if inbox.view is View.CONFIRM:
        text = "approve this call, once?" if inbox.offer is None else "make this permit?"
    elif inbox.view is View.PERMIT and inbox.questions is not None:
        text = f"{text}\n{inbox.questions.line}" if text else inbox.questions.line
    elif inbox.view is View.REASON:
        what = "denial, which the agent is told" if inbox.verdict is Verdict.DENY else "approval"
        text = f"{inbox.message or f'reason of the {what}:'} {seen(inbox.reason)}_"
    elif fault and not text:
        text = f"changes cannot be seen: {seen(fault)}"
    # The end of a long reason is where it is typed.
    return [part for line in text.split("\n") for part in broken(line, width)][-_MOST_MESSAGE_LINES:]


def _keys(inbox: Inbox) -> str:
    if inbox.view is View.CONFIRM:
        return _CONFIRM_KEYS
    if inbox.view is View.REASON:
        return _REASON_KEYS.format("deny" if inbox.verdict is Verdict.DENY else "approve")
    return _PERMIT_KEYS if inbox.view is View.PERMIT else _EVIDENCE_KEYS


def _cell(text: str, width: int) -> str:
    """A text of exactly this width; where it is cut, a mark says so."""
    width = max(width, 1)
    if cell_len(text) <= width:
        return set_cell_size(text, width)
    return set_cell_size(text, width - 1) + _CUT
