"""The configuration as a whole. Every default stands here, or in a section's own file, and nowhere else."""

from __future__ import annotations

from datetime import timedelta
from enum import Enum
from typing import Annotated

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from callgate.config.audit import Audit
from callgate.config.counters import Counters, Reservations
from callgate.config.fields import (
    Address,
    Count,
    Duration,
    FilePath,
    Flag,
    Host,
    ListGiven,
    NotNull,
    PathGiven,
    Text,
    within,
)
from callgate.config.grants import Grant
from callgate.config.limits import Limits
from callgate.config.listeners import Admin, Tls
from callgate.config.peps import Pep
from callgate.config.proxies import Proxies
from callgate.config.servers import Server
from callgate.config.state import default_state_folder
from callgate.config.upstreams import Gateway, PinningTimes

ENV_PREFIX = "CALLGATE_"
ENV_DELIMITER = "__"


class LogFormat(str, Enum):
    """How log lines are written."""

    JSON = "json"
    TEXT = "text"


class Config(BaseSettings):
    """The configuration of `callgate serve`."""

    model_config = SettingsConfigDict(
        extra="forbid",
        frozen=True,
        use_attribute_docstrings=True,
        hide_input_in_errors=True,
        title="callgate configuration",
        env_prefix=ENV_PREFIX,
        env_nested_delimiter=ENV_DELIMITER,
        env_ignore_empty=True,
        env_parse_none_str="null",
    )

    state: FilePath = Field(default_factory=default_state_folder)
    """The folder for what outlives the process; created for this user alone where it is not there."""

    servers: dict[Text, Server] = {}
    """The servers whose tools are asked about, by name."""

    policies: dict[Text, FilePath] = {}
    """Policy files by key."""

    policies_folder: FilePath | None = None
    """A folder of policy files; a file's stem is its key."""

    catalogue: FilePath | None = None
    """Categories, risks and input schemas of tools."""

    rate_limits: list[FilePath] = []
    """Files of rate limits by descriptors, each with a domain of its own."""

    grants: Annotated[list[Grant] | None, ListGiven, NotNull] = None
    """The grants. Where neither this nor `grants_file` is given, callers are trusted to name the grant."""

    grants_file: Annotated[FilePath | None, PathGiven, NotNull] = None
    """More grants: a file, or a folder of them."""

    grant_key_file: FilePath | None = None
    """The key of token hashes, 32 bytes as hex or base64; `grant.key` in the state folder where not given."""

    grant_key: SecretStr | None = None
    """The same key itself; taken from the environment alone."""

    peps: Annotated[list[Pep] | None, ListGiven, NotNull] = None
    """Who may ask. Where this is not given, everybody who reaches the port, and this user on the socket."""

    listen: Address | None = "127.0.0.1:9191"
    """Where decisions are asked over TCP: an IP address and a port; `null` for no TCP."""

    socket: FilePath | None = None
    """A Unix socket to create for decisions."""

    allowed_hosts: list[Host] = []
    """Hosts, beyond the loopback names, that HTTP requests may name in `Host` and `Origin`."""

    tls: Tls | None = None
    """TLS of the decision port."""

    proxies: Proxies = Proxies()
    """How the requests of a proxy say who calls, and which server and tool are meant."""

    gateway: Gateway = Gateway()
    """What the gateway lets pass to servers that have an `upstream`, and where its clients find it."""

    pinning: PinningTimes = PinningTimes()
    """Time in which first lists of tools are accepted, at the gateway and by `callgate wrap`."""

    admin: Admin = Admin()
    """The port of metrics and health."""

    limits: Limits = Limits()
    """Bounds of the decision port."""

    counters: Counters = Counters()
    """The live state of limits."""

    reservations: Reservations = Reservations()
    """Units that an allowed call took and may give back."""

    audit: Audit | None = None
    """The decision log; none where this is not given."""

    workers: Annotated[Count, Field(ge=0, le=1024)] = 0
    """Threads that decide; 0 for one per core."""

    grace: Annotated[Duration, within(timedelta(), timedelta(hours=1))] = timedelta(seconds=10)
    """How long a stop waits for what is in flight."""

    log_format: LogFormat = LogFormat.TEXT
    """How log lines are written to stderr."""

    watch: Flag = True
    """Take changed files into use by themselves; otherwise on SIGHUP alone."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003  the base class's names, as are the others
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """One source: `load` puts the others together, because it must know where each value came from."""
        return (init_settings,)
