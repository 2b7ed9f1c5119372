"""A real OpenID provider in a process of its own, and a person who follows its pages."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from html import unescape
from typing import Any
from urllib.parse import urljoin

import httpx

from support.gateway.environments import PACKAGES, bare_environment, needed, node

TIMEOUT_S = 30.0
_MOST_STEPS = 20


class Provider:
    """The provider, with the browser of one person who has a session there."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.browser = httpx.Client(timeout=TIMEOUT_S)

    def choose(self, account: str) -> None:
        """Lets the next login be that of an account, in a browser that the provider does not know."""
        self.browser.cookies.clear()
        assert self.browser.get(f"{self.url}/test/account/{account}").status_code == 200

    def rotate(self) -> None:
        """Replaces the keys."""
        assert self.browser.get(f"{self.url}/test/rotate").status_code == 200

    def follow(self, url: str) -> httpx.Response | str:
        """Follows redirects and forms of the provider; the last page, or the URL elsewhere that it leads to."""
        response = self.browser.get(url)
        for _ in range(_MOST_STEPS):
            if response.is_redirect:
                target = urljoin(str(response.url), response.headers["location"])
                if not target.startswith(f"{self.url}/"):
                    return target
                response = self.browser.get(target)
                continue
            form = _form(response.text)
            if form is None:
                return response
            action, fields = form
            response = self.browser.post(urljoin(str(response.url), action), data=fields)
        raise AssertionError(response.text)

    def log_out(self) -> None:
        """Ends the session at the provider."""
        response = self.browser.get(f"{self.url}/session/end")
        form = _form(response.text)
        assert form is not None, response.text
        action, fields = form
        self.browser.post(urljoin(str(response.url), action), data={**fields, "logout": "yes"})


@contextmanager
def provider(clients: list[dict[str, Any]], accounts: dict[str, dict[str, Any]]) -> Iterator[Provider]:
    """Runs the provider to the end of the block."""
    needed(PACKAGES / "issuer.mjs")
    process = subprocess.Popen(
        [*node("issuer.mjs"), json.dumps({"clients": clients, "accounts": accounts})],
        env=bare_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        assert url.startswith("http://127.0.0.1:"), url
        found = Provider(url)
        with found.browser:
            yield found
    finally:
        process.terminate()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


def _form(text: str) -> tuple[str, dict[str, str]] | None:
    """The address and the hidden fields of the form of a page; None if it has none."""
    found = re.search(r'<form[^>]* action="([^"]+)"', text)
    if found is None:
        return None
    fields = {}
    for given in re.findall(r"<input[^>]*>", text):
        name, value = (re.search(rf'{key}="([^"]*)"', given) for key in ("name", "value"))
        if name is not None and 'type="hidden"' in given:
            fields[unescape(name[1])] = "" if value is None else unescape(value[1])
    return unescape(found[1]), fields
