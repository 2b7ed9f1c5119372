"""`callgate approvals watch`: the inbox on a terminal, or a line for each pending approval."""

from __future__ import annotations

import os
import queue
import select
import signal
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import typer
from rich.console import Console
from rich.control import Control

from callgate import clock
from callgate.approvals.documents import approval_document
from callgate.approvals.sections import seen
from callgate.approvals.shown import open_line
from callgate.approvals.times import brief, instant
from callgate.cli.answering import operator, owner_of, result_lines
from callgate.cli.follow import Changed, Fault, Follower
from callgate.cli.inbox import AnswerCommand, AskPermitCommand, Inbox, OfferCommand, QuitCommand, View
from callgate.cli.inbox_screen import draw, evidence_lines
from callgate.cli.keys import KeyReader, key_mode
from callgate.cli.permit_questions import PermitQuestions
from callgate.errors import CallgateError
from callgate.exact_json import write_json
from callgate.store.model import State

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

    from callgate.cli.answering import Operator
    from callgate.cli.keys import Key
    from callgate.cli.stores import OpenStore
    from callgate.store.approvals.recorded import Recorded
    from callgate.store.model import Approval, Person

_TICK_S: Final = 1.0
"""Interval at which times are drawn anew."""
_ESCAPE_S: Final = 0.05
"""Longest pause within a key's bytes, which a terminal sends at once; after it, Escape was pressed alone."""
_BYTES: Final = 4_096
_ENDING: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)


def watch(opened: OpenStore, *, as_json: bool) -> None:
    """Shows pending approvals until a key or a signal ends it."""
    person = operator(opened)
    is_screen = not as_json and sys.stdin.isatty() and sys.stdout.isatty()
    if is_screen and not Console().is_dumb_terminal:
        _Screen(person).run()
    else:
        _print_lines(opened, as_json=as_json)


def _print_lines(opened: OpenStore, *, as_json: bool) -> None:
    """Prints a line for each pending approval: those that wait already, then new ones."""
    told: queue.Queue[Changed | Fault] = queue.Queue()
    follower = Follower(opened.store, told.put, clock.now_us)
    follower.start()
    printed = set[str]()
    try:
        while True:
            event = told.get()
            if isinstance(event, Fault):
                typer.echo(event.reason or "the store answers again", err=True)
                continue
            for approval in sorted(event.approvals, key=lambda one: (one.created_us, one.id)):
                if approval.state is not State.PENDING:
                    printed.discard(approval.id)
                elif approval.id not in printed:
                    printed.add(approval.id)
                    typer.echo(write_json(approval_document(approval)) if as_json else _line(approval))
            sys.stdout.flush()
    except KeyboardInterrupt:
        return
    finally:
        follower.stop()


def _line(approval: Approval) -> str:
    call = approval.call
    left = brief(approval.until_us - clock.now_us())
    what = f"{seen(call.grant)}  {seen(call.server)}/{seen(call.tool)}"
    return f"{instant(approval.created_us)}  {approval.id}  {what}  {open_line(approval)}  {left} left"


class _Screen:
    """The inbox on a terminal. Everything but the following of changes is on one thread."""

    def __init__(self, person: Operator) -> None:
        self._person = person
        self._store = person.opened.store
        self._inbox = Inbox()
        self._reader = KeyReader()
        self._told: queue.Queue[Changed | Fault] = queue.Queue()
        self._fault = ""
        self._record: tuple[Approval, Recorded, Person | None] | None = None
        self._lines: tuple[tuple[Approval, int, int], list[str]] | None = None
        self._signal: int | None = None
        self._console = Console(highlight=False, markup=False, emoji=False)
        self._wakened, self._waker = os.pipe()

    def run(self) -> None:
        """Runs until a key or a signal ends it; a signal other than Ctrl-C ends the program as it would have."""
        os.set_blocking(self._waker, False)
        os.set_blocking(self._wakened, False)
        follower = Follower(self._store, self._tell, clock.now_us)
        with self._signals():
            follower.start()
            try:
                with key_mode(sys.stdin.fileno()), self._console.screen():
                    self._loop()
            finally:
                follower.stop()
        if self._signal not in {None, signal.SIGINT}:
            signal.signal(self._signal, signal.SIG_DFL)
            os.kill(os.getpid(), self._signal)

    def _loop(self) -> None:
        while self._signal is None:
            self._take_events()
            self._inbox.tick(clock.now_us())
            self._draw()
            pause = _ESCAPE_S if self._reader.is_within_sequence else _TICK_S
            ready, _, _ = select.select([sys.stdin, self._wakened], [], [], pause)
            if self._wakened in ready:
                self._drain()
            if sys.stdin not in ready:
                keys = [] if ready else self._reader.flush()
            elif content := os.read(sys.stdin.fileno(), _BYTES):
                keys = self._reader.feed(content)
            else:
                # The terminal is gone.
                return
            if self._press(keys):
                return

    def _press(self, keys: list[Key]) -> bool:
        """Acts on keys; true at the end."""
        for key in keys:
            view = self._inbox.view
            command = self._inbox.press(key)
            if isinstance(command, QuitCommand):
                return True
            if isinstance(command, AnswerCommand):
                self._answer(command)
            elif isinstance(command, AskPermitCommand):
                self._ask_permit(command.approval)
            elif isinstance(command, OfferCommand):
                self._offer()
            if command is not None or self._inbox.view not in {view, View.LIST, View.EVIDENCE}:
                # Keys that came with this one were typed before its question or its result could be seen.
                return False
        return False

    def _answer(self, command: AnswerCommand) -> None:
        try:
            answered = self._person.answer(command.approval, command.verdict, command.reason, command.permit)
            record = self._store.approvals.record(answered.id)
            owner = owner_of(self._person.opened, answered.call.grant)
        except CallgateError as error:
            self._inbox.fail(str(error))
            return
        self._inbox.finish(answered, next(result_lines(answered, record, command.permit, owner)), clock.now_us())

    def _ask_permit(self, approval: Approval) -> None:
        try:
            self._person.must_answer()
            self._inbox.ask(PermitQuestions(approval, self._store.approvals.record(approval.id)))
        except CallgateError as error:
            self._inbox.fail(str(error))

    def _offer(self) -> None:
        questions = self._inbox.questions
        if questions is None:
            return
        try:
            self._inbox.confirm(questions.offer())
        except CallgateError as error:
            # The question that it is about is asked again.
            self._inbox.message = str(error)

    def _draw(self) -> None:
        width, height = self._console.size
        evidence = None if self._inbox.view is View.LIST else self._evidence(width)
        text = draw(self._inbox, evidence, str(self._store.place), self._fault, clock.now_us(), width, height)
        self._console.control(Control.home())
        self._console.print(text, end="", no_wrap=True, overflow="crop", crop=True)

    def _evidence(self, width: int) -> list[str] | None:
        """The evidence of the selected approval; read again once it changes, and written again each second."""
        current = self._inbox.current
        if current is None:
            return None
        key = (current, width, clock.now_us() // 1_000_000)
        if self._lines is not None and self._lines[0] == key:
            return self._lines[1]
        if self._record is None or self._record[0] != current:
            try:
                record = self._store.approvals.record(current.id)
                self._record = (current, record, owner_of(self._person.opened, current.call.grant))
            except CallgateError as error:
                # Without its evidence nothing can be answered.
                self._inbox.view, self._inbox.message = View.LIST, str(error)
                return None
        self._lines = (key, evidence_lines(*self._record, clock.now_us(), width))
        return self._lines[1]

    def _tell(self, event: Changed | Fault) -> None:
        """Takes what changes, on the thread that follows."""
        self._told.put(event)
        self._wake()

    def _take_events(self) -> None:
        while True:
            try:
                event = self._told.get_nowait()
            except queue.Empty:
                return
            if isinstance(event, Fault):
                self._fault = event.reason
            else:
                self._inbox.is_read = True
                self._inbox.update(event.approvals, clock.now_us())

    def _wake(self) -> None:
        try:
            os.write(self._waker, b"\0")
        except BlockingIOError:
            # It is awake as it is.
            return

    def _drain(self) -> None:
        try:
            while os.read(self._wakened, _BYTES):
                pass
        except BlockingIOError:
            return

    @contextmanager
    def _signals(self) -> Iterator[None]:
        """Takes signals as ends of the loop, so that the terminal is restored; a second one ends at once."""

        def end(number: int, _frame: FrameType | None) -> None:
            if self._signal is not None:
                raise KeyboardInterrupt
            self._signal = number

        before = {number: signal.signal(number, end) for number in _ENDING}
        # A changed size wakes the loop, which draws anew.
        before[signal.SIGWINCH] = signal.signal(signal.SIGWINCH, lambda _number, _frame: None)
        wakened = signal.set_wakeup_fd(self._waker, warn_on_full_buffer=False)
        try:
            yield
        finally:
            signal.set_wakeup_fd(wakened)
            for number, handler in before.items():
                signal.signal(number, handler)
