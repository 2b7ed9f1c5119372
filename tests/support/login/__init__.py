"""Issuers for the tests of logins, and people's ways through them."""
