"""The pages and the admin API on the admin port: a part of the control plane."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

from callgate.config.address import host_of, is_loopback
from callgate.control.owners import Owners

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.types import Receive, Scope, Send

    from callgate.admin.face import AdminFace
    from callgate.admin.site import Site
    from callgate.config.bundle import Bundle
    from callgate.control.port.pages import Pages
    from callgate.store.store import Store

_CLOSED = b"the store is not open yet, or does not answer; `callgate status` says why\n"


class AdminSite:
    """The site, for as long as the store is open."""

    def __init__(
        self,
        pages: Pages,
        face: AdminFace,
        bundle: Callable[[], Bundle],
        address: str,
        show_link: Callable[[str], None] | None,
    ) -> None:
        """Takes the pages, the services, which are started before, the configuration in force, and the bound address.

        `show_link` gets the URL of a one-time link, once, if this machine alone reaches the port and there are no
        people; it must show it to this user alone.
        """
        self._pages = pages
        self._face = face
        self._owners = Owners(bundle)
        self._address = address
        self._show_link = show_link
        self._has_tls = bundle().admin_tls is not None
        admin = bundle().config.admin
        self._public_url, self._has_passkeys = admin.public_url or "", admin.step_up.is_on
        self._site: Site | None = None
        pages.site = _closed

    def start(self, store: Store) -> None:
        """Opens the site."""
        self._owners.use(store)
        # Here, because these libraries take long to import, and decisions are to be served first.
        from callgate.admin.site import Site  # noqa: PLC0415
        from callgate.identity.errors import IdentityError  # noqa: PLC0415
        from callgate.identity.identities import Identities  # noqa: PLC0415

        identities = self._face.identities or Identities(store)
        is_local = is_loopback(host_of(self._address))
        is_private = is_local or self._has_tls
        self._site = self._pages.site = Site(
            store,
            identities,
            is_private=is_private,
            owner_of=self._owners.of,
            registry=self._face.registry,
            public_url=self._public_url,
            has_passkeys=self._has_passkeys,
        )
        if self._show_link is None or not is_local:
            return
        show, self._show_link = self._show_link, None
        try:
            token = identities.new_once()
        except IdentityError:
            # There are people, who log in with their passwords.
            return
        show(f"{'https' if self._has_tls else 'http'}://{self._address}/login?once={token}")

    def stop(self) -> None:
        """Closes the site; requests that are being answered get an error of the store."""
        self._pages.site = _closed
        if self._site is not None:
            self._site.close()
            self._site = None


async def _closed(_scope: Scope, _receive: Receive, send: Send) -> None:
    headers = [
        (b"content-type", b"text/plain; charset=utf-8"),
        (b"content-length", str(len(_CLOSED)).encode()),
        (b"retry-after", b"1"),
        (b"cache-control", b"no-store"),
    ]
    await send({"type": "http.response.start", "status": int(HTTPStatus.SERVICE_UNAVAILABLE), "headers": headers})
    await send({"type": "http.response.body", "body": _CLOSED})
