"""The same bursts of calls for several limiters at once."""

from __future__ import annotations

import time
from threading import Event, Thread
from typing import TYPE_CHECKING

from support.fleet.ledger import Ledger, Limit

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from random import Random

    from support.fleet.peers import Contestant

PAUSE_S = 0.002


class Contest:
    """Threads that ask every limiter in the same bursts, with a pause of random length between them."""

    def __init__(
        self, limits: Sequence[Limit], contestants: Mapping[str, Sequence[Contestant]], choose: Random
    ) -> None:
        """Takes a limit for each name, and for each name the limiters that count it together."""
        self.ledger = Ledger(limits)
        self.asked = dict.fromkeys(contestants, 0)
        self.faults: list[str] = []
        self._choose = choose
        self._burst = Event()
        self._done = Event()
        self._threads = [Thread(target=self._alternate)]
        for name, limiters in contestants.items():
            self._threads += [Thread(target=self._ask, args=(name, *one)) for one in enumerate(limiters)]

    def start(self) -> None:
        """Begins."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Ends."""
        self._done.set()
        for thread in self._threads:
            thread.join(120)
            assert not thread.is_alive(), thread

    def has_admitted_since(self, moment: float) -> bool:
        """True if every limiter has admitted a unit since a moment."""
        admitted = self.ledger.admissions
        return all(any(one.after > moment for one in list(admitted[name])[-500:]) for name in self.asked)

    def _alternate(self) -> None:
        while not self._done.is_set():
            self._burst.set()
            self._done.wait(self._choose.uniform(0.1, 0.6))
            self._burst.clear()
            self._done.wait(self._choose.uniform(0.1, 1.2))
        self._burst.set()

    def _ask(self, name: str, number: int, limiter: Contestant) -> None:
        try:
            while not self._done.is_set():
                self._burst.wait()
                before = time.monotonic()
                if limiter.admits():
                    self.ledger.record(name, before, time.monotonic(), number)
                self.asked[name] += 1
                time.sleep(PAUSE_S)
        except Exception as error:  # noqa: BLE001  told by the test
            self.faults.append(f"{name}: {error!r}")
        finally:
            limiter.close()
