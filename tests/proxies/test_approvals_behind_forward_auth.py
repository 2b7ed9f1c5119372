"""Calls that need a person's approval, behind proxies that ask over HTTP; Traefik's are in test_traefik.py."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from support.proxies.forward import CADDY, HAPROXY, NGINX
from support.proxies.people import admits_one_call, asks_nobody
from support.proxies.ways import Way, forward_auth

if TYPE_CHECKING:
    pass

WITHOUT_ARGUMENTS = [
    Way("nginx", forward_auth(NGINX), 403, "error"),
    Way("Caddy", forward_auth(CADDY), 403, "error"),
]


def test_a_person_admits_one_call_behind_haproxy(tmp_path: Path, served: tuple[Path, int]) -> None:
    admits_one_call(Way("HAProxy", forward_auth(HAPROXY)), tmp_path, *served)


@pytest.mark.parametrize("way", WITHOUT_ARGUMENTS, ids=str)
def test_where_arguments_are_not_seen_nobody_is_asked(tmp_path: Path, served: tuple[Path, int], way: Way) -> None:
    asks_nobody(way, tmp_path, *served)
