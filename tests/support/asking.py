"""A replica for tests of races: a process that asks the store for calls, and prints each outcome as it comes.

Arguments: the URL of the store, the number of threads, and fingerprints, of which each thread asks its share. It prints
`ready`, and begins when its standard input ends.
"""

from __future__ import annotations

import json
import secrets
import sys
import threading
from collections.abc import Sequence

from callgate.store.ids import ID_BYTES, make_id
from callgate.store.model import Used, Waiting
from callgate.store.place import parse_place
from callgate.store.store import Store, open_store
from support.approvals import NOW, ask

_print = threading.Lock()


def say(**fields: object) -> None:
    """Prints a line, of which nothing is lost when the process is killed."""
    with _print:
        sys.stdout.write(json.dumps(fields) + "\n")
        sys.stdout.flush()


def one(store: Store, fingerprint: str) -> None:
    """Asks for one call."""
    random = (make_id(secrets.token_bytes(ID_BYTES)) for _ in range(2))
    [outcome] = store.approvals.ask([ask(fingerprint, new_id=next(random), use_id=next(random))], NOW)
    if isinstance(outcome, Used):
        say(fingerprint=fingerprint, used=outcome.approval_id)
    elif isinstance(outcome, Waiting):
        say(fingerprint=fingerprint, waiting=outcome.approval_id, is_new=outcome.is_new)
    else:
        say(fingerprint=fingerprint, other=str(outcome))


def some(store: Store, fingerprints: Sequence[str]) -> None:
    """Asks for one call after the other."""
    for fingerprint in fingerprints:
        one(store, fingerprint)


def main(url: str, threads: str, *fingerprints: str) -> None:
    """Runs the threads to their ends."""
    store = Store(open_store(parse_place(url)).database, per_grant=10_000)
    shares: list[Sequence[str]] = [fingerprints[number :: int(threads)] for number in range(int(threads))]
    running = [threading.Thread(target=some, args=(store, share)) for share in shares]
    say(ready=True)
    sys.stdin.read()
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    store.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
