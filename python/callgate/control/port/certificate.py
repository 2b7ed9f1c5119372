"""The certificate of the admin port."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from callgate.config.faults import InvalidConfigError

if TYPE_CHECKING:
    import ssl

    from callgate.config.bundle import Bundle

_NO_PASSWORD: Final = ""
"""Given for a key that has one, so that OpenSSL does not ask the terminal."""


def admin_certificate(bundle: Bundle) -> ssl.SSLContext | None:
    """TLS 1.2 and 1.3 with the certificate of `admin.tls`; None without one.

    Raises:
        InvalidConfigError: It is no PEM, does not belong to its key, or the key has a password.
    """
    contents = bundle.admin_tls
    if contents is None:
        return None
    # Here, because few ports have TLS, and decisions are to be served first.
    import ssl  # noqa: PLC0415

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    # OpenSSL reads files alone. These contents are what was checked, whatever the files hold by now.
    handle = os.memfd_create("callgate-certificate")
    try:
        os.write(handle, contents["certificate"] + b"\n" + contents["key"])
        context.load_cert_chain(f"/proc/self/fd/{handle}", password=_NO_PASSWORD)
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", None)
        said = f": {str(reason).lower().replace('_', ' ')}" if reason else ""
        message = (
            f"the certificate of the admin port cannot be used{said}; expected PEM files of a certificate with its "
            "chain and of its private key, which has no password"
        )
        raise InvalidConfigError([bundle.loaded.fault(("admin", "tls"), message)]) from None
    finally:
        os.close(handle)
    return context
