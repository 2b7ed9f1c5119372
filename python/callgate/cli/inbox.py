"""The state of the inbox in the terminal: approvals, the selected one, and what each key does."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum
from typing import TYPE_CHECKING, Final

from callgate.approvals.shown import state_line
from callgate.store.model import State, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterable

    from callgate.cli.keys import Key
    from callgate.cli.permit_questions import PermitQuestions
    from callgate.store.model import Approval, PermitOffer

_LONGEST_REASON: Final = 2_000
_END: Final = 1 << 30
"""A line after the last one; `fit` makes it the last one that the screen can begin with."""


class View(Enum):
    """The part of the inbox on the screen."""

    LIST = "list"
    EVIDENCE = "evidence"
    CONFIRM = "confirm"
    """The evidence, and the question before an approval."""
    REASON = "reason"
    """The evidence, and a line for a reason."""
    PERMIT = "permit"
    """The evidence, and the questions before a permit."""


@dataclass(frozen=True)
class AnswerCommand:
    """An answer that the keys have led to."""

    approval: Approval
    verdict: Verdict
    reason: str
    permit: PermitOffer | None = None


@dataclass(frozen=True)
class AskPermitCommand:
    """The wish to make a permit: the caller begins the questions, or says why there are none."""

    approval: Approval


class OfferCommand:
    """The end of the questions: the caller makes the offer, or says what is wrong with it."""


class QuitCommand:
    """The end of the inbox."""


Command = AnswerCommand | AskPermitCommand | OfferCommand | QuitCommand


class Inbox:
    """Pending approvals, of which one is selected.

    INVARIANT: keys act on the selected id, never on a place of the list, whatever comes and goes meanwhile. A selected
    approval that somebody else answers stays until another one is selected.
    """

    def __init__(self) -> None:
        """Begins without any."""
        self.selected: str | None = None
        self.view = View.LIST
        self.verdict = Verdict.APPROVE
        self.reason = ""
        self.questions: PermitQuestions | None = None
        """The questions before a permit."""
        self.offer: PermitOffer | None = None
        """The permit that is to be confirmed; None for an answer about one call."""
        self.message = ""
        self.is_read = False
        """True once the store was read."""
        self.scroll = 0
        """The first line of the evidence on the screen."""
        self._approvals: dict[str, Approval] = {}
        self._page = 1
        self._last_scroll = 0

    @property
    def current(self) -> Approval | None:
        """The selected approval."""
        return None if self.selected is None else self._approvals.get(self.selected)

    @property
    def pending(self) -> int:
        """The number of pending ones."""
        return sum(one.state is State.PENDING for one in self._approvals.values())

    def rows(self) -> list[Approval]:
        """The approvals of the list, the oldest first, so that a new one moves no other."""
        return sorted(self._approvals.values(), key=lambda one: (one.created_us, one.id))

    def update(self, changed: Iterable[Approval], now_us: int) -> None:
        """Takes new states of approvals; at first all that are pending."""
        for approval in changed:
            if approval.state is State.PENDING or approval.id == self.selected:
                self._approvals[approval.id] = approval
                if approval.state is not State.PENDING and self.view in {View.CONFIRM, View.REASON, View.PERMIT}:
                    self.view = View.EVIDENCE
                    self.message = f"nothing was answered, because it changed: {state_line(approval, now_us)}"
            else:
                self._approvals.pop(approval.id, None)
        if self.current is None:
            self._select(0)

    def tick(self, now_us: int) -> None:
        """Takes those out whose time is over."""
        over = [one for one in self._approvals.values() if one.state is State.PENDING and one.until_us <= now_us]
        self.update([replace(one, state=State.EXPIRED) for one in over], now_us)

    def fit(self, lines: int, page: int) -> None:
        """Takes the number of lines of the evidence, and of those that fit the screen."""
        self._page = max(page, 1)
        self._last_scroll = max(lines - self._page, 0)
        self.scroll = min(self.scroll, self._last_scroll)

    def press(self, key: Key) -> Command | None:
        """Obeys a key; returns the command that the caller has to run, if any."""
        if self.view is View.REASON:
            return self._press_reason(key)
        if self.view is View.CONFIRM:
            return self._press_confirm(key)
        if self.view is View.PERMIT:
            return self._press_permit(key)
        self.message = ""
        if key.name == "q":
            return QuitCommand()
        if key.name in {"a", "d"}:
            self._begin(Verdict.APPROVE if key.name == "a" else Verdict.DENY)
        elif key.name == "p":
            return self._ask_permit()
        elif self.view is View.LIST:
            self._press_list(key)
        elif key.name in {"escape", "backspace", "h"}:
            self.view = View.LIST
        else:
            self._press_scroll(key)
        return None

    def ask(self, questions: PermitQuestions) -> None:
        """Begins the questions before a permit."""
        self.questions, self.view = questions, View.PERMIT

    def confirm(self, offer: PermitOffer) -> None:
        """Asks for the permit that the questions have led to; its terms are on the screen, below the evidence."""
        self.offer, self.view = offer, View.CONFIRM
        self.verdict, self.reason, self.message = Verdict.APPROVE, "", ""
        self.scroll = _END

    def finish(self, approval: Approval, message: str, now_us: int) -> None:
        """Takes the state after an answer."""
        self.view = View.LIST
        self.update([approval], now_us)
        self.message = message

    def fail(self, message: str) -> None:
        """Takes the reason for which an answer was not written."""
        self.view = View.EVIDENCE
        self.message = message

    def _press_list(self, key: Key) -> None:
        rows = self.rows()
        place = next((number for number, one in enumerate(rows) if one.id == self.selected), 0)
        steps = {"up": -1, "k": -1, "down": 1, "j": 1, "page_up": -self._page, "page_down": self._page}
        steps |= {"home": -len(rows), "g": -len(rows), "end": len(rows), "G": len(rows)}
        if key.name in {"enter", "l"}:
            if self.current is not None:
                self.view, self.scroll = View.EVIDENCE, 0
        elif key.name in steps and rows:
            wanted = rows[min(max(place + steps[key.name], 0), len(rows) - 1)].id
            if wanted != self.selected:
                self.selected = wanted
                self._drop_others()

    def _press_scroll(self, key: Key) -> None:
        steps = {"up": -1, "k": -1, "down": 1, "j": 1, "enter": 1}
        steps |= {"page_up": -self._page, "page_down": self._page, " ": self._page}
        steps |= {"home": -self._last_scroll, "g": -self._last_scroll, "end": self._last_scroll, "G": self._last_scroll}
        self.scroll = min(max(self.scroll + steps.get(key.name, 0), 0), self._last_scroll)

    def _press_confirm(self, key: Key) -> Command | None:
        if key.name == "r" or (key.name == "y" and self._needs_reason()):
            self.view = View.REASON
        elif key.name == "y" and self.current is not None:
            return AnswerCommand(self.current, self.verdict, "", self.offer)
        elif key.name in {"n", "escape", "q"}:
            self.view, self.message = View.EVIDENCE, "nothing was answered"
        elif key.name != "enter":
            self._press_scroll(key)
        return None

    def _press_reason(self, key: Key) -> Command | None:
        self.message = ""
        if key.name == "escape":
            self.view, self.message = View.EVIDENCE, "nothing was answered"
        elif key.name == "backspace":
            self.reason = self.reason[:-1]
        elif key.name == "clear":
            self.reason = ""
        elif key.name == "enter":
            if self.verdict is Verdict.APPROVE and self._needs_reason() and not self.reason.strip():
                self.message = "this approval needs a reason"
            elif self.current is not None:
                return AnswerCommand(self.current, self.verdict, self.reason.strip(), self.offer)
        else:
            # A reason is one line.
            self.reason = (self.reason + " ".join(key.text.split("\n")))[:_LONGEST_REASON]
        return None

    def _press_permit(self, key: Key) -> Command | None:
        self.message = ""
        if key.name == "escape" or self.questions is None:
            self.view, self.message = View.EVIDENCE, "nothing was answered"
        elif self.questions.press(key):
            return OfferCommand()
        return None

    def _ask_permit(self) -> Command | None:
        approval = self._pending_current()
        if approval is None:
            return None
        self.view = View.EVIDENCE
        return AskPermitCommand(approval)

    def _pending_current(self) -> Approval | None:
        """The selected approval, if it can be answered; the evidence is on the screen meanwhile."""
        approval = self.current
        if approval is None:
            return None
        if self.view is View.LIST:
            self.scroll = 0
        if approval.state is not State.PENDING:
            self.view = View.EVIDENCE
            self.message = f"it is {approval.state.value} already"
            return None
        self.questions = self.offer = None
        return approval

    def _begin(self, verdict: Verdict) -> None:
        """Asks for an approval or the reason of a denial."""
        if self._pending_current() is None:
            return
        self.verdict, self.reason = verdict, ""
        self.view = View.CONFIRM if verdict is Verdict.APPROVE else View.REASON

    def _needs_reason(self) -> bool:
        return self.current is not None and any(need.reason_required for need in self.current.needs)

    def _select(self, place: int) -> None:
        rows = self.rows()
        self.selected = rows[min(place, len(rows) - 1)].id if rows else None

    def _drop_others(self) -> None:
        """Takes out answered ones that stayed because they were selected."""
        over = [
            one.id for one in self._approvals.values() if one.state is not State.PENDING and one.id != self.selected
        ]
        for name in over:
            del self._approvals[name]
