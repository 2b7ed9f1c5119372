"""Hashes of passwords."""

from __future__ import annotations

import os
import subprocess
import sys
import threading

import pytest
from argon2 import PasswordHasher, extract_parameters

from callgate.identity import passwords as module
from callgate.identity.errors import RetryError
from callgate.identity.passwords import AT_ONCE, WAITING, PasswordError, Passwords, generated_password

GOOD = "correct horse battery"


def test_a_password_and_others(passwords: Passwords) -> None:
    hashed = passwords.hash(GOOD)
    assert passwords.verify(hashed, GOOD)
    assert passwords.hash(GOOD) != hashed
    for wrong in ("", GOOD + " ", GOOD.upper(), "x" * 257, "\udcff" * 12):
        assert not passwords.verify(hashed, wrong)


def test_a_password_without_a_person(passwords: Passwords) -> None:
    assert not passwords.verify(None, GOOD)


def test_nobody_costs_what_a_person_costs(passwords: Passwords) -> None:
    nobody = extract_parameters(module._NOBODY)  # noqa: SLF001  the dummy itself is meant
    assert nobody == extract_parameters(passwords.hash(GOOD))
    # The dummy has to be a hash that is computed to its end.
    assert PasswordHasher().check_needs_rehash(module._NOBODY)  # noqa: SLF001  as above
    assert "argon2id" in module._NOBODY  # noqa: SLF001  as above


def test_memory_of_hashes_goes_back_to_the_system() -> None:
    program = (
        "from concurrent.futures import ThreadPoolExecutor\n"
        "from pathlib import Path\n"
        "from callgate.identity.passwords import Passwords\n"
        "def resident(): return int(Path('/proc/self/statm').read_text().split()[1]) * 4096\n"
        "passwords, before = Passwords(), resident()\n"
        "with ThreadPoolExecutor(6) as people:\n"
        "    list(people.map(lambda number: passwords.hash(f'correct horse battery {number}'), range(12)))\n"
        "print(resident() - before)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    # One hash takes 19 MiB while it is made.
    assert int(done.stdout) < 10 << 20


def test_a_damaged_hash_is_of_no_password(passwords: Passwords) -> None:
    for damaged in ("", "hash", "$argon2id$v=19$m=1$x$y"):
        assert not passwords.verify(damaged, GOOD)


def test_composed_characters_are_the_same(passwords: Passwords) -> None:
    assert passwords.verify(passwords.hash("caf\u00e9 caf\u00e9 caf\u00e9"), "cafe\u0301 cafe\u0301 cafe\u0301")


@pytest.mark.parametrize("bad", ["", "short", "a" * 11, "a" * 20, "a" * 257, "correct\nhorse battery", "\udcff" * 12])
def test_passwords_that_are_not_good_enough(passwords: Passwords, bad: str) -> None:
    with pytest.raises(PasswordError, match="expected a password of") as raised:
        passwords.hash(bad)
    assert bad == "" or bad not in str(raised.value)


def test_generated_passwords() -> None:
    assert len({generated_password() for _ in range(10)}) == 10
    module.check_password(generated_password())


def test_hashes_step_back_behind_decisions(passwords: Passwords) -> None:
    before = os.getpriority(os.PRIO_PROCESS, 0)
    passwords.hash(GOOD)
    threads = [thread for thread in threading.enumerate() if thread.name.startswith("callgate-password")]
    assert {os.getpriority(os.PRIO_PROCESS, thread.native_id or 0) for thread in threads} == {max(before, 10)}
    assert os.getpriority(os.PRIO_PROCESS, 0) == before


def test_few_at_once_and_few_that_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    begun, running, most, lock, end = threading.Semaphore(0), [0], [0], threading.Lock(), threading.Event()

    def slow(_encoded: str, _password: str) -> bool:
        with lock:
            running[0] += 1
            most[0] = max(most[0], running[0])
        begun.release()
        assert end.wait(30)
        with lock:
            running[0] -= 1
        return True

    monkeypatch.setattr(module, "_is_right", slow)
    results, refused = list[bool](), list[RetryError]()

    def log_in() -> None:
        try:
            # All instances have the same bounds.
            with Passwords().turn():
                begun.release()
                results.append(Passwords().verify("hash", GOOD))
        except RetryError as error:
            refused.append(error)
            begun.release()

    threads = [threading.Thread(target=log_in) for _ in range(AT_ONCE + WAITING + 5)]
    for thread in threads:
        thread.start()
    # Each thread has its turn or is refused, and as many as may do compute.
    for _ in range(len(threads) + AT_ONCE):
        assert begun.acquire(timeout=30)
    end.set()
    for thread in threads:
        thread.join()
    assert (len(results), len(refused), most[0]) == (AT_ONCE + WAITING, 5, AT_ONCE)
    assert refused[0].retry_after_s == 2
    assert "too many people log in at this moment; try again in 2 s" in str(refused[0])
