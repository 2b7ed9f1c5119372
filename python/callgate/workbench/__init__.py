"""Tools for policies and for the rules of other services, without a server."""
