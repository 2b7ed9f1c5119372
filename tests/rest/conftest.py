"""The admin API as REST, over a real port."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client import CollectorRegistry

from callgate.admin.site import Site
from callgate.control.port.address import BoundAddress
from callgate.control.port.http import AdminServer
from callgate.control.port.pages import Pages
from callgate.store.people import Role
from callgate.store.place import in_folder
from callgate.store.store import Store, open_store
from support.admin import Admin, running_admin

TIMEOUT_S = 60.0


@dataclass
class Rest:
    """A client of the API with the rights of an admin."""

    admin: Admin
    address: str
    client: httpx.Client
    token: str

    @property
    def store(self) -> Store:
        return self.admin.store

    def ask(self, verb: str, path: str, document: Any = None, token: str | None = None, **headers: str) -> Any:
        """The status, the document and the header fields of an answer."""
        sent = {"Authorization": f"Bearer {self.token if token is None else token}", **headers}
        answer = self.client.request(verb, path, json=document, headers=sent)
        return answer.status_code, answer.json() if answer.content else None, answer.headers


@pytest.fixture
def rest(tmp_path: Path) -> Iterator[Rest]:
    store = open_store(in_folder(tmp_path / "store"))
    with running_admin(store, tmp_path / "files") as admin:
        pages = Pages(CollectorRegistry())
        assert admin.face.identities is not None
        site = Site(store, admin.face.identities, is_private=True, registry=admin.face.registry)
        pages.site = site
        server = AdminServer(BoundAddress("127.0.0.1:0"), pages)
        server.start()
        token = admin.session("root", Role.ADMIN)
        with httpx.Client(base_url=f"http://{server.address}", timeout=TIMEOUT_S) as client:
            yield Rest(admin, server.address, client, token)
        site.close()
        server.stop()
    store.close()
