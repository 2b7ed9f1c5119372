"""callgate's Rust half; use the package `callgate`, which exports it."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from os import PathLike
from pathlib import Path
from types import TracebackType
from typing import Any, SupportsFloat, final

from typing_extensions import Self

from callgate.outcome import Outcome

__all__ = [
    "BenchCalls",
    "ConditionStep",
    "Decision",
    "Engine",
    "Explanation",
    "LimitState",
    "ManualClock",
    "Metrics",
    "PolicyInfo",
    "Server",
    "Shadow",
    "Step",
    "Wrap",
    "args_json",
    "bench_run",
    "connect",
    "counters_facts",
    "counters_repair",
    "descriptor_limit",
    "hash_token",
    "new_token",
    "pins_accept",
    "pins_read",
    "pins_record",
    "pins_reset",
    "policy_schema",
    "validate",
    "version",
]

@final
class LimitState:
    """One limit that applied to a call."""

    def __new__(cls, counter: str, max: float, remaining: float, reset_after_ms: int) -> Self:
        """Takes units to the millionth."""

    @property
    def counter(self) -> str:
        """The limit's counter name."""

    @property
    def max(self) -> float:
        """Units per window; an int where they are whole."""

    @property
    def remaining(self) -> float:
        """Units left after the decision; an int where they are whole."""

    @property
    def reset_after_ms(self) -> int:
        """Milliseconds until the whole of `max` is free again, rounded up; 0 when it already is."""

    def to_dict(self) -> dict[str, Any]:
        """The fields by name."""

    def __eq__(self, other: object, /) -> bool: ...
    def __ne__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...

@final
class Shadow:
    """What full enforcement would have answered (`docs/policy.md` section 1)."""

    def __new__(cls, outcome: str, rule: str) -> Self: ...
    @property
    def outcome(self) -> Outcome:
        """Its outcome."""

    @property
    def rule(self) -> str:
        """Its rule pointer."""

    def to_dict(self) -> dict[str, str]:
        """The fields by name."""

    def __eq__(self, other: object, /) -> bool: ...
    def __ne__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...

@final
class Decision:
    """The answer to one call (`docs/policy.md` section 5). Immutable, comparable and hashable.

    As a boolean it is `allowed`. It equals a decision with the same fields, and a string that is its outcome:
    ``decision == "allow"``. Its hash is that of the outcome, so sets of very many decisions are slow.
    """

    def __new__(
        cls,
        *,
        outcome: str,
        rule: str = "",
        message: str = "",
        retry_after_ms: int | None = None,
        limits: Iterable[LimitState] = ...,
        policy: str = "",
        policy_version: str = "",
        shadow: Shadow | None = None,
        fingerprint: str | None = None,
        decided_at_us: int = 0,
        reservation: str | None = None,
        approval: str | None = None,
    ) -> Self:
        """Makes the decision of another process, or of a test; `Engine.check` makes real ones."""

    @property
    def outcome(self) -> Outcome:
        """Allow, deny, rate limited or approval required; compares with strings."""

    @property
    def allowed(self) -> bool:
        """The outcome is `allow`: the call may go on."""

    @property
    def rule(self) -> str:
        """Where in the policy the decision came from, such as ``/tools/create-ami/limits/rate`` or ``(default deny)``.

        Empty for a plain allow.
        """

    @property
    def message(self) -> str:
        """A sentence that a model can act on; empty for a plain allow."""

    @property
    def retry_after_ms(self) -> int | None:
        """For `rate_limited`: milliseconds until this call's units are free, rounded up."""

    @property
    def limits(self) -> tuple[LimitState, ...]:
        """Each limit that applied, in the order in which they were looked at."""

    @property
    def policy(self) -> str:
        """Name of the policy that decided; empty where none was reached."""

    @property
    def policy_version(self) -> str:
        """First 12 hex digits of the SHA-256 of the canonical document; empty where none was reached."""

    @property
    def shadow(self) -> Shadow | None:
        """What full enforcement would have answered, where that differs."""

    @property
    def fingerprint(self) -> str | None:
        """For `approval_required`: the SHA-256 over the exact call in hex (`docs/policy.md` section 6)."""

    @property
    def decided_at_us(self) -> int:
        """Unix microseconds at which the counters were stamped."""

    @property
    def reservation(self) -> str | None:
        """32 hex digits under which the units can be given back, when that was asked for and the call is allowed."""

    @property
    def approval(self) -> str | None:
        """Id of the approval, when there is one."""

    def to_dict(self) -> dict[str, Any]:
        """The body that `POST /v1/check` answers with: absent fields are left out."""

    def __bool__(self) -> bool: ...
    def __eq__(self, other: object, /) -> bool: ...
    def __ne__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...

@final
class ConditionStep:
    """One condition of a check, and the types it met; never the values."""

    @property
    def path(self) -> str:
        """The path as written."""

    @property
    def op(self) -> str:
        """The operator."""

    @property
    def met(self) -> tuple[str, ...]:
        """Types met at the path, each once, in the order met: ``a string``, ``missing``."""

    @property
    def result(self) -> str:
        """``true``, ``presumed true``, ``presumed false``, ``false`` or ``error``, before any `not` around it."""

@final
class Step:
    """One step on the way to a decision (`docs/policy.md` section 2)."""

    @property
    def kind(self) -> str:
        """What was asked: ``request``, ``hidden``, ``default``, ``require``, ``limit`` and so on."""

    @property
    def rule(self) -> str:
        """Rule pointer of what was asked."""

    @property
    def shadowed(self) -> bool:
        """The rule is in shadow: it does not stop the call."""

    @property
    def result(self) -> str:
        """``passed`` or ``stopped``; for a check what its conditions came to."""

    @property
    def conditions(self) -> tuple[ConditionStep, ...]:
        """For checks: every condition, in document order."""

@final
class Explanation:
    """A decision and the steps to it. No units were taken."""

    @property
    def steps(self) -> tuple[Step, ...]:
        """The steps in order, up to the one that decided."""

    @property
    def decision(self) -> Decision:
        """The decision, as it would be given now."""

@final
class PolicyInfo:
    """What is known of one loaded policy."""

    @property
    def server(self) -> str | None:
        """The server it decides for; None when it serves every server."""

    @property
    def name(self) -> str:
        """Its name."""

    @property
    def version(self) -> str:
        """First 12 hex digits of the SHA-256 of the canonical document."""

    @property
    def tools(self) -> list[str]:
        """The tools that it names exactly."""

    def __eq__(self, other: object, /) -> bool: ...
    def __ne__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...

@final
class Engine:
    """Policies and counters in this process.

    A catalogue tells categories, risks and input schemas of tools: the path of a catalogue file, the document as a
    dict, or the short form ``{tool: category}`` that holds for every server.
    """

    @staticmethod
    def from_file(
        path: str | PathLike[str],
        catalogue: str | PathLike[str] | dict[str, Any] | None = None,
        *,
        counter_capacity: int = ...,
        counters_per_grant: int = ...,
        reservation_ttl_ms: int = ...,
        counters: str | None = None,
        flush_interval_ms: int = ...,
        reservations_per_grant: int = ...,
        reservations_per_pep: int = ...,
    ) -> Engine:
        """Reads a policy file, which serves every server, or a folder of them, where a file's stem is its server.

        Args:
            path: ``*.json``, ``*.yaml`` or ``*.yml``, or a folder of such files.
            catalogue: What is known of the tools.
            rate_limits: Files of rate limits: each one's name, whose suffix tells the format, and its contents.
            counter_capacity: Counters that may be alive at once; at the cap, calls that need a new one are denied.
            counters_per_grant: The same for the counters that one grant has made.
            reservation_ttl_ms: How long a reservation can be rolled back.
            counters: Where counters are: ``memory``, which None stands for, or ``file:PATH``, where they survive the
                process (`docs/counters.md`). The file is this engine's alone.
            flush_interval_ms: How often a `Server` of this engine writes that file to disk: what a power failure may
                lose. A kill loses nothing.
            reservations_per_grant: Reservations of one grant that can be open at once, 1 to 65,536; beyond them its
                oldest is committed early.
            reservations_per_pep: The same for the reservations of one PEP. There are 65,536 in all.

        Raises:
            PolicyError: A document has a fault.
            ConfigError: A file cannot be read, a folder holds no policy, or `counters` names no place.
            StoreError: The counters' file is in use, damaged, foreign or newer, or the disk is full.
        """

    @staticmethod
    def from_dict(
        policy: dict[str, Any],
        catalogue: str | PathLike[str] | dict[str, Any] | None = None,
        *,
        counter_capacity: int = ...,
        counters_per_grant: int = ...,
        reservation_ttl_ms: int = ...,
        counters: str | None = None,
        flush_interval_ms: int = ...,
        reservations_per_grant: int = ...,
        reservations_per_pep: int = ...,
    ) -> Engine:
        """Takes a policy as Python values, for every server; numbers are exact, `decimal.Decimal` included.

        Raises:
            PolicyError: The document has a fault.
        """

    @staticmethod
    def from_json(
        policy: bytes | str,
        catalogue: str | PathLike[str] | dict[str, Any] | None = None,
        *,
        counter_capacity: int = ...,
        counters_per_grant: int = ...,
        reservation_ttl_ms: int = ...,
        counters: str | None = None,
        flush_interval_ms: int = ...,
        reservations_per_grant: int = ...,
        reservations_per_pep: int = ...,
    ) -> Engine:
        """Takes a policy as a JSON document, for every server.

        Raises:
            PolicyError: The document has a fault.
        """

    @staticmethod
    def from_config(
        *,
        policies: Mapping[str, tuple[str, bytes]],
        servers: Mapping[str, str | None],
        grants: Sequence[Mapping[str, object]] | None = None,
        grant_key: bytes | None = None,
        catalogue: str | PathLike[str] | dict[str, Any] | None = None,
        rate_limits: Sequence[tuple[str, bytes]] | None = None,
        counter_capacity: int = ...,
        counters_per_grant: int = ...,
        reservation_ttl_ms: int = ...,
        counters: str | None = None,
        flush_interval_ms: int = ...,
        reservations_per_grant: int = ...,
        reservations_per_pep: int = ...,
    ) -> Engine:
        """Takes a whole configuration, its files' contents included.

        Args:
            policies: Policies by key: the file's name, whose suffix tells the format and which messages name, and its
                contents.
            servers: The known servers, with the key of the policy that decides for callers as long as no grants are
                configured; None denies them, ``(no policy)``.
            grants: Each with ``id``, ``server``, ``token_hash`` (see `hash_token`; absent: only who vouches can name
                it), ``policy`` (a key; absent: every call is denied), ``labels``, ``expires_at_us`` (Unix time) and
                ``revoked``. An empty list is nobody: every call is denied, ``(unknown grant)``. None: callers name
                the grant that is charged.
            grant_key: 32 bytes, the key of the token hashes.
            catalogue: What is known of the tools.
            rate_limits: Files of rate limits: each one's name, whose suffix tells the format, and its contents.
            counter_capacity: See `from_file`.
            counters_per_grant: See `from_file`.
            reservation_ttl_ms: See `from_file`.
            counters: See `from_file`.
            flush_interval_ms: See `from_file`.
            reservations_per_grant: See `from_file`.
            reservations_per_pep: See `from_file`.

        Raises:
            PolicyError: A document has a fault.
            ConfigError: Anything else is not as it must be; names the server or grant.
        """

    def reload_config(
        self,
        *,
        policies: Mapping[str, tuple[str, bytes]],
        servers: Mapping[str, str | None],
        grants: Sequence[Mapping[str, object]] | None = None,
        grant_key: bytes | None = None,
        catalogue: str | PathLike[str] | dict[str, Any] | None = None,
        rate_limits: Sequence[tuple[str, bytes]] | None = None,
    ) -> None:
        """As `reload_file`, with a configuration as `from_config` takes it."""

    def reload_file(
        self, path: str | PathLike[str], catalogue: str | PathLike[str] | dict[str, Any] | None = None
    ) -> None:
        """Puts other policies in force, read as by `from_file`; every count whose identity stays keeps what was taken.

        Raises:
            PolicyError: A document has a fault. The policies before stay in force.
            ConfigError: A file cannot be read. The policies before stay in force.
        """

    def reload_dict(
        self, policy: dict[str, Any], catalogue: str | PathLike[str] | dict[str, Any] | None = None
    ) -> None:
        """As `reload_file`, with a policy as `from_dict` takes it."""

    def reload_json(self, policy: bytes | str, catalogue: str | PathLike[str] | dict[str, Any] | None = None) -> None:
        """As `reload_file`, with a policy as `from_json` takes it."""

    def check(
        self,
        *,
        tool: str,
        grant: str | None = None,
        args: object = None,
        server: str | None = None,
        session: str | None = None,
        labels: dict[str, str] | None = None,
        now_ms: SupportsFloat | None = None,
        reserve: bool = False,
        grant_token: str | None = None,
        vouched: bool = True,
    ) -> Decision:
        """Decides one call, and takes units from its limits where it is allowed.

        A call that is no well-formed request is a denial with rule ``(invalid request)``, not an exception.

        Args:
            tool: Tool name, compared as it is.
            grant: Id of the grant that is charged; either this or `grant_token`.
            args: The arguments: a dict (of dicts, lists, tuples, strings, ints, floats, `decimal.Decimal`, booleans
                and None), or the JSON text of an object as bytes or str. None stands for no arguments.
            server: Server name; None stands for the server of `grant_token`'s grant, else for ``srv``, at every door.
            session: Session id; None for a sessionless call.
            labels: The grant's labels; only as long as no grants are configured.
            now_ms: The clock, for tests and simulation: milliseconds since 1970, to the nearest microsecond. None reads
                the system's clock. An engine should see one or the other, because counts live on that clock; counters
                in a file take none.
            reserve: Ask for a reservation, so that the units can be given back by `roll_back`.
            grant_token: The caller's own token, from which the grant and its labels follow.
            vouched: Whether a configured grant may be named by `grant`. Say False where the id comes from somebody who
                is not trusted to name it.

        Raises:
            TypeError: An argument has a type that no call could have.
            ValueError: `now_ms` is no time, or counters are in a file.
            StoreError: The counters' file belongs to the process that this one was forked from; `explain`, `roll_back`
                and `commit` raise it too.
        """

    def explain(
        self,
        *,
        tool: str,
        grant: str | None = None,
        args: object = None,
        server: str | None = None,
        session: str | None = None,
        labels: dict[str, str] | None = None,
        now_ms: SupportsFloat | None = None,
        grant_token: str | None = None,
        vouched: bool = True,
    ) -> Explanation:
        """As `check`, but takes no units and says how the decision comes about."""

    def roll_back(self, reservation: str, *, now_ms: SupportsFloat | None = None) -> bool:
        """Gives a reservation's units back; False when the id is unknown, expired or already settled.

        Raises:
            ValueError: Not an id of a reservation.
        """

    def commit(self, reservation: str, *, now_ms: SupportsFloat | None = None) -> bool:
        """Keeps a reservation's units for good; False when the id is unknown, expired or already settled.

        Raises:
            ValueError: Not an id of a reservation.
        """

    def flush(self) -> None:
        """Returns once everything that was taken so far is on disk; nothing to do for counters in memory.

        Raises:
            StoreError: The disk fails, or the file belongs to the process that this one was forked from.
        """

    def close(self) -> None:
        """Marks the counters' file as whole and lets others open it; again, or for counters in memory, does nothing.

        Calls that need a counter are denied from then on. An engine that nobody uses any more is closed by itself, and
        a file that never was is only looked through more closely when it is opened.

        Raises:
            StoreError: The disk fails: the file is as a kill would have left it. Or it belongs to the process that this
                one was forked from, and is left alone.
        """

    @property
    def counters(self) -> tuple[int, int]:
        """Counters alive, and how many there may be."""

    @property
    def policies(self) -> tuple[PolicyInfo, ...]:
        """The policies in force."""

@final
class ManualClock:
    """A clock that stands still until told otherwise, for tests of a `Server`."""

    def __new__(cls, now_ms: SupportsFloat | None = None) -> Self:
        """Stands at `now_ms` milliseconds since 1970; None stands for 0."""

    @property
    def now_ms(self) -> float:
        """Milliseconds since 1970."""

    def set(self, now_ms: SupportsFloat) -> None:
        """Puts it at `now_ms` milliseconds since 1970, also backwards."""

    def advance(self, ms: SupportsFloat) -> None:
        """Moves it forward by `ms` milliseconds."""

@final
class Metrics:
    """The data plane's numbers at one moment. Counts only grow while the server lives, also across reloads."""

    @property
    def decisions(self) -> list[tuple[str, str, str, int]]:
        """Server, tool, outcome, count. A tool that the policy does not name exactly is ``(other)``."""

    @property
    def denials(self) -> list[tuple[str, str, int]]:
        """Server, rule, count; every outcome other than `allow`."""

    @property
    def duration_bounds_ns(self) -> list[int]:
        """Upper bounds of the duration buckets in nanoseconds; one more bucket has none."""

    @property
    def duration_counts(self) -> list[int]:
        """Decisions per bucket, not summed up."""

    @property
    def duration_sum_ns(self) -> int:
        """All durations together."""

    @property
    def requests(self) -> list[tuple[str, str, int]]:
        """Protocol (``grpc``, ``http``, ``mcp``), status code, count."""

    @property
    def rate_limits(self) -> list[tuple[str, str, int]]:
        """Domain, outcome, count: answers of the rate limit service."""

    @property
    def policies(self) -> list[tuple[str, str, str]]:
        """Server, policy, version of each policy in force."""

    @property
    def counters(self) -> int:
        """Counters alive."""

    @property
    def counter_capacity(self) -> int:
        """Counters that may be alive at once."""

    @property
    def internal_errors(self) -> int:
        """Decisions that failed inside and were answered with ``(internal error)``."""

    @property
    def connections(self) -> int:
        """Connections open now."""

    @property
    def tls_handshakes_failed(self) -> int:
        """TLS handshakes that failed."""

    @property
    def http2_floods(self) -> list[tuple[str, int]]:
        """Connections ended because of too many frames, by kind: ``resets`` or ``control_frames``."""

    @property
    def events_dropped(self) -> int:
        """Events dropped because nobody drained them."""

    @property
    def audit_dropped(self) -> int:
        """Decisions whose line could not be written to the decision log."""

    @property
    def store_errors(self) -> list[tuple[str, str, int]]:
        """Store (``file``), operation (``flush``, ``grow``), failures; empty for counters in memory."""

    @property
    def store_duration_bounds_ns(self) -> list[int]:
        """Upper bounds of the buckets of flushes in nanoseconds; one more bucket has none."""

    @property
    def store_duration_counts(self) -> list[int]:
        """Flushes per bucket, not summed up."""

    @property
    def store_duration_sum_ns(self) -> int:
        """All flushes together."""

    @property
    def upstream_requests(self) -> list[tuple[str, int]]:
        """Server behind the gateway, requests open at it now."""

    @property
    def upstream_failures(self) -> list[tuple[str, str, int]]:
        """Server, kind, count: why it gave no reply that could be passed on; every kind, met or not."""

    @property
    def upstream_sent(self) -> list[tuple[str, str, int]]:
        """Server, connection (``new``, ``reused``), how many requests were sent to it on such a one."""

    @property
    def upstream_retries(self) -> list[tuple[str, int]]:
        """Server, how many requests were sent once more, as nothing of them had been written."""

    @property
    def tools(self) -> list[tuple[str, str, int]]:
        """Server, state (``pinned``, ``changed``, ``new``), how many of its tools are in it now."""

    @property
    def tools_changed(self) -> list[tuple[str, str, int]]:
        """Server, state (``changed``, ``new``), how often a list has brought a tool into it."""

@final
class Server:
    """The data plane: decisions over gRPC and HTTP on one port and on a Unix socket, on threads of its own."""

    def __new__(
        cls,
        engine: Engine,
        listen: str | None = ...,
        socket: str | PathLike[str] | None = None,
        workers: int = 0,
        clock: ManualClock | None = None,
        *,
        grace_ms: int | None = None,
        allowed_hosts: list[str] = ...,
        body_limit_bytes: int | None = None,
        header_limit_bytes: int | None = None,
        unfinished_limit_bytes: int | None = None,
        max_connections: int | None = None,
        max_streams: int | None = None,
        max_batch_calls: int | None = None,
        message_timeout_ms: int | None = None,
        opening_timeout_ms: int | None = None,
        header_timeout_ms: int | None = None,
        idle_timeout_ms: int | None = None,
        keepalive_interval_ms: int | None = None,
        keepalive_timeout_ms: int | None = None,
        audit: Mapping[str, object] | None = None,
        peps: Sequence[Mapping[str, object]] | None = None,
        pep_key: bytes | None = None,
        tls: Mapping[str, bytes] | None = None,
        proxies: Mapping[str, object] | None = None,
        gateway: Mapping[str, object] | None = None,
    ) -> Self:
        """Prepares a server; `start` or a ``with`` block starts it, once.

        Args:
            engine: Whose policies decide and whose counters count.
            listen: TCP address, ``127.0.0.1:0`` where not given; port 0 takes a free one. None for no TCP.
            socket: Path of a Unix socket to create, for this user, root and the users of `peps`.
            workers: Worker threads; 0 for one per core.
            clock: A clock set by hand, for tests; None for the system's.
            grace_ms: How long `stop` waits for what is in flight; None for 10 s.
            allowed_hosts: Hosts, beyond the loopback names, that `Host` and `Origin` of HTTP requests may name.
            body_limit_bytes: Largest gRPC message and HTTP body; None for 4 MiB.
            header_limit_bytes: Largest header of one HTTP/2 request; None for 16 KiB.
            unfinished_limit_bytes: Unfinished messages and bodies held at once, and answers that wait for their
                clients, of which one connection gets an eighth (or one body, if that is more); a quarter is for the
                first 16 KiB of each message, of which one connection gets half; None for 256 MiB.
            max_connections: Connections open at once, more wait; None for 10,000.
            max_streams: Streams open at once on one HTTP/2 connection, more are refused; None for 1,024.
            max_batch_calls: Calls of one `CheckBatch`; None for 1,000.
            message_timeout_ms: How long one message or body may take from its begin to its end; None for 30 s.
            opening_timeout_ms: How long a new connection may take to say which HTTP it speaks; None for 10 s.
            header_timeout_ms: Longest wait for a whole header over HTTP/1.1, from its first byte on; None for 20 s.
            idle_timeout_ms: How long a connection over HTTP/1.1 is kept between two requests; None for 100 s.
            keepalive_interval_ms: How often an HTTP/2 client is asked whether it is still there; None for 30 s.
            keepalive_timeout_ms: How long it has to answer that; None for 20 s.
            audit: The decision log (``docs/decision-log.md``); None for none. ``path`` is a file, or ``-`` for standard
                output; ``mode`` is ``"best_effort"`` (default) or ``"required"``; ``max_bytes`` (256 MiB) and
                ``max_age_s`` (0) rotate, 0 for never; ``keep`` (8) rotated files; ``sync_interval_ms`` (1000), 0 for
                never.

            peps: Enforcement points that may ask, each with a ``name`` and one or more credentials: ``token_hash`` (see
                `hash_token`), ``certificates`` (DNS names or URIs in a client certificate), ``uids`` (users behind the
                socket); with ``vouches`` it may name a configured grant by its id. An empty list is nobody,
                None anybody.
            pep_key: 32 bytes, the key of their token hashes.
            tls: PEM contents ``certificate`` (with its chain) and ``key``, and ``client_ca`` to demand client
                certificates. None: TCP in the clear. The socket always is.
            proxies: How a proxy's requests say who calls, and which server and tool are meant (``docs/proxies.md``):
                ``identity``, a list of ``("token",)``, ``("spiffe",)``, ``("header", NAME)`` or
                ``("metadata", NAMESPACE, KEY, ...)``; ``server``, a list of ``("extension", NAME)``, ``("path",)``,
                ``("host",)``, ``("token",)`` or ``("always", NAME)``; ``hosts``, servers by lower-case host; ``paths``,
                templates such as ``/mcp/{server}``; ``methods``, those allowed and those denied beside the known ones;
                ``tool_errors``, whether denied calls of MCP get status 200; ``mcp_metadata``, the namespace in which
                Envoy's MCP filter tells what it has read of a body, None to believe none.
            gateway: The MCP servers that callgate itself stands before (``docs/gateway.md``): ``servers``, by name,
                each with its ``url`` and, where the default does not do, ``ca`` (PEM), ``headers`` (names and values),
                ``allow_link_local``, ``connect_timeout_ms``, ``answer_timeout_ms``, ``max_requests``,
                ``max_requests_per_grant``, ``max_idle_connections``, ``idle_timeout_ms``, ``list_limit_bytes`` and
                ``pinning``, ``"off"``, ``"report"`` or ``"enforce"`` (default); ``methods``, as above; ``public_url``,
                where clients reach it; ``lists_allowed_only``, whether lists leave out what their caller may never
                call; ``pins_folder``, None to pin nothing; ``first_lists_s``, how long after a server's first whole
                list those of further variants are accepted, in seconds (24 hours); ``oauth``, the issuer whose tokens
                are believed, or a list of issuers, None for none: ``issuer``, ``prefix`` (before the claim in the
                grant's id; of each where there are several), ``jwks`` (the keys) or ``jwks_url``, else where the
                issuer's metadata says, with ``jwks_ca`` (PEM), ``audience``, ``algorithms``, ``grant`` and, by label,
                ``labels`` (lists of names that lead to a claim), ``clock_skew_ms``, ``scopes``; ``allowed_origins``,
                the origins of pages whose scripts may use the gateway.

        Raises:
            ConfigError: A value has the wrong form.
        """

    def check(self) -> None:
        """Looks for what `start` would refuse, without binding anything.

        Raises:
            ConfigError: `peps`, `tls` or `gateway` cannot be used, or there is nothing to listen on.
        """

    def start(self) -> None:
        """Starts listening; returns when the address is bound.

        Raises:
            ConfigError: The address, the socket or the decision log cannot be had, a limit is 0, `peps` or `tls` cannot
                be used, or the server was started before.
        """

    def stop(self) -> None:
        """Stops accepting, finishes what is in flight within the grace period, then closes. May be called again."""

    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None, /
    ) -> None: ...
    @property
    def address(self) -> str | None:
        """The bound TCP address, such as ``127.0.0.1:9191``; None without TCP.

        Raises:
            ConfigError: The server has not been started; so do all that follow.
        """

    @property
    def socket(self) -> str | None:
        """Path of the Unix socket, if there is one."""

    @property
    def store_failure(self) -> str | None:
        """Why the last flush of the counters' file failed; None where it succeeded, and for counters in memory."""

    def reload(
        self,
        path: str | PathLike[str] | None = None,
        catalogue: str | PathLike[str] | dict[str, Any] | None = None,
        *,
        policies: Mapping[str, tuple[str, bytes]] | None = None,
        servers: Mapping[str, str | None] | None = None,
        grants: Sequence[Mapping[str, object]] | None = None,
        grant_key: bytes | None = None,
        peps: Sequence[Mapping[str, object]] | None = None,
        tls: Mapping[str, bytes] | None = None,
        rate_limits: Sequence[tuple[str, bytes]] | None = None,
        proxies: Mapping[str, Any] | None = None,
        gateway: Mapping[str, Any] | None = None,
    ) -> None:
        """Changes the configuration of server and engine, all or nothing: each call goes by one from start to end.

        Args:
            path: Other policies, with `catalogue`, as `Engine.reload_file` takes them; or
            catalogue: What is known of tools.
            policies: a whole configuration, with the keywords of its other parts, as `Engine.reload_config` takes it;
                with neither, the engine stays as it is.
            servers: Its servers.
            grants: Its grants, an empty list for nobody; None: callers name the grant that is charged.
            grant_key: The key of their token hashes.
            peps: Who may ask, open connections included; None for those in force, an empty list for nobody.
            tls: Certificates for new connections; None for those in force.
            rate_limits: Its rate limits; None for none.
            proxies: How the requests of proxies are read, as `Server` takes it; None for what is in force.
            gateway: The servers behind the gateway, as `Server` takes them; None for those in force.

        Raises:
            PolicyError: A document has a fault.
            ConfigError: A file cannot be read, a grant or enforcement point is not as it must be, or certificates are
                expired, cannot be read or do not belong together.
        """

    def set_serving(self, serving: bool) -> None:
        """What `grpc.health.v1` answers from now on."""

    def metrics(self) -> Metrics:
        """The numbers of this moment."""

    def drain_events(self, max: int = 1_000) -> list[tuple[str, str, dict[str, str | int]]]:
        """Takes up to `max` waiting events, oldest first: level, event, fields. Values of arguments never appear."""

@final
class Wrap:
    """An MCP server that speaks over pipes, with every line of its client judged (``docs/stdio.md``)."""

    def __new__(
        cls,
        engine: Engine,
        server: str,
        command: Sequence[str],
        *,
        grant: str | None = None,
        grant_token: str | None = None,
        methods: tuple[Sequence[str], Sequence[str]] | None = None,
        lists_allowed_only: bool = False,
        audit: Mapping[str, object] | None = None,
        grace_ms: int = ...,
        line_limit_bytes: int | None = None,
        held_limit_bytes: int = ...,
        hidden_variables: Sequence[str] = ...,
        pins_folder: str | PathLike[str] | None = None,
        pinning: str | None = None,
        first_lists_s: int | None = None,
    ) -> Self:
        """Prepares it; `run` starts the server.

        Args:
            engine: Whose policies decide and whose counters count.
            server: The server's name.
            command: The program and its arguments.
            grant: Id of the grant that is charged.
            grant_token: The caller's token instead, where grants are configured.
            methods: Those allowed and those denied beside the known ones.
            lists_allowed_only: Leave out of lists what the caller may never call, and not only what is hidden.
            audit: The decision log, as `Server` takes it; ``-`` is standard error here. None for none.
            grace_ms: How long the server may take to end after its input has, and again after SIGTERM; 1,500 where not
                given.
            line_limit_bytes: The longest line of the client that is judged; None for 4 MiB.
            held_limit_bytes: The longest reply that is held because it may be a list of tools; 16 MiB where not given.
            hidden_variables: Variables of the environment that the server does not get.
            pins_folder: Where what was accepted of the server's tools is kept; None to pin nothing.
            pinning: What is done about tools that are not those: ``"off"``, ``"report"`` or ``"enforce"``, which is the
                default.
            first_lists_s: How long after the server's first whole list those of further variants are accepted,
                in seconds; 24 hours for None.

        Raises:
            ConfigError: A value has the wrong form, or the decision log or the folder of pins cannot be opened.
        """

    def run(self) -> tuple[int, str | None]:
        """Stands between standard input and output and the server until that has ended.

        Returns:
            The exit code of a shell that had run the server (128 and its number for a signal), and why it could not be
            started, if so.
        """

    def drain_events(self, max: int = 1_000) -> list[tuple[str, str, dict[str, str | int]]]:
        """Takes up to `max` waiting events, oldest first: level, event, fields. Values of arguments never appear."""

@final
class BenchCalls:
    """The calls of a load test, asked in turn."""

    @staticmethod
    def from_file(path: str | PathLike[str]) -> BenchCalls:
        """Reads JSON lines, with `grant` or `grant_token`, `tool`, `args`, `server`, `session` and `labels`.

        Raises:
            ConfigError: The file cannot be read, or a line has a fault; shown as ``file:line:column: message``.
        """

    @staticmethod
    def from_policy(
        path: str | PathLike[str],
        catalogue: str | PathLike[str] | dict[str, Any] | None = None,
        *,
        grants: int = 1,
        seed: int = 1,
    ) -> BenchCalls:
        """Makes calls up that meet and that break what a policy, or each of a folder of them, asks.

        Args:
            path: As for `Engine.from_file`.
            catalogue: What is known of the tools.
            rate_limits: Files of rate limits: each one's name, whose suffix tells the format, and its contents.
            grants: Distinct grants, from 1 to 1,000,000: ``grant-000001`` and so on.
            seed: The same seed gives the same calls.

        Raises:
            PolicyError: A document has a fault.
            ConfigError: A file cannot be read, or an option has no meaning.
        """

    def write(self, path: str | PathLike[str]) -> None:
        """Writes them as `from_file` reads them.

        Raises:
            ConfigError: The file cannot be written.
        """

    def __len__(self) -> int: ...

def bench_run(
    target: str,
    calls: BenchCalls,
    *,
    method: str = "check",
    batch_size: int | None = None,
    connections: int | None = None,
    streams: int | None = None,
    rate: float | None = None,
    duration_ms: int | None = None,
    warmup_ms: int | None = None,
    timeout_ms: int | None = None,
    threads: int = 0,
    token: str | None = None,
    tls_ca: str | PathLike[str] | None = None,
    tls_cert: str | PathLike[str] | None = None,
    tls_key: str | PathLike[str] | None = None,
    progress: Callable[[str], object] | None = None,
) -> str:
    """Runs a load test, on threads of its own, and gives the `result` of its report as JSON (`docs/load-tests.md`).

    The first Ctrl-C ends the run early, and what was measured is reported; the second is raised.

    Args:
        target: ``HOST:PORT``, ``https://HOST:PORT`` or ``unix:PATH``.
        calls: What is asked.
        method: ``check``, ``batch`` or ``stream``.
        batch_size: Calls of a batch; None for 64.
        connections: None for 4.
        streams: Requests in flight on each connection; None for 16.
        rate: Requests per second of all connections together, at fixed times; None for a closed loop.
        duration_ms: How long is measured; None for 10 s.
        warmup_ms: How long the same load runs before; None for 1 s.
        timeout_ms: How long one answer may take; None for 10 s.
        threads: Threads that put the load on; 0 for half of the cores.
        token: Sent as ``authorization: Bearer``.
        tls_ca: PEM of the authorities that may have signed the target's certificate.
        tls_cert: PEM of our own certificate, for mutual TLS.
        tls_key: PEM of its key.
        progress: Called a few times a second with a JSON object; what it raises ends the run.

    Raises:
        ConfigError: An option has no meaning, the target cannot be reached, or nothing that was asked got an answer.
    """

def connect(url: str, *, headers: Sequence[tuple[str, str]] = ..., ca: bytes | None = None) -> int:
    """Leads the client at standard input and output to a server that speaks streamable HTTP (``docs/stdio.md``).

    Args:
        url: The server's endpoint.
        headers: Fields of every request, names and values.
        ca: Certificates in PEM of the authorities that are believed; None for the system's.

    Returns:
        The exit code: 0 at the end of the input, 128 and its number for a signal.

    Raises:
        ConfigError: The URL or a field is not as it must be.
    """

def validate(path: str | PathLike[str]) -> list[tuple[str, int, int, str]]:
    """The warnings about a policy file or a folder of them: file, line, column and message of each.

    Raises:
        PolicyError: A document has a fault.
        ConfigError: A file cannot be read.
    """

def counters_facts(path: str | PathLike[str]) -> dict[str, int | bool | None]:
    """What a file of counters says of itself, also while a process has it: version, counters, bytes and so on.

    Raises:
        StoreError: There is no such file, or it is foreign, newer, or damaged beyond reading.
    """

def counters_repair(path: str | PathLike[str]) -> tuple[int, int, int, int, int, Path]:
    """Puts a file with every counter that is whole in the place of a damaged one, which is kept beside it.

    Returns:
        Counters kept; how many of them are doubtful, because they come from blocks that do not match their checksum;
        counters dropped; blocks that are doubtful; blocks dropped of which nothing could be told; and where the old
        file is now.

    Raises:
        StoreError: The file is in use, foreign, newer, or beyond repair; or the disk is full.
    """

def args_json(args: object) -> bytes:
    """The JSON bytes of an arguments value, as `Engine.check` reads it.

    Raises:
        TypeError: It holds a value of a type that has no JSON form.
    """

def hash_token(key: bytes, token: str) -> str:
    """The hash of a token, as configurations have it: keyed BLAKE3, 64 hexadecimal digits.

    Args:
        key: 32 random bytes, a secret of the sidecar.
        token: The token; its case matters.

    Raises:
        ConfigError: The key is not 32 bytes long.
    """

def new_token() -> str:
    """A fresh random token: ``cgt_`` and 43 characters of URL-safe base64."""

def pins_read(folder: str | PathLike[str], server: str | None = None) -> list[dict[str, Any]]:
    """What is pinned, of one server or of all of them.

    Returns:
        For each server ``server``, ``is_complete`` (whether a whole list was seen), ``unfinished_since_unix_s`` (since
        when its first list is under way, if that is more than a day, else None), ``first_lists_since_unix_s`` (when the
        time for first lists of further variants began, None where it is over or has not begun), ``variants`` (the kinds
        of clients that were shown lists, and whether a whole first list of each was accepted) and ``tools``; for each
        tool ``tool``, ``state`` (``pinned``, ``changed`` or ``new``), ``pinned`` (what was accepted, the last one last)
        and ``listed`` (what the server lists that is not accepted, the last one last); for each of those ``digest``,
        ``endpoint``, ``listed_at_unix_s``, ``variants`` (in whose lists it was accepted, or which were shown it last),
        ``is_ambiguous`` (listed twice, with different definitions) and ``members``: names and JSON over several lines.

    Raises:
        ConfigError: Nothing is pinned of that server.
        StoreError: A file cannot be read, or is damaged.
    """

def pins_accept(
    folder: str | PathLike[str],
    server: str,
    tools: Sequence[str] | None = None,
    digest: str | None = None,
    keeps_others: bool = False,
    variant: str | None = None,
) -> list[tuple[str, str]]:
    """Accepts tools as their server listed them last.

    Args:
        folder: The folder of pins.
        server: The server's name.
        tools: Which; None for all that are changed or new.
        digest: What the digest of each must begin with.
        keeps_others: Whether what was accepted before stays accepted.
        variant: Only what clients of this variant are shown, beside what others have.

    Returns:
        What was accepted, each with its digest; without those that were accepted already.

    Raises:
        ConfigError: The server has no such tool, lists it twice with different definitions, or the digest is another.
        StoreError: A file cannot be read or written, or is damaged.
    """

def pins_record(
    folder: str | PathLike[str],
    server: str,
    url: str | None,
    command: Sequence[str] | None,
    answer: bytes,
    variant: str | None = None,
) -> list[tuple[str, str]]:
    """Takes note of a whole list as if the server had just shown it, and writes it.

    Args:
        folder: The folder of pins, which is made where there is none.
        server: The server's name.
        url: Where the server is; or else
        command: what starts it.
        answer: A JSON-RPC answer to ``tools/list``, or the result in it.
        variant: The clients that are shown it; None for all.

    Returns:
        Tools that have become ``changed`` or ``new`` by it.

    Raises:
        ConfigError: It is no whole list, or too large.
        StoreError: A file cannot be read or written, or is damaged.
    """

def pins_reset(folder: str | PathLike[str], server: str) -> None:
    """Forgets what was accepted of a server, and what it listed.

    Raises:
        ConfigError: Nothing is pinned of that server.
        StoreError: The file cannot be removed.
    """

def policy_schema() -> str:
    """The JSON Schema (2020-12) of the policy format."""

def version() -> str:
    """The version of this build."""

def descriptor_limit() -> tuple[int, int] | None:
    """The most file descriptors that this process may have open, and how many of them connections leave free.

    They are left to reloads, the admin port and files. None without a limit.
    """
