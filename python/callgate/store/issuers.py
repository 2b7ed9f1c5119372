"""The issuer of people without an OIDC provider."""

from typing import Final

LOCAL_ISSUER: Final = "local"
"""The issuer of people whom the store or the operating system names. OIDC's issuers are URLs."""
