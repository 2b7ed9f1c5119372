"""An MCP client that gets its own token: `oauth_client.py URL ISSUER CALLS`, calls as JSON `[[tool, arguments], ...]`.

Knows the address of the server and its own credentials at the issuer: where to ask, whom its token is for and which
scopes it needs, the server's answers say. Prints what it saw. Runs in an environment of its own.
"""

import asyncio
import json
import sys

from fastmcp import Client
from fastmcp.client.transports import StreamableHttpTransport
from mcp.client.auth.extensions.client_credentials import ClientCredentialsOAuthProvider
from mcp.shared.auth import OAuthClientInformationFull, OAuthToken

PATIENCE_S = 30.0


class Storage:
    """Keeps tokens as long as the program runs."""

    def __init__(self) -> None:
        """Creates an empty storage."""
        self.tokens: OAuthToken | None = None

    async def get_tokens(self) -> OAuthToken | None:
        """The tokens that were kept."""
        return self.tokens

    async def set_tokens(self, tokens: OAuthToken) -> None:
        """Keeps them."""
        self.tokens = tokens

    async def get_client_info(self) -> OAuthClientInformationFull | None:
        """The client is known by its credentials."""
        return None

    async def set_client_info(self, client_info: OAuthClientInformationFull) -> None:
        """Ignores a registration."""


async def main(url: str, issuer: str, calls: list[tuple[str, dict[str, object]]]) -> list[list[str]]:
    """Makes the calls, one after the other, in one session."""
    provider = ClientCredentialsOAuthProvider(
        server_url=url, storage=Storage(), client_id="robot", client_secret="secret of the robot", issuer=issuer
    )
    seen = []
    async with Client(StreamableHttpTransport(url, auth=provider)) as client:
        for tool, arguments in calls:
            result = await client.call_tool(tool, arguments, raise_on_error=False)
            seen.append(["refused" if result.is_error else "done", result.content[0].text])
    return seen


done = main(sys.argv[1], sys.argv[2], json.loads(sys.argv[3]))
sys.stdout.write(json.dumps(asyncio.run(asyncio.wait_for(done, PATIENCE_S))))
