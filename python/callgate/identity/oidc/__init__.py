"""Logins by OpenID Connect: what an issuer says, and the proof that it was the issuer who said it.

Imported only where the configuration has issuers. Every function that talks to an issuer blocks.
"""
