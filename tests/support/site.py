"""A client of the admin port's pages that sends what a browser sends."""

from __future__ import annotations

import re
from contextlib import ExitStack
from html import unescape
from typing import Any
from urllib.parse import urlencode

import httpx

GOOD = "correct horse battery"
TIMEOUT_S = 30.0


class Browser:
    """A browser with its cookies; it follows no redirect by itself."""

    def __init__(self, stack: ExitStack, address: str) -> None:
        self.origin = f"http://{address}"
        self.client = stack.enter_context(httpx.Client(base_url=self.origin, timeout=TIMEOUT_S))

    def get(self, path: str, **headers: str) -> httpx.Response:
        """A page that a person opens."""
        return self.client.get(path, headers={"Sec-Fetch-Site": "none", **headers})

    def post(self, path: str, fields: dict[str, str], **headers: str) -> httpx.Response:
        """A form that is sent from a page of the port, as Chromium sends it from pages without a referrer."""
        sent = {
            "Origin": "null",
            "Sec-Fetch-Site": "same-origin",
            "Content-Type": "application/x-www-form-urlencoded",
            **headers,
        }
        return self.client.post(path, content=urlencode(fields), headers=sent)

    def log_in(self, name: str = "ann", password: str = GOOD, **fields: str) -> httpx.Response:
        """The answer to a log-in."""
        return self.post("/login", {"name": name, "password": password, **fields})

    def fields(self, path: str) -> dict[str, str]:
        """The hidden fields of the forms of a page."""
        return hidden_fields(self.get(path).text)

    def send(self, path: str, page: str, fields: dict[str, Any]) -> httpx.Response:
        """A form of a page, with its hidden token."""
        return self.post(path, {"form_token": self.fields(page)["form_token"], **fields})


def hidden_fields(text: str) -> dict[str, str]:
    """The hidden fields of a page's forms."""
    found = re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)">', text)
    return {name: unescape(value) for name, value in found}
