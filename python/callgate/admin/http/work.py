"""Work that blocks, on threads beside an event loop."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from threading import Thread
from typing import TYPE_CHECKING, TypeVar

from callgate.priority import step_back

if TYPE_CHECKING:
    from collections.abc import Callable

_T = TypeVar("_T")


async def in_thread(function: Callable[[], _T]) -> _T:
    """The result of a function that may block, on a thread that does not keep the process alive.

    The threads of executors do: the interpreter waits for each of them at its end.
    """
    loop = asyncio.get_running_loop()
    done: asyncio.Future[_T] = loop.create_future()

    def run() -> None:
        step_back()
        try:
            result = function()
        except BaseException as error:  # noqa: BLE001  raised where it is awaited
            settle(_fail, done, error)
        else:
            settle(_succeed, done, result)

    def settle(how: Callable[..., None], *arguments: object) -> None:
        # The loop may have ended meanwhile.
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(how, *arguments)

    Thread(target=run, name="callgate-admin-work", daemon=True).start()
    return await done


class Turns:
    """A bound on work that is done at once for everybody who asks; more of it waits."""

    def __init__(self, most: int) -> None:
        """Takes the highest number of threads."""
        self._turns = asyncio.Semaphore(most)

    async def run(self, function: Callable[[], _T], *, is_wanted: Callable[[], bool] = lambda: True) -> _T | None:
        """The result of a function; None if nobody wants it any more when its turn comes."""
        async with self._turns:
            return await in_thread(function) if is_wanted() else None


def _succeed(done: asyncio.Future[_T], result: _T) -> None:
    if not done.done():
        done.set_result(result)


def _fail(done: asyncio.Future[_T], error: BaseException) -> None:
    if not done.done():
        done.set_exception(error)
