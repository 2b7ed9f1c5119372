"""`helm test`: callgate is ready, and refuses strangers. Arguments: the URLs of readiness, and of decisions if any."""

from __future__ import annotations

import ssl
import sys
import urllib.error
import urllib.request

READY, REFUSED = 200, 401
# The certificate is not what is tested here, and its authority is not known to this pod.
ANY = ssl.create_default_context()
ANY.check_hostname = False
ANY.verify_mode = ssl.CERT_NONE


def status(url: str, body: bytes | None = None) -> int | None:
    """The status of an answer; None if the connection is refused for want of a client certificate."""
    request = urllib.request.Request(url, body, {"content-type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=10, context=ANY) as response:
            code: int = response.status
            return code
    except urllib.error.HTTPError as error:
        return error.code
    except OSError as error:
        if "CERTIFICATE_REQUIRED" in str(error):
            return None
        sys.exit(f"{url}: {error}")


ready = status(sys.argv[1])
if ready != READY:
    sys.exit(f"{sys.argv[1]}: expected 200, got {ready}")
for url in sys.argv[2:]:
    refused = status(f"{url}/v1/check", b'{"grant": "x", "server": "x", "tool": "x"}')
    if refused not in (None, REFUSED):
        sys.exit(f"{url}: expected that strangers are refused (401), got {refused}")
sys.stdout.write("callgate is ready, and refuses strangers\n" if sys.argv[2:] else "callgate is ready\n")
