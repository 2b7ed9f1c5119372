"""Lists of the tools of servers, and the catalogues that are made of them.

`listing` and what it imports need the MCP client, which is not installed everywhere: `errors.require_sdk` refuses to go
on without it. Nothing is imported here.
"""
