"""Configuration files of MCP clients: the servers in them, and their way behind callgate and back."""
