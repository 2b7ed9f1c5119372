"""The device authorization grant (RFC 8628): a login in any browser for a command that has none."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from callgate.config.login import is_safe
from callgate.errors import CallgateError
from callgate.identity.errors import LoginError
from callgate.identity.oidc.metadata import discovered
from callgate.text import quoted, visible

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from callgate.identity.oidc.http import IssuerHttp

_GRANT: Final = "urn:ietf:params:oauth:grant-type:device_code"
_LONGEST_S: Final = 1_800.0
_USUAL_INTERVAL_S: Final = 5.0
_LONGEST_INTERVAL_S: Final = 60.0
_SLOWER_S: Final = 5.0
"""The time by which the interval grows when the issuer asks for it (RFC 8628, 3.5)."""

_LONGEST_CODE: Final = 100


@dataclass(frozen=True)
class DeviceCode:
    """A login that waits for a person in a browser."""

    user_code: str
    url: str
    """The address to open."""
    full_url: str | None
    """The same with the code in it; None if the issuer has none."""
    expires_s: float
    interval_s: float
    code: str = field(repr=False)
    token_endpoint: str


def begin(http: IssuerHttp, issuer: str, client_id: str, scopes: Sequence[str]) -> DeviceCode:
    """Begins a login at an issuer.

    Raises:
        CallgateError: The issuer offers no such login, or refuses.
    """
    metadata = discovered(http, issuer)
    endpoint = metadata.device_authorization_endpoint
    if endpoint is None:
        message = (
            f"the issuer {quoted(issuer)} offers no login for commands (it has no `device_authorization_endpoint`); "
            "log in with a browser"
        )
        raise CallgateError(message)
    status, given = http.post(endpoint, {"client_id": client_id, "scope": " ".join(scopes)})
    if status != HTTPStatus.OK:
        raise _refused(issuer, given)
    code, user_code, url = (given.get(name) for name in ("device_code", "user_code", "verification_uri"))
    if not all(isinstance(one, str) and one for one in (code, user_code, url)) or not _is_url(url):
        message = f"the issuer {quoted(issuer)} gave no code for this login"
        raise CallgateError(message)
    full = given.get("verification_uri_complete")
    return DeviceCode(
        user_code=visible(str(user_code))[:_LONGEST_CODE],
        url=str(url),
        full_url=full if _is_url(full) else None,
        expires_s=_seconds(given.get("expires_in"), _LONGEST_S, _LONGEST_S),
        interval_s=_seconds(given.get("interval"), _USUAL_INTERVAL_S, _LONGEST_INTERVAL_S),
        code=str(code),
        token_endpoint=metadata.token_endpoint,
    )


def wait(
    http: IssuerHttp,
    issuer: str,
    client_id: str,
    device: DeviceCode,
    *,
    sleep: Callable[[float], None] = time.sleep,
    clock_s: Callable[[], float] = time.monotonic,
) -> str:
    """The ID token, once the person has logged in.

    Raises:
        CallgateError: They have not, in time, or have refused.
    """
    deadline_s, interval_s = clock_s() + device.expires_s, device.interval_s
    fields = {"grant_type": _GRANT, "device_code": device.code, "client_id": client_id}
    while clock_s() < deadline_s:
        sleep(interval_s)
        try:
            status, given = http.post(device.token_endpoint, fields)
        except LoginError:
            # RFC 8628, 3.5: after a failure of the network, less often.
            interval_s = min(2 * interval_s, _LONGEST_INTERVAL_S)
            continue
        if status == HTTPStatus.OK:
            token = given.get("id_token")
            if not isinstance(token, str):
                message = f"the issuer {quoted(issuer)} gave no ID token; its client has to be allowed `openid`"
                raise CallgateError(message)
            return token
        match given.get("error"):
            case "authorization_pending":
                pass
            case "slow_down":
                interval_s = min(interval_s + _SLOWER_S, _LONGEST_INTERVAL_S)
            case _:
                raise _refused(issuer, given)
    message = "nobody has logged in within the time of the code; run the command again"
    raise CallgateError(message)


def _refused(issuer: str, given: dict[str, Any]) -> CallgateError:
    words = [quoted(str(given[name])) for name in ("error", "error_description") if isinstance(given.get(name), str)]
    return CallgateError(f"the issuer {quoted(issuer)} refused the login: {': '.join(words) or 'without a reason'}")


def _seconds(value: object, usual: float, most: float) -> float:
    is_number = isinstance(value, int) and not isinstance(value, bool) and value > 0
    return min(float(value), most) if is_number and isinstance(value, int) else usual


def _is_url(value: object) -> bool:
    return isinstance(value, str) and value.isascii() and value.isprintable() and " " not in value and is_safe(value)
