"""The configuration as a whole. Every default is defined here or in a section's own file, and nowhere else."""

from __future__ import annotations

from datetime import timedelta
from enum import Enum
from typing import Annotated

from pydantic import ConfigDict, Field, SecretStr

from callgate.config.approvals import Approvals
from callgate.config.audit import Audit
from callgate.config.counters import Counters, Reservations
from callgate.config.fields import (
    AT_START,
    Address,
    Count,
    Duration,
    FilePath,
    Flag,
    Host,
    ListGiven,
    NotNull,
    PathGiven,
    Section,
    Text,
    within,
)
from callgate.config.grants import Grant
from callgate.config.limits import Limits
from callgate.config.listeners import Admin, Tls
from callgate.config.notices import Notices
from callgate.config.peps import Pep
from callgate.config.proxies import Proxies
from callgate.config.servers import Server
from callgate.config.state import default_state_folder
from callgate.config.store import Store
from callgate.config.telemetry import Telemetry
from callgate.config.upstreams import Gateway, PinningTimes
from callgate.target import USUAL_PORT

ENV_PREFIX = "CALLGATE_"
ENV_DELIMITER = "__"


class LogFormat(str, Enum):
    """The format of log lines."""

    JSON = "json"
    TEXT = "text"


class Config(Section):
    """The configuration of `callgate serve`."""

    model_config = ConfigDict(title="callgate configuration", validate_default=True)

    state: Annotated[FilePath, AT_START] = Field(default_factory=default_state_folder)
    """The folder for data that outlives the process; created for this user alone if it does not exist."""

    servers: dict[Text, Server] = Field(default={})
    """The servers whose tools are called, by name."""

    policies: dict[Text, FilePath] = Field(default={})
    """Policy files by key."""

    policies_folder: FilePath | None = None
    """A folder of policy files; the stem of a file is its key."""

    catalogue: FilePath | None = None
    """Categories, risks and input schemas of tools."""

    rate_limits: list[FilePath] = Field(default=[])
    """Files of rate limits by descriptors, one domain per file."""

    grants: Annotated[list[Grant] | None, ListGiven, NotNull] = None
    """The grants. If neither this nor `grants_file` is given, callers are trusted to name the grant."""

    grants_file: Annotated[FilePath | None, PathGiven, NotNull] = None
    """More grants: a file, or a folder of them."""

    grant_key_file: Annotated[FilePath | None, AT_START] = None
    """The key of token hashes, 32 bytes as hex or base64; by default `grant.key` in the state folder."""

    grant_key: Annotated[SecretStr | None, AT_START] = None
    """The same key itself; read only from the environment."""

    peps: Annotated[list[Pep] | None, ListGiven, NotNull] = None
    """The enforcement points. By default every client that reaches the port, and on the socket this user."""

    listen: Annotated[Address | None, AT_START] = f"127.0.0.1:{USUAL_PORT}"
    """Address of the decision API (gRPC and HTTP): an IP address and a port; `null` for no TCP."""

    socket: Annotated[FilePath | None, AT_START] = None
    """A Unix socket to create for the decision API."""

    allowed_hosts: Annotated[list[Host], AT_START] = Field(default=[])
    """Hosts that HTTP requests may name in `Host` and `Origin`, in addition to the loopback names."""

    tls: Tls | None = None
    """TLS of the decision port."""

    proxies: Proxies = Proxies()
    """Sources of the caller, the server and the tool in requests of a proxy."""

    gateway: Gateway = Gateway()
    """The gateway: methods that may pass to servers with an `upstream`, and its address for clients."""

    pinning: PinningTimes = PinningTimes()
    """Time in which first lists of tools are accepted, at the gateway and by `callgate wrap`."""

    admin: Annotated[Admin, AT_START] = Admin()
    """The port of metrics and health, and of the commands that ask a running sidecar."""

    limits: Annotated[Limits, AT_START] = Limits()
    """Bounds of the decision port."""

    counters: Annotated[Counters, AT_START] = Counters()
    """The live state of limits."""

    store: Annotated[Store, AT_START] = Store()
    """The place of approvals and of what is managed while callgate runs."""

    approvals: Annotated[Approvals, AT_START] = Approvals()
    """Approvals by people."""

    notices: Notices = Notices()
    """Messages to people and programs about approvals."""

    reservations: Annotated[Reservations, AT_START] = Reservations()
    """Units that an allowed call took and may return."""

    audit: Annotated[Audit | None, AT_START] = None
    """The decision log; none by default."""

    telemetry: Annotated[Telemetry | None, AT_START] = None
    """The collector of spans and logs over OTLP; none by default."""

    workers: Annotated[Count, Field(ge=0, le=1024), AT_START] = 0
    """Threads for decisions; 0 for one per core."""

    grace: Annotated[Duration, within(timedelta(), timedelta(hours=1)), AT_START] = timedelta(seconds=10)
    """Longest time that a stop waits for calls in flight."""

    log_format: Annotated[LogFormat, AT_START] = LogFormat.TEXT
    """Format of log lines on stderr."""

    watch: Annotated[Flag, AT_START] = True
    """Reload changed files automatically; otherwise only on SIGHUP."""
