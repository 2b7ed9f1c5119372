"""The settings of one issuer, which a test can change as a reload does."""

from __future__ import annotations

from typing import Any

from callgate.config.login import Login, LoginSettings
from support.login.issuer import CLIENT

ROLES = {"admin": ["admins"], "approver": ["dba"], "viewer": ["readers"]}


class Settings:
    """Gives the settings in force."""

    def __init__(self, issuer: str, public_url: str) -> None:
        self.issuer = issuer
        self.public_url = public_url
        self.login: dict[str, Any] = {"issuer": issuer, "client_id": CLIENT, "roles": ROLES}
        self.secret: str | None = None
        self.is_configured = True

    def __call__(self) -> tuple[LoginSettings, ...]:
        return (LoginSettings(Login.model_validate(self.login), self.secret),) if self.is_configured else ()
