"""For asyncio: the client whose methods are coroutines.

`docs/python.md` says which other calls block an event loop, and which do not.
"""

from callgate.client.aio import AsyncClient
from callgate.client.messages import Call

__all__ = ["AsyncClient", "Call"]
