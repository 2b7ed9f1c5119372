"""Work on policies and rules of others, without a server."""
