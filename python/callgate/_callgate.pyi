"""The Rust part of callgate; use the package `callgate`, which exports it."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from os import PathLike
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, SupportsFloat, TypedDict, final, type_check_only

from typing_extensions import Self, Unpack

from callgate.outcome import Outcome

__all__ = [
    "Approval",
    "ApprovalQueue",
    "BenchCalls",
    "ConditionStep",
    "Decision",
    "DecisionListener",
    "DocumentTree",
    "Engine",
    "Explanation",
    "GrantTally",
    "LimitState",
    "ManagedGrants",
    "ManualClock",
    "MetricFamily",
    "Metrics",
    "Peek",
    "PeekedLimit",
    "PolicyInfo",
    "Replay",
    "ReplayedLine",
    "SentenceScorer",
    "Server",
    "Shadow",
    "Step",
    "TextPatterns",
    "Webhook",
    "Wrap",
    "args_json",
    "bench_hgrm",
    "bench_run",
    "catalogue_faults",
    "connect",
    "counters_facts",
    "counters_repair",
    "descriptor_limit",
    "freezes_read",
    "hash_token",
    "ineffective_settings",
    "new_token",
    "pins_accept",
    "pins_read",
    "pins_record",
    "pins_reset",
    "policy_faults",
    "policy_schema",
    "sentence_terms",
    "validate",
    "version",
]

@final
class LimitState:
    """One limit that applied to a call.

    The constructor takes units to the millionth.
    """

    def __new__(cls, counter: str, max: float, remaining: float, reset_after_ms: int, over: float = 0.0) -> Self: ...
    @property
    def counter(self) -> str:
        """The limit's counter name."""

    @property
    def max(self) -> float:
        """Units per window; an int if they are whole."""

    @property
    def remaining(self) -> float:
        """Units left after the decision; an int if they are whole."""

    @property
    def over(self) -> float:
        """Units taken above `max`, which a person allowed; an int if they are whole."""

    @property
    def reset_after_ms(self) -> int:
        """Milliseconds until all of `max` is free again, rounded up; 0 if it already is."""

    def to_dict(self) -> dict[str, Any]:
        """The fields by name, without an `over` of 0."""

    def __eq__(self, other: object, /) -> bool: ...
    def __ne__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...

@final
class Shadow:
    """The answer under full enforcement (`docs/policy.md` section 1)."""

    def __new__(cls, outcome: str, rule: str) -> Self: ...
    @property
    def outcome(self) -> Outcome:
        """The outcome."""

    @property
    def rule(self) -> str:
        """The rule pointer."""

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

    `Engine.check` makes decisions; the constructor is for those of another process, and for tests.
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
    ) -> Self: ...
    @property
    def outcome(self) -> Outcome:
        """Allow, deny, rate limited or approval required; compares with strings."""

    @property
    def allowed(self) -> bool:
        """True if the outcome is `allow`: the call may proceed."""

    @property
    def rule(self) -> str:
        """The deciding place in the policy, such as ``/tools/create-ami/limits/rate`` or ``(default deny)``.

        Empty for a plain allow.
        """

    @property
    def message(self) -> str:
        """A sentence on which a model can act; empty for a plain allow."""

    @property
    def retry_after_ms(self) -> int | None:
        """For `rate_limited`: milliseconds until this call's units are free, rounded up."""

    @property
    def limits(self) -> tuple[LimitState, ...]:
        """Each limit that applied, in the order of evaluation."""

    @property
    def policy(self) -> str:
        """Name of the policy that decided; empty if none was reached."""

    @property
    def policy_version(self) -> str:
        """First 12 hex digits of the SHA-256 of the canonical document; empty if none was reached."""

    @property
    def shadow(self) -> Shadow | None:
        """The answer under full enforcement, if it differs."""

    @property
    def fingerprint(self) -> str | None:
        """For `approval_required`: the SHA-256 over the exact call in hex (`docs/policy.md` section 6)."""

    @property
    def decided_at_us(self) -> int:
        """Unix microseconds at which the counters were stamped."""

    @property
    def reservation(self) -> str | None:
        """32 hex digits under which the units can be returned, if that was requested and the call is allowed."""

    @property
    def approval(self) -> str | None:
        """Id of the approval, if there is one."""

    def to_dict(self) -> dict[str, Any]:
        """The body of the answer to `POST /v1/check`, without absent fields."""

    def __bool__(self) -> bool: ...
    def __eq__(self, other: object, /) -> bool: ...
    def __ne__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...

@final
class ConditionStep:
    """One condition of a check, with the types of its values; never the values."""

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
        """The kind of the step: ``request``, ``hidden``, ``default``, ``require``, ``limit`` and so on."""

    @property
    def rule(self) -> str:
        """Rule pointer of the step."""

    @property
    def shadowed(self) -> bool:
        """True if the rule is in shadow: it does not stop the call."""

    @property
    def result(self) -> str:
        """``passed`` or ``stopped``; for a check the result of its conditions."""

    @property
    def conditions(self) -> tuple[ConditionStep, ...]:
        """For checks: every condition, in document order."""

@final
class Explanation:
    """A decision and the steps to it. No units were taken.

    As a string it is the text of ``callgate check --explain``.
    """

    @property
    def steps(self) -> tuple[Step, ...]:
        """The steps in order, up to the one that decided."""

    @property
    def decision(self) -> Decision:
        """The decision, as it would be made now."""

@final
class PeekedLimit:
    """One limit, as a call would meet it."""

    def __new__(
        cls,
        *,
        counter: str,
        rule: str,
        max: float,
        remaining: float | None = None,
        reset_after_ms: int | None = None,
        retry_after_ms: int | None = None,
        window_ms: int | None = None,
        shadow: bool = False,
        missing: list[str] = ...,
    ) -> Self: ...
    @property
    def counter(self) -> str:
        """The limit's counter name."""

    @property
    def rule(self) -> str:
        """Its rule pointer."""

    @property
    def max(self) -> float:
        """Units per window; an int if they are whole."""

    @property
    def remaining(self) -> float | None:
        """Units left now; None if the request does not name everything that the limit counts by."""

    @property
    def reset_after_ms(self) -> int | None:
        """Milliseconds until all of `max` is free again, rounded up; None as for `remaining`."""

    @property
    def retry_after_ms(self) -> int | None:
        """Milliseconds until this call's units are free, rounded up; None if its cost is not known or above `max`."""

    @property
    def window_ms(self) -> int | None:
        """Milliseconds of the window, for a calendar window of the current one; None as for `remaining`."""

    @property
    def shadow(self) -> bool:
        """True if the limit is in shadow and refuses no call."""

    @property
    def missing(self) -> tuple[str, ...]:
        """The parts that the request lacks for the scope or the cost: `tool`, and paths of arguments."""

    def to_dict(self) -> dict[str, Any]:
        """The fields by name, without those that are None."""

    def __eq__(self, other: object, /) -> bool: ...
    def __ne__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...

@final
class Peek:
    """The remaining units for a caller; nothing was taken."""

    def __new__(
        cls,
        *,
        decision: Decision | None = None,
        policy: str = "",
        policy_version: str = "",
        limits: list[PeekedLimit] = ...,
    ) -> Self: ...
    @property
    def decision(self) -> Decision | None:
        """The decision that the call would get now, with its limits as they are before it.

        Without a tool: None, or the denial of a caller that is not admitted or is frozen.
        """

    @property
    def policy(self) -> str:
        """The name of the policy that decides; empty if none was reached."""

    @property
    def policy_version(self) -> str:
        """First 12 hex digits of the SHA-256 of the canonical document."""

    @property
    def limits(self) -> tuple[PeekedLimit, ...]:
        """The limits of the tool, in the order in which they are examined; without a tool all limits of the policy."""

    def to_dict(self) -> dict[str, Any]:
        """The fields by name, without a `decision` that is None."""

    def __eq__(self, other: object, /) -> bool: ...
    def __ne__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...

@final
class PolicyInfo:
    """Facts about one loaded policy."""

    @property
    def server(self) -> str | None:
        """The policy's server; None if it serves every server."""

    @property
    def name(self) -> str:
        """The name of the policy."""

    @property
    def version(self) -> str:
        """First 12 hex digits of the SHA-256 of the canonical document."""

    @property
    def tools(self) -> list[str]:
        """The tools that it names exactly."""

    def __eq__(self, other: object, /) -> bool: ...
    def __ne__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...

@type_check_only
class _SharedStore(TypedDict, total=False):
    """The store of counters that nodes share; ``docs/scaling.md`` says what each means."""

    url: str
    password: str | None
    ca_pem: bytes | None
    budget_ms: int
    prefix: str
    lease_ms: int
    recovery_ms: int | None
    grant_key: bytes

@type_check_only
class _SharedStoreState(TypedDict):
    """What a server knows of the store of shared counters."""

    fault: str | None
    calls: int
    failures: int
    leased: int

@type_check_only
class _Sizes(TypedDict, total=False):
    """The sizes of an `Engine`, and the place of its counters; `Engine` says what each means."""

    counter_capacity: int
    counters_per_grant: int
    reservation_ttl_ms: int
    counters: str | None
    share_counters: bool
    approvals: ApprovalQueue | None
    shared: _SharedStore | None
    flush_interval_ms: int
    reservations_per_grant: int
    reservations_per_pep: int

@final
class Engine:
    """Policies and counters in this process.

    A catalogue contains categories, risks and input schemas of tools: the path of a catalogue file, the document as a
    dict, or the short form ``{tool: category}``, which applies to every server.

    The functions that make an engine take its sizes, and the place of its counters, as further keywords:

    - `counter_capacity`: Highest number of live counters in this process; at the cap, calls that need a new one are
      denied.
    - `counters_per_grant`: Highest number of live counters of one grant in this process.
    - `reservation_ttl_ms`: Time in which a reservation can be rolled back.
    - `counters`: The place of the counters: ``memory``, the meaning of None, or ``file:PATH``, where they survive the
      process (`docs/counters.md`). The file belongs to this engine alone, unless it is shared.
    - `share_counters`: Share the counters in a file with other processes that pass it as well, so that a limit holds
      for all of them together. One of them keeps the file. A call of the others waits for its answer, at most 2 s;
      then it is denied, ``(counter store unavailable)``.
    - `approvals`: The queue of questions about calls that need a person's approval; such a call waits for its answer.
      None denies them, ``(approval store unavailable)``. An engine whose policies may ask logs a warning if this is
      left out; pass None if that is meant, or if a `Server` of this engine asks.
    - `shared`: The store of counters that several nodes share, with which a `Server` of this engine connects
      (``docs/scaling.md``): ``url``, ``password``, ``ca_pem``, ``budget_ms``, ``prefix``, ``lease_ms``, ``recovery_ms``
      and ``grant_key``. Calls that are not a server's find it unavailable. None for counters of this process alone.
    - `flush_interval_ms`: Interval at which a `Server` of this engine writes that file to disk. A power failure may
      lose the counts of one interval; a kill loses nothing.
    - `reservations_per_grant`: Highest number of open reservations of one grant, 1 to 65,536; beyond it, the grant's
      oldest one is committed early.
    - `reservations_per_pep`: Highest number of open reservations of one PEP. There are 65,536 in all.
    """

    @staticmethod
    def from_file(
        path: str | PathLike[str],
        catalogue: str | PathLike[str] | dict[str, Any] | None = None,
        **sizes: Unpack[_Sizes],
    ) -> Engine:
        """Reads a policy file, which serves every server, or a folder of them, in which a file's stem names its server.

        Args:
            path: ``*.json``, ``*.yaml`` or ``*.yml``, or a folder of such files.
            catalogue: Facts about the tools.
            **sizes: The sizes of the engine, and the place of its counters; see `Engine`.

        Raises:
            PolicyError: A document has a fault.
            ConfigError: A file cannot be read, a folder contains no policy, or `counters` is not a valid place.
            StoreError: The counters' file is in use, damaged, foreign or newer, or the disk is full.
        """

    @staticmethod
    def from_dict(
        policy: dict[str, Any],
        catalogue: str | PathLike[str] | dict[str, Any] | None = None,
        **sizes: Unpack[_Sizes],
    ) -> Engine:
        """Takes a policy for every server as Python values; numbers are exact, including `decimal.Decimal`.

        Raises:
            PolicyError: The document has a fault.
        """

    @staticmethod
    def from_json(
        policy: bytes | str,
        catalogue: str | PathLike[str] | dict[str, Any] | None = None,
        **sizes: Unpack[_Sizes],
    ) -> Engine:
        """Takes a policy for every server as a JSON document.

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
        candidates: Mapping[str, str] | None = None,
        **sizes: Unpack[_Sizes],
    ) -> Engine:
        """Takes a whole configuration, with the contents of its files.

        Args:
            policies: Policies by key: the file's name and its contents. The suffix of the name gives the format, and
                messages contain the name.
            servers: The known servers, each with the key of the policy that decides as long as no grants are
                configured; None denies all calls, ``(no policy)``.
            grants: Each with ``id``; ``server`` and ``policy`` (a key; if absent, every call is denied), or
                ``servers``, a mapping of servers to such keys; ``token_hash`` (see `hash_token`), or ``tokens``, at
                most two, each with ``hash`` and optionally its end ``until_us`` (with neither, only a PEP that vouches
                can name it); ``labels``, ``expires_at_us`` and ``revoked``. Times are microseconds since 1970. With an
                empty list every call is denied, ``(unknown grant)``. With None, callers name the grant that is charged.
            grant_key: 32 bytes, the key of the token hashes.
            catalogue: Facts about the tools.
            rate_limits: Files of rate limits: the name of each, whose suffix gives the format, and its contents.
            candidates: Servers, each with the key of the policy that a `Server` weighs beside its own and that decides
                nothing (``docs/replay.md``).
            **sizes: See `from_file`.

        Raises:
            PolicyError: A document has a fault.
            ConfigError: Another part has a fault; the message names the server or grant.
        """

    def with_new_counters(self, **sizes: Unpack[_Sizes]) -> Engine:
        """Makes an engine with the policies, servers and grants in force here, and no counts.

        For simulations whose calls must not count for each other; nothing is read or compiled again. Freezes stay here.

        Args:
            **sizes: See `from_file`; they are not those of this engine.

        Raises:
            ConfigError: `counters` is not a valid place.
            StoreError: The counters' file is in use, damaged, foreign or newer, or the disk is full.
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
        candidates: Mapping[str, str] | None = None,
    ) -> None:
        """Reloads like `reload_file`, with the arguments of `from_config`."""

    def reload_file(
        self, path: str | PathLike[str], catalogue: str | PathLike[str] | dict[str, Any] | None = None
    ) -> None:
        """Replaces the policies by those that `from_file` would read; counters of unchanged identity keep their units.

        Raises:
            PolicyError: A document has a fault. The old policies stay in force.
            ConfigError: A file cannot be read. The old policies stay in force.
        """

    def reload_dict(
        self, policy: dict[str, Any], catalogue: str | PathLike[str] | dict[str, Any] | None = None
    ) -> None:
        """Reloads like `reload_file`, with a policy in the form of `from_dict`."""

    def reload_json(self, policy: bytes | str, catalogue: str | PathLike[str] | dict[str, Any] | None = None) -> None:
        """Reloads like `reload_file`, with a policy in the form of `from_json`."""

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
        """Decides one call, and takes units from its limits if it is allowed.

        The answer to a malformed request is a denial with rule ``(invalid request)``, not an exception.

        Args:
            tool: Tool name, compared exactly.
            grant: Id of the grant that is charged; either this or `grant_token`.
            args: The arguments: a dict (of dicts, lists, tuples, strings, ints, floats, `decimal.Decimal`, booleans
                and None), or the JSON text of an object as bytes or str. None means no arguments.
            server: Server name; None means the one ``server`` of `grant_token`'s grant, else ``srv``, in all protocols.
            session: Session id; None for a sessionless call.
            labels: The grant's labels; only as long as no grants are configured.
            now_ms: The time, for tests and simulation: milliseconds since 1970, to the nearest microsecond. None reads
                the system's clock. Do not mix both in one engine, because its counters depend on the clock; counters in
                a file accept only the system's clock.
            reserve: Request a reservation, so that `roll_back` can return the units.
            grant_token: The caller's own token, which determines the grant and its labels.
            vouched: True if `grant` may name a configured grant. Pass False if the id comes from a source that is not
                trusted to name it.

        Raises:
            TypeError: An argument has an invalid type.
            ValueError: `now_ms` is not a valid time, or the counters are in a file.
            StoreError: The counters' file belongs to the parent process that this one was forked from; `explain`,
                `peek`, `reset`, `roll_back` and `commit` raise it too.
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
        """Decides like `check`, but takes no units and returns the steps to the decision."""

    def peek(
        self,
        *,
        grant: str | None = None,
        tool: str | None = None,
        args: object = None,
        server: str | None = None,
        session: str | None = None,
        labels: dict[str, str] | None = None,
        now_ms: SupportsFloat | None = None,
        grant_token: str | None = None,
        vouched: bool = True,
    ) -> Peek:
        """Looks at what is left for a caller, of one tool or without `tool` of any; takes no units.

        The arguments are those of `check`.

        Raises:
            TypeError: An argument has an invalid type.
            ValueError: `now_ms` is not a valid time, or the counters are in a file.
        """

    @property
    def has_approvals(self) -> bool:
        """True if calls may wait for people, so that `check` blocks for up to the deadline of `approvals`."""
    def approval(self, id: str) -> Approval | None:
        """Returns an approval in its present state; None if there is none with this id.

        Args:
            id: The id that a decision has as `approval`.

        Raises:
            StoreError: Nobody answers for `approvals`, or not in time.
        """
    def reset(
        self,
        *,
        grant: str | None = None,
        policy: str | None = None,
        tool: str | None = None,
        counter: str | None = None,
        now_ms: SupportsFloat | None = None,
    ) -> dict[str, Any]:
        """Lets the counts that all of these names select begin anew, for every later call; at least one is expected.

        A count that is kept for more than what is named stays as it is: a limit for all grants is not reset for one.

        Args:
            grant: Id of a grant.
            policy: Name of a policy.
            tool: Name of a tool.
            counter: Name of a counter.
            now_ms: The time, as in `check`.

        Returns:
            ``limits`` that were reset and those that were ``kept``, each with ``policy``, ``rule``, ``counter``, and
            ``shared`` for counts of all nodes that share a store, the latter with the ``reason``; ``grant_counters``,
            the live counters that the grant had made here, None without one.

        Raises:
            ConfigError: No limit was reset, and why.
            ValueError: `now_ms` is not a valid time, or the counters are in a file.
            StoreError: The file of the counters cannot be written, or the store that nodes share does not answer.
        """

    def move_counters(self, *, grants: list[str] = ..., tools: list[str] = ...) -> dict[str, int]:
        """Adds the units that this engine has counted alone to the counts that nodes share by now, each count once.

        A count is added if all values that it is kept by can be named: those of the configuration, and these.

        Args:
            grants: Ids of grants beside the configured ones.
            tools: Names of tools beside those in policies.

        Returns:
            Counts with units in use: those that were ``moved``, that were ``known`` to the store from an earlier call,
            that this engine goes on keeping alone, ``local``, and those whose values nobody has named, ``left``.

        Raises:
            ConfigError: No counts are shared, or the counters are in memory.
            StoreError: The store that nodes share does not answer.
        """

    def freeze(
        self,
        *,
        reason: str,
        server: str | None = None,
        tool: str | None = None,
        grant: str | None = None,
        until_us: int | None = None,
        for_ms: int | None = None,
        now_ms: SupportsFloat | None = None,
    ) -> None:
        """Stops calls that this engine decides until `thaw`: they are denied, ``(frozen)``.

        Without `server` and `grant`, all calls are stopped. A freeze of the same calls by this method is replaced. The
        freezes of a file hold beside it.

        Args:
            reason: One line that callers are told.
            server: Stop the calls at this server alone.
            tool: With `server`: stop the calls of these tools alone, a name or a pattern as in policies.
            grant: Stop the calls of this grant alone.
            until_us: The end in microseconds since 1970; None for no end.
            for_ms: The time until the end, in place of `until_us`.
            now_ms: The time, as in `check`.

        Raises:
            ConfigError: The names do not select calls, or the reason is empty or longer than a line.
            ValueError: Both ends are given, or `now_ms` is not a valid time.
        """

    def thaw(self, *, server: str | None = None, tool: str | None = None, grant: str | None = None) -> bool:
        """Ends a freeze that `freeze` has begun with the same names; False if there is none.

        Raises:
            ConfigError: The names do not select calls.
        """

    def freezes(self) -> list[dict[str, Any]]:
        """The freezes of this engine, also those that have ended.

        Returns:
            For each ``server``, ``tool``, ``grant``, ``reason`` and ``until_us``, None where it has none; ``source`` is
            ``program`` for one by `freeze` and ``file`` for one of a file.
        """

    def roll_back(self, reservation: str, *, now_ms: SupportsFloat | None = None) -> bool:
        """Returns a reservation's units; False if the id is unknown, expired or already settled.

        Raises:
            ValueError: Not an id of a reservation.
        """

    def commit(self, reservation: str, *, now_ms: SupportsFloat | None = None) -> bool:
        """Keeps a reservation's units permanently; False if the id is unknown, expired or already settled.

        Raises:
            ValueError: Not an id of a reservation.
        """

    def flush(self) -> None:
        """Returns when all units taken so far are on disk; does nothing for counters in memory.

        Raises:
            StoreError: The disk fails, or the file belongs to the parent process that this one was forked from.
        """

    def close(self) -> None:
        """Marks the counters' file as complete and releases it; does nothing if repeated, or for counters in memory.

        Later calls that need a counter are denied. An unreferenced engine is closed automatically. A file that was not
        closed is only checked more closely when it is opened.

        Raises:
            StoreError: The disk fails, and the file is in the state after a kill. Or the file belongs to the parent
                process that this one was forked from, and is not changed.
        """

    @property
    def counters(self) -> tuple[int, int]:
        """The number of live counters, and its limit."""

    @property
    def policies(self) -> tuple[PolicyInfo, ...]:
        """The policies in force."""

@final
class DocumentTree:
    """A JSON or YAML document, read as policies are, with the place of every value.

    YAML has the structure of JSON: no anchors, aliases and tags, every key text and none twice, at most 64 levels.

    Reads a document.

    Args:
        file: Its name in errors.
        content: The document.
        is_json: JSON if true, else YAML.

    Raises:
        PolicyError: It is not of this format; says where.
    """

    def __new__(cls, file: str, content: bytes, *, is_json: bool) -> Self: ...
    @property
    def is_empty(self) -> bool:
        """True if it holds no value, not even null."""

    def value(self) -> Any:  # noqa: ANN401  a document may hold anything
        """The whole document as dicts, lists and scalars; None if it is empty.

        A number with a fraction or an exponent is the nearest float, any other an exact int.
        """

    def place(self, path: tuple[str | int, ...], *, of_key: bool = False) -> tuple[int, int]:
        """Line and column, from 1, of the value at a path, or of its key; of the nearest above if there is none."""

@final
class ManualClock:
    """A clock that changes only by `set` and `advance`, for tests of a `Server`.

    Starts at `now_ms` milliseconds since 1970; None means 0.
    """

    def __new__(cls, now_ms: SupportsFloat | None = None) -> Self: ...
    @property
    def now_ms(self) -> float:
        """Milliseconds since 1970."""

    def set(self, now_ms: SupportsFloat) -> None:
        """Sets it to `now_ms` milliseconds since 1970, even backwards."""

    def advance(self, ms: SupportsFloat) -> None:
        """Moves it forward by `ms` milliseconds."""

@final
class ManagedGrants:
    """Grants of an engine that its configuration does not hold, changed one by one. A reload of the engine keeps them.

    One of a million is changed in a few hundred microseconds. Grants of the configuration come first.

    Args:
        engine: The engine.
    """
    def __new__(cls, engine: Engine) -> ManagedGrants: ...
    def __len__(self) -> int: ...
    def change(self, put: Sequence[Mapping[str, Any]], remove: Sequence[str] = ...) -> list[tuple[str, str]]:
        """Changes grants. Calls that begin after the return meet them.

        A grant may name a server or a policy that the engine does not have: its calls are denied until a reload
        brings it.

        Args:
            put: The grants that are there from now on, in the form of `Engine.from_config`.
            remove: The ids of grants that are there no more; an id without a grant is passed over.

        Returns:
            The grants that stay as they were, each as its id and the fault.

        Raises:
            ConfigError: A grant has the wrong form. Nothing is changed.
        """
    def read_file(self, path: str | PathLike[str]) -> tuple[str | None, int, list[tuple[str, str]]]:
        """Replaces all managed grants by those that a file's lines leave.

        Each line is a JSON object: ``{"version": "1"}`` as the first; then ``{"put": GRANT}`` with a grant in the
        form of `Engine.from_config`, ``{"remove": ID}``, and ``{"mark": VALUE}`` with any value. A last line without
        its end is passed over: it was being written.

        Returns:
            The last mark as JSON, None without one; the number of lines; the grants that have a fault, as `change`
            returns them.

        Raises:
            ConfigError: The file cannot be read, or a line has the wrong form. No managed grant is left.
        """
    def known(self, ids: Sequence[str]) -> dict[str, bool]:
        """The configured and managed ones of these grants, each with true if it is revoked."""
    def servers(self, id: str) -> list[str] | None:
        """The servers of a configured or managed grant; None if there is no such grant."""
    def among(self, ids: Sequence[str]) -> list[str]:
        """The ids of managed grants among these ids."""
    def unserved(self, ids: Sequence[str] | None = None, most: int = 10) -> list[tuple[str, str]]:
        """The grants that name a server or a policy that the engine does not have, each as its id and the fault.

        Args:
            ids: The grants to look at; None for all.
            most: The most that are returned.
        """

@final
class MetricFamily:
    """One metric of the metrics page with its values at one moment."""

    @property
    def name(self) -> str:
        """The name, without a suffix such as ``_total``, which follows from the kind."""

    @property
    def help(self) -> str:
        """The help text."""

    @property
    def kind(self) -> Literal["counter", "gauge", "info", "histogram"]:
        """The kind; a histogram has no `samples`, and the other kinds have no `buckets`."""

    @property
    def labels(self) -> list[str]:
        """The names of the labels."""

    @property
    def samples(self) -> list[tuple[list[str], int]]:
        """The values of the labels, and the number."""

    @property
    def buckets(self) -> list[tuple[int | None, int]]:
        """Upper bound of each bucket in nanoseconds, None for the last one, and its number, not cumulative."""

    @property
    def sum_ns(self) -> int:
        """The sum of all durations."""

@final
class Metrics:
    """The data plane's numbers at one moment. Counts never decrease while the server runs, even across reloads."""

    @property
    def decisions(self) -> list[tuple[str, str, str, int]]:
        """Server, tool, outcome, count. A tool that the policy does not name exactly is ``(other)``."""

    @property
    def denials(self) -> list[tuple[str, str, int]]:
        """Server, rule, count; every outcome other than `allow`."""

    @property
    def duration_bounds_ns(self) -> list[int]:
        """Upper bounds of the duration buckets in nanoseconds; the last bucket has none."""

    @property
    def duration_counts(self) -> list[int]:
        """Decisions per bucket, not cumulative."""

    @property
    def duration_sum_ns(self) -> int:
        """The sum of all durations."""

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
        """The number of live counters."""

    @property
    def counter_capacity(self) -> int:
        """The highest number of live counters."""

    @property
    def internal_errors(self) -> int:
        """Decisions with an internal failure, answered with ``(internal error)``."""

    @property
    def connections(self) -> int:
        """The number of open connections."""

    @property
    def tls_handshakes_failed(self) -> int:
        """TLS handshakes that failed."""

    @property
    def http2_floods(self) -> list[tuple[str, int]]:
        """Connections closed because of too many frames, by kind: ``resets`` or ``control_frames``."""

    @property
    def events_dropped(self) -> int:
        """Events dropped because they were not drained."""

    @property
    def freezes(self) -> list[tuple[str, int]]:
        """Kind (``all``, ``server``, ``grant``, ``tool``), number of freezes in force."""

    @property
    def are_freezes_refused(self) -> bool:
        """True if the file of freezes cannot be read, so that those from before stay in force."""

    @property
    def audit_dropped(self) -> int:
        """Decisions whose line could not be written to the decision log."""

    @property
    def store_errors(self) -> list[tuple[str, str, int]]:
        """Store (``file``), operation (``flush``, ``grow``), failures; empty for counters in memory."""

    @property
    def store_duration_bounds_ns(self) -> list[int]:
        """Upper bounds of the buckets of flushes in nanoseconds; the last bucket has none."""

    @property
    def store_duration_counts(self) -> list[int]:
        """Flushes per bucket, not cumulative."""

    @property
    def store_duration_sum_ns(self) -> int:
        """The sum of the durations of all flushes."""

    @property
    def upstream_requests(self) -> list[tuple[str, int]]:
        """Server behind the gateway, number of its open requests."""

    @property
    def upstream_failures(self) -> list[tuple[str, str, int]]:
        """Server, kind, count of failures to give a reply that can be forwarded; includes kinds with count 0."""

    @property
    def upstream_sent(self) -> list[tuple[str, str, int]]:
        """Server, connection (``new``, ``reused``), number of requests sent to it on such a connection."""

    @property
    def upstream_retries(self) -> list[tuple[str, int]]:
        """Server, number of requests sent again because no part of them had been written."""

    @property
    def tools(self) -> list[tuple[str, str, int]]:
        """Server, state (``pinned``, ``changed``, ``new``), number of its tools in that state."""

    @property
    def tools_changed(self) -> list[tuple[str, str, int]]:
        """Server, state (``changed``, ``new``), number of times that a list has put a tool into that state."""

@final
class DecisionListener:
    """Follows a server's decisions from `Server.listen` on; a context manager that stops at its end."""

    def take(self, timeout_ms: int) -> tuple[bytes, int] | None:
        """Takes the JSON lines since the last call, and the number of decisions for which there was no room.

        Waits up to `timeout_ms` for the first one. None once the server has stopped, or after `close`.
        """

    def close(self) -> None:
        """Stops to listen."""

    def __enter__(self) -> Self: ...
    def __exit__(self, *_exception: object) -> None: ...

@final
class GrantTally:
    """Counts a server's decisions by grant from `Server.tally_grants` on; a context manager that stops at its end."""

    def take(self) -> tuple[list[tuple[str, str, int]], int] | None:
        """Takes grant, outcome and number of decisions since the last call, and the number that was not counted.

        None once the server has stopped, or after `close`.
        """

    def close(self) -> None:
        """Stops to count."""

    def __enter__(self) -> Self: ...
    def __exit__(self, *_exception: object) -> None: ...

@final
class Replay:
    """Decides the calls of a decision log by another policy, in the order of their times; calls no tool.

    Args:
        file: Name of the policy's file, for messages and for the policy's name.
        policy: The policy, as JSON or YAML by the name of its file.
        catalogue: Facts about tools, as `Engine` takes them.
        labels: The labels of grants, by the id of the grant, for lines that have a digest of labels.
        server: The server whose calls are decided; None for all.
        decided_by: The name of the policy whose decisions are decided once more; None for all.
        hash_key: 16 random bytes, by which callers cannot make two counts collide.

    Raises:
        PolicyError: The policy or the catalogue has a fault.
    """

    def __new__(
        cls,
        file: str,
        policy: bytes,
        *,
        hash_key: bytes,
        catalogue: str | PathLike[str] | Mapping[str, Any] | None = None,
        labels: Sequence[tuple[str, Sequence[tuple[str, str]]]] | None = None,
        server: str | None = None,
        decided_by: str | None = None,
    ) -> Self: ...
    @property
    def reads_catalogue(self) -> bool:
        """True if a decision of the policy can depend on the category, the risk or the input schema of a tool."""

    def decide(self, line: bytes) -> ReplayedLine:
        """Decides the call of one line, given without its end."""

    @staticmethod
    def time_us(line: bytes) -> int | None:
        """The time of a line in Unix microseconds; None if it has none."""

@final
class ReplayedLine:
    """One line of a log, as `Replay.decide` judges it."""

    @property
    def kind(self) -> Literal["decided", "skipped", "malformed"]:
        """``decided``, ``skipped`` (no policy decides it) or ``malformed``."""

    @property
    def note(self) -> str:
        """The kind of a line that is skipped, or the fault of one that is malformed; else empty."""

    @property
    def change(self) -> Literal["same", "permissive", "stricter", "other"] | None:
        """``same``, ``permissive``, ``stricter`` or ``other``; None if the call cannot be judged."""

    @property
    def has_other_rule(self) -> bool:
        """True if the outcome stays, and the rule is another one for sure."""

    @property
    def decided_at_us(self) -> int:
        """Unix microseconds of the decision; 0 if there is none."""

    @property
    def server(self) -> str:
        """Name of the server."""

    @property
    def grant(self) -> str:
        """Id of the grant."""

    @property
    def tool(self) -> str:
        """Name of the tool."""

    @property
    def policy(self) -> str:
        """Name of the policy that decided."""

    @property
    def old(self) -> tuple[str, str] | None:
        """Outcome and rule pointer in the log."""

    @property
    def answers(self) -> list[tuple[str, str]]:
        """Every possible outcome under the new policy, each with its rule pointer."""

    @property
    def was_approved(self) -> bool:
        """True if a person had approved the call."""

    @property
    def was_announced(self) -> bool:
        """True if the log has the new answer as that of full enforcement, because the rule was in shadow."""

    @property
    def reasons(self) -> list[tuple[str, str]]:
        """The reasons for which a call cannot be judged, each a kind and a path, a rule or a name.

        The kinds are ``not logged`` (path), ``schema``, ``counts``, ``earlier``, ``approval`` (rules) and ``name``.
        """

@final
class SentenceScorer:
    """Weights of words, added up for each three sentences of a text."""

    def __new__(cls, bias: float, weights: list[tuple[str, float]]) -> Self: ...
    def highest(self, text: str) -> tuple[float, str] | None:
        """Scores a text of one line in lower case.

        Returns:
            The highest score of three sentences that follow each other, and these; None for a text without words.
        """

@final
class Server:
    """The data plane: decisions over gRPC and HTTP on one port and on a Unix socket, on its own threads.

    `start` or a ``with`` block starts it, once.

    Args:
        engine: The engine with the policies and counters.
        listen: TCP address, ``127.0.0.1:0`` by default; port 0 takes a free one. None for no TCP.
        socket: Path of a Unix socket to create, for this user, root and the users of `peps`.
        workers: Worker threads; 0 for one per core.
        clock: A manual clock, for tests; None for the system's.
        grace_ms: Longest time that `stop` waits for calls in flight; None for 10 s.
        allowed_hosts: Hosts that `Host` and `Origin` of HTTP requests may name, in addition to the loopback names.
        audit: The decision log (``docs/decision-log.md``); None for none. ``path`` is a file, or ``-`` for standard
            output; ``mode`` is ``"best_effort"`` (default) or ``"required"``; ``max_bytes`` (256 MiB) and
            ``max_age_s`` (0) rotate, 0 for never; ``keep`` (8) rotated files; ``sync_interval_ms`` (1000), 0 for
            never; ``signing`` signs the log (``docs/audit.md``): ``key``, the content of the PEM file, ``public_key``,
            ``former_keys``, ``statements``, ``expires_unix_s``, ``stream``, ``checkpoint_interval_ms`` and
            ``logged_of_million``.
        peps: Enforcement points, each with a ``name`` and one or more credentials: ``token_hash`` (see
            `hash_token`) or ``tokens`` (as of grants, in `Engine.from_config`), ``certificates`` (DNS names or URIs
            in a client certificate), ``uids`` (users of the socket); with ``vouches`` it may name a configured grant
            by its id. An empty list admits no client, None admits every client.
        pep_key: 32 bytes, the key of the PEPs' token hashes.
        tls: PEM contents ``certificate`` (with its chain) and ``key``, and ``client_ca`` to require client
            certificates. None for TCP without TLS. The socket never has TLS.
        proxies: Sources of the caller, the server and the tool in requests of a proxy (``docs/proxies.md``):
            ``identity``, a list of ``("token",)``, ``("spiffe",)``, ``("header", NAME)`` or
            ``("metadata", NAMESPACE, KEY, ...)``; ``server``, a list of ``("extension", NAME)``, ``("path",)``,
            ``("host",)``, ``("token",)`` or ``("always", NAME)``; ``hosts``, servers by lower-case host; ``paths``,
            templates such as ``/mcp/{server}``; ``methods``, those allowed and those denied beside the known ones;
            ``tool_errors``, true for status 200 on denied MCP calls; ``mcp_metadata``, the namespace in which
            Envoy's MCP filter describes the body, None to ignore such metadata.
        gateway: The MCP servers behind the gateway (``docs/gateway.md``): ``servers``, by name, each with its
            ``url`` and, to override the defaults, ``ca`` (PEM), ``headers`` (names and values),
            ``allow_link_local``, ``connect_timeout_ms``, ``answer_timeout_ms``, ``max_requests``,
            ``max_requests_per_grant``, ``max_idle_connections``, ``idle_timeout_ms``, ``list_limit_bytes`` and
            ``pinning``, ``"off"``, ``"report"`` or ``"enforce"`` (default); ``methods``, as above; ``public_url``,
            the gateway's URL for clients; ``lists_allowed_only``, true to leave out of lists the tools that the
            caller may never call; ``pins_folder``, None to pin nothing; ``first_lists_s``, the time in seconds
            after a server's first complete list in which first lists of other variants are accepted (24 hours);
            ``oauth``, the issuer whose tokens are accepted, or a list of issuers, None for none: ``issuer``,
            ``prefix`` (of the claim in the grant's id; required if there are several issuers), ``jwks`` (the keys)
            or ``jwks_url`` (by default from the issuer's metadata), ``jwks_ca`` (PEM), ``audience``,
            ``algorithms``, ``grant`` and, by label, ``labels`` (lists of names that lead to a claim),
            ``clock_skew_ms``, ``scopes``; ``allowed_origins``, the origins of pages whose scripts may use the
            gateway.
        freeze_file: The file of freezes (``docs/operations.md``), which is read at the start and twice a second after
            it; None for none.
        approvals: The queue of questions about calls that need a person's approval; None to deny them,
            ``(approval store unavailable)``.
        **limits: Bounds of the decision port: the keys of ``limits`` in ``docs/configuration.md``, a time in
            milliseconds as ``header_timeout_ms``; None for the default.

    Raises:
        ConfigError: A value has the wrong form.
    """

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
        audit: Mapping[str, object] | None = None,
        peps: Sequence[Mapping[str, object]] | None = None,
        pep_key: bytes | None = None,
        tls: Mapping[str, bytes] | None = None,
        proxies: Mapping[str, object] | None = None,
        gateway: Mapping[str, object] | None = None,
        freeze_file: str | PathLike[str] | None = None,
        approvals: ApprovalQueue | None = None,
        **limits: int | None,
    ) -> Self: ...
    def check(self) -> None:
        """Finds faults for which `start` would fail, without binding anything.

        Raises:
            ConfigError: `peps`, `tls` or `gateway` cannot be used, or there is nothing to listen on.
        """

    def start(self) -> None:
        """Starts listening; returns when the address is bound.

        Raises:
            ConfigError: The address, the socket, the decision log or the file of freezes cannot be opened, a limit is
                0, `peps` or `tls` cannot be used, or the server was started before.
        """

    def stop(self) -> None:
        """Stops accepting, finishes calls in flight within the grace period, then closes. May be called again."""

    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None, /
    ) -> None: ...
    @property
    def address(self) -> str | None:
        """The bound TCP address, such as ``127.0.0.1:9191``; None without TCP.

        Raises:
            ConfigError: The server has not been started. The members below raise it too.
        """

    @property
    def socket(self) -> str | None:
        """Path of the Unix socket, if there is one."""

    @property
    def shared_store(self) -> _SharedStoreState | None:
        """The store of counters that nodes share; None without one, and once the server has stopped.

        ``fault`` is the reason for which it is not used now, or None; it has answered ``calls``, and ``failures`` were
        not answered; this node has a share of ``leased`` counts.
        """

    @property
    def store_failure(self) -> str | None:
        """The failure of the last flush of the counters' file; None after a success, and for counters in memory."""

    def freezes(self) -> tuple[list[dict[str, Any]], str | None]:
        """The freezes in the file, read anew: rows as `freezes_read` returns them, and the fault of the file.

        With a fault, the file cannot be read, and the rows are those in force from before. Without a file there are
        none.
        """

    @property
    def freeze_fault(self) -> str | None:
        """The fault of the file of freezes when it was read last; None if it was read, and without a file."""

    @property
    def upstream_faults(self) -> list[tuple[str, str]]:
        """The servers behind the gateway that did not answer as MCP servers when they were last tried, with the reason.

        They are tried at the start and every 30 s; a server that was not tried yet is not among them.
        """

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
        candidates: Mapping[str, str] | None = None,
    ) -> None:
        """Replaces the configuration of server and engine, all or nothing; each call uses one from start to end.

        Args:
            path: New policies, with `catalogue`, in the form of `Engine.reload_file`. Pass either this or `policies`;
                with neither, the engine is not changed.
            catalogue: Facts about the tools.
            policies: A whole configuration, with `servers`, `grants`, `grant_key`, `rate_limits` and `candidates`, in
                the form of `Engine.reload_config`.
            servers: The known servers.
            grants: The grants; an empty list admits no caller. With None, callers name the grant that is charged.
            grant_key: The key of the grants' token hashes.
            peps: The enforcement points, also for open connections; None to keep them, an empty list to admit no
                client.
            tls: Certificates for new connections; None to keep them.
            rate_limits: The rate limits; None for none.
            proxies: The rules for requests of proxies, in the form of `Server`; None to keep them.
            gateway: The servers behind the gateway, in the form of `Server`; None to keep them.
            candidates: The policies that are weighed beside those of servers; None for none.

        Raises:
            PolicyError: A document has a fault.
            ConfigError: A file cannot be read, a grant or enforcement point has a fault, or certificates are expired,
                cannot be read or do not belong together.
        """

    def set_serving(self, serving: bool) -> None:
        """Sets the answer of `grpc.health.v1`."""

    def metrics(self) -> Metrics:
        """The current numbers."""

    def metric_families(self) -> list[MetricFamily]:
        """The current numbers as the metrics page shows them, in its order."""

    def audit_head(self) -> tuple[str, str, int, int | None] | None:
        """The newest checkpoint of the signed decision log; None if there is none yet.

        Its note, its origin, its size, and the number of the last admin change under it that this process has written.
        """

    def set_audit_contested(self, is_contested: bool) -> None:
        """Notes whether the signed decision log has a second writer.

        Somebody else writes its stream, or has continued the log otherwise. Meanwhile calls are denied if `mode` is
        `required`.
        """

    def record_in_audit(self, line: str) -> bool:
        """Adds a line, one JSON object, to the signed decision log; false if too many wait, or there is no such log."""

    def listen(
        self,
        *,
        grants: Sequence[str] = ...,
        tools: Sequence[str] = ...,
        outcomes: Sequence[str] = ...,
        sampled: float | None = None,
    ) -> DecisionListener:
        """Follows the decisions on these grants and tools with these outcomes, of each any if there are none.

        Args:
            grants: Ids of grants.
            tools: Names of tools.
            outcomes: Outcomes.
            sampled: The part of the decisions without a trace that is followed, from 0 to 1. Of those in a trace, the
                ones whose trace is sampled are followed, and those with an approval always. None for all decisions.

        Raises:
            ConfigError: The server has not been started, or it has too many listeners.
            ValueError: Not an outcome, or not a part.
        """

    def candidates(self) -> list[dict[str, Any]]:
        """The results of the policies that are weighed beside those of servers (``docs/replay.md``), by server.

        Returns:
            For each server ``server``, ``policy``, ``version``, ``since_us``, ``counts`` (the outcome that was
            answered, that of the candidate, number), ``changes`` and ``other_changes`` (calls beyond the kinds that
            are told apart). For each kind of changed calls ``tool``, ``live`` and ``candidate`` (outcome and rule),
            ``count`` and ``examples`` (microseconds since 1970, grant).
        """
    def tally_grants(self) -> GrantTally:
        """Counts the decisions of each grant.

        Raises:
            ConfigError: The server has not been started, or it has too many listeners.
        """

    def drain_events(self, max: int = 1_000) -> list[tuple[str, str, dict[str, str | int]]]:
        """Takes up to `max` waiting events, oldest first: level, event, fields. Values of arguments never appear."""

@final
class TextPatterns:
    """Many patterns of Python's `re`, for a quick look before they are searched."""

    def __new__(cls, patterns: list[str]) -> Self: ...
    def candidates(self, text: str) -> list[int]:
        """The numbers of the patterns that may match somewhere in a text of one line."""

@final
class Wrap:
    """An MCP server that communicates over pipes, with every line of its client judged (``docs/stdio.md``).

    `run` starts the server.

    Args:
        engine: The engine with the policies and counters.
        server: The server's name.
        command: The program and its arguments.
        grant: Id of the grant that is charged.
        grant_token: The caller's token in place of `grant`, if grants are configured.
        methods: Allowed methods and denied methods, in addition to the known ones.
        lists_allowed_only: Leave tools that the caller may never call out of lists, and not only hidden ones.
        audit: The decision log, as `Server` takes it; ``-`` is standard error here. None for none.
        grace_ms: Longest time until the server ends after the end of its input, and again after SIGTERM; 1,500 by
            default.
        line_limit_bytes: The longest line of the client that is judged; None for 4 MiB.
        held_limit_bytes: The longest reply that is held because it may be a list of tools; 16 MiB by default.
        hidden_variables: Variables of the environment that the server does not get.
        pins_folder: The folder of the server's accepted tools; None to pin nothing.
        pinning: Treatment of tools that differ from the accepted ones: ``"off"``, ``"report"`` or ``"enforce"``
            (default).
        first_lists_s: Time in seconds after the server's first complete list in which first lists of other
            variants are accepted; None for 24 hours.
        freeze_file: The file of freezes, read twice a second; None for none.
        approvals: The queue of questions about calls that need a person's approval; None to deny them.

    Raises:
        ConfigError: A value has the wrong form, or the decision log, the folder of pins or the file of freezes cannot
            be opened.
    """

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
        freeze_file: str | PathLike[str] | None = None,
        approvals: ApprovalQueue | None = None,
    ) -> Self: ...
    def run(self) -> tuple[int, str | None]:
        """Relays between standard input and output and the server until the server has ended.

        Returns:
            The exit code, as of a shell that runs the server (128 plus the number of a signal), and the reason for
            which it could not be started, if any.
        """

    def drain_events(self, max: int = 1_000) -> list[tuple[str, str, dict[str, str | int]]]:
        """Takes up to `max` waiting events, oldest first: level, event, fields. Values of arguments never appear."""

@final
class Approval:
    """A person's permission for one exact call.

    `Client.approval`, `Client.wait_for_approval` and `Engine.approval` return it.
    """
    def __new__(
        cls,
        *,
        id: str,
        state: str,
        rule: str = "",
        approvers: list[str] = ...,
        reason: str = "",
        until_us: int = 0,
        permit: str = "",
    ) -> Self: ...
    @property
    def id(self) -> str:
        """Its id."""
    @property
    def state(self) -> Literal["pending", "approved", "denied", "consumed", "expired", "ended"]:
        """One of ``pending``, ``approved``, ``denied``, ``consumed``, ``expired`` and ``ended``."""
    @property
    def rule(self) -> str:
        """Rule pointer of the first rule that lacks answers; empty unless it is pending."""
    @property
    def approvers(self) -> tuple[str, ...]:
        """Groups whose people this rule asks; empty for any approver, and unless it is pending."""
    @property
    def reason(self) -> str:
        """Reason of the denial; may be empty."""
    @property
    def until_us(self) -> int:
        """Unix microseconds at which a pending, approved or denied one ends; else 0."""
    @property
    def permit(self) -> str:
        """Id of the permit that was made of it; empty without one."""
    @property
    def is_given(self) -> bool:
        """True if the same call may be made now: it is approved, or a permit was made of it."""
    def to_dict(self) -> dict[str, Any]:
        """The fields by name."""
    def __eq__(self, other: object, /) -> bool: ...
    def __ne__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...

@final
class ApprovalQueue:
    """A queue of questions about calls that need a person's approval.

    A `Server`, a `Wrap` or an `Engine` asks. One thread takes the questions and answers them.

    Args:
        deadline_ms: The longest wait of a call for its answer; then it is denied, ``(approval store unavailable)``.
        max_arguments_bytes: Most bytes of arguments, with the names of tool and session, that people are asked about.
    """
    def __new__(cls, *, deadline_ms: int = 400, max_arguments_bytes: int = 65_536) -> Self: ...
    def take(
        self, most: int, timeout_ms: int
    ) -> tuple[list[dict[str, Any]], list[tuple[str, str, bool]], list[tuple[int, str]]] | None:
        """Takes questions in the order of their calls, uses to give back, and looks at approvals.

        Args:
            most: The most questions to take, and the most looks.
            timeout_ms: The longest wait while there is nothing to take.

        Returns:
            The questions; uses to give back: the id of the approval or permit, the id of the use, and True for a
            permit; looks to answer: the number of each, and the id of its approval. None once the queue is closed and
            all uses were taken.
        """
    def approve(self, number: int, id: str, *, is_permit: bool) -> None:
        """Answers a question: the call may be made. A use of a call that does not wait any more is given back."""
    def deny(self, number: int, id: str, rule: str, reason: str, until_us: int) -> None:
        """Answers a question: a person has denied the call."""
    def wait(self, number: int, id: str, rule: str, approvers: list[str], until_us: int) -> None:
        """Answers a question: the call waits for people of these groups, or for anybody who may answer."""
    def refuse(self, number: int, *, of_grant: bool) -> None:
        """Answers a question: too many approvals are pending, of this grant or in all."""
    def fail(self, number: int) -> None:
        """Answers a question: the store of approvals cannot be reached."""
    def show(self, number: int, approval: Approval | None) -> None:
        """Answers a look with an approval as it is now; None if there is none."""
    def fail_look(self, number: int) -> None:
        """Answers a look: the store of approvals cannot be reached."""
    @property
    def has_watchers(self) -> bool:
        """True if somebody waits for a change of an approval."""
    def repeat_looks(self, ids: list[str] | None = None) -> None:
        """Repeats the looks at approvals that have changed; all looks without ids."""
    def close(self) -> None:
        """Takes no more questions; calls that wait are denied."""

@final
class BenchCalls:
    """The calls of a load test, sent in turn."""

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
        """Generates calls that satisfy and calls that violate a policy, or each policy of a folder.

        Args:
            path: See `Engine.from_file`.
            catalogue: Facts about the tools.
            grants: Distinct grants, from 1 to 1,000,000: ``grant-000001`` and so on.
            seed: The same seed gives the same calls.

        Raises:
            PolicyError: A document has a fault.
            ConfigError: A file cannot be read, or an option has an invalid value.
        """

    def write(self, path: str | PathLike[str]) -> None:
        """Writes the calls in the format of `from_file`.

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
    """Runs a load test on its own threads, and returns the `result` of its report as JSON (`docs/load-tests.md`).

    The first Ctrl-C ends the run early, and the measurements so far are reported; the second one is raised.

    Args:
        target: ``HOST:PORT``, ``https://HOST:PORT`` or ``unix:PATH``.
        calls: The calls to send.
        method: ``check``, ``batch`` or ``stream``.
        batch_size: Calls of a batch; None for 64.
        connections: None for 4.
        streams: Requests in flight on each connection; None for 16.
        rate: Requests per second of all connections together, at fixed times; None for a closed loop.
        duration_ms: Duration of the measurement; None for 10 s.
        warmup_ms: Duration of the same load before it; None for 1 s.
        timeout_ms: Longest time of one answer; None for 10 s.
        threads: Threads that generate the load; 0 for half of the cores.
        token: Sent as ``authorization: Bearer``.
        tls_ca: PEM file of the trusted authorities for the target's certificate.
        tls_cert: PEM file of the client's own certificate, for mutual TLS.
        tls_key: PEM file of that certificate's key.
        progress: Called a few times a second with a JSON object; an exception from it ends the run.

    Raises:
        ConfigError: An option has an invalid value, the target cannot be reached, or no call got an answer.
    """

def bench_hgrm(histogram: str) -> str:
    """Converts the `histogram` of a report into a percentile distribution in microseconds (`.hgrm`).

    Raises:
        ConfigError: The text is no HdrHistogram in base64.
    """

@final
class Webhook:
    """A receiver of messages over HTTP; no connection is made before `post`.

    Connections to link-local addresses and to the metadata services of clouds are refused, whatever the receiver's name
    leads to, and redirects are not followed.

    Args:
        url: The receiver's URL, with ``http`` or ``https``.
        ca: Certificates in PEM of the trusted authorities; None for the system's.
        allow_link_local: True to connect to link-local addresses and metadata services as well.
        timeout_ms: Longest time of a `post`, from the look-up of the receiver's name to the end of the reply.

    Raises:
        ConfigError: The URL or the certificates are invalid.
    """

    def __new__(
        cls, url: str, *, ca: bytes | None = None, allow_link_local: bool = False, timeout_ms: int = 10000
    ) -> Self: ...
    def post(self, fields: Sequence[tuple[str, str]], body: bytes) -> tuple[int, str | None, bytes]:
        """Sends a message.

        Args:
            fields: Header fields, names and values.
            body: The message.

        Returns:
            The status, the field ``Retry-After`` if there is one, and the first 1,024 bytes of the body of a reply
            whose status is not one of success.

        Raises:
            ConfigError: A field is invalid.
            ConnectionError: The receiver has not answered.
        """

def connect(url: str, *, headers: Sequence[tuple[str, str]] = ..., ca: bytes | None = None) -> int:
    """Connects the client at standard input and output to a server with streamable HTTP (``docs/stdio.md``).

    Args:
        url: The server's endpoint.
        headers: Fields of every request, names and values.
        ca: Certificates in PEM of the trusted authorities; None for the system's.

    Returns:
        The exit code: 0 at the end of the input, 128 plus the number of a signal.

    Raises:
        ConfigError: The URL or a field is invalid.
    """

def validate(path: str | PathLike[str]) -> list[tuple[str, int, int, str]]:
    """The warnings about a policy file or a folder of them: file, line, column and message of each.

    Raises:
        PolicyError: A document has a fault.
        ConfigError: A file cannot be read.
    """

def catalogue_faults(path: str | PathLike[str]) -> list[tuple[int, int, str]]:
    """Every fault of a catalogue file, in document order: line, column and message of each.

    Empty if it can be loaded; at most 100.

    Raises:
        ConfigError: The file cannot be read.
    """

def policy_faults(path: str | PathLike[str]) -> list[tuple[int, int, str]]:
    """Every fault of a policy file, in document order: line, column and message of each.

    Empty if it can be loaded; at most 100.

    Raises:
        ConfigError: The file cannot be read.
    """

def ineffective_settings(file: str, content: bytes) -> list[tuple[int, int, str]]:
    """The settings of a policy that change nothing in this version: line, column and message of each.

    Empty for a policy with a fault, which its engine reports.
    """

def counters_facts(path: str | PathLike[str]) -> dict[str, int | bool | None]:
    """Facts about a file of counters, even while a process uses it: version, counters, bytes and so on.

    Raises:
        StoreError: The file does not exist, or is foreign, newer, or too damaged to read.
    """

def counters_repair(path: str | PathLike[str]) -> tuple[int, int, int, int, int, int, Path]:
    """Replaces a damaged file by one with every intact counter, and keeps the damaged file beside it.

    Returns:
        Counters kept; the number of doubtful ones among them, from blocks that do not match their checksum;
        counters dropped; doubtful blocks; blocks dropped because they are unreadable; damaged resets, whose counts
        are as before them; and the path of the old file.

    Raises:
        StoreError: The file is in use, foreign, newer, or too damaged to repair; or the disk is full.
    """

def args_json(args: object) -> bytes:
    """The JSON bytes of an arguments value, as `Engine.check` reads it.

    Raises:
        TypeError: It contains a value of a type without a JSON form.
    """

def hash_token(key: bytes, token: str) -> str:
    """The hash of a token in the form of configurations: keyed BLAKE3, 64 hexadecimal digits.

    Args:
        key: 32 random bytes, a secret of the sidecar.
        token: The token; upper and lower case differ.

    Raises:
        ConfigError: The key is not 32 bytes long.
    """

def new_token() -> str:
    """A new random token: ``cgt_`` and 43 characters of URL-safe base64."""

def pins_read(folder: str | PathLike[str], server: str | None = None) -> list[dict[str, Any]]:
    """The pinned tools of one server or of all servers.

    Returns:
        For each server ``server``, ``is_complete`` (true after a complete list), ``unfinished_since_unix_s`` (the
        start of its first list, if that is unfinished for more than a day, else None), ``first_lists_since_unix_s``
        (start of the time for first lists of other variants, None if it is over or has not begun), ``variants``
        (the kinds of clients that were shown lists, each with true if a complete first list of it was accepted) and
        ``tools``. For each tool ``tool``, ``state`` (``pinned``, ``changed`` or ``new``), ``pinned`` (the accepted
        forms, latest last) and ``listed`` (the listed forms that are not accepted, latest last). For each form
        ``digest``, ``endpoint``, ``listed_at_unix_s``, ``variants`` (those in whose lists it was accepted, or that
        were shown it last), ``is_ambiguous`` (listed twice, with different definitions) and ``members``: names and
        JSON over several lines.

    Raises:
        ConfigError: No tools of that server are pinned.
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
    """Accepts tools in the form that their server listed last.

    Args:
        folder: The folder of pins.
        server: The server's name.
        tools: The names of the tools; None for all that are changed or new.
        digest: The required prefix of the digest of each tool.
        keeps_others: True to keep forms that were accepted before.
        variant: Accept only the forms for clients of this variant, and keep those of other variants.

    Returns:
        The newly accepted tools, each with its digest.

    Raises:
        ConfigError: The server has no such tool, lists it twice with different definitions, or the digest differs.
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
    """Records and saves a complete list, as if the server had just sent it.

    Args:
        folder: The folder of pins, which is created if it does not exist.
        server: The server's name.
        url: The server's URL; pass either this or `command`.
        command: The command that starts the server.
        answer: A JSON-RPC answer to ``tools/list``, or its result.
        variant: The variant of clients that are shown the list; None for all.

    Returns:
        Tools that became ``changed`` or ``new``.

    Raises:
        ConfigError: The list is incomplete or too large.
        StoreError: A file cannot be read or written, or is damaged.
    """

def pins_reset(folder: str | PathLike[str], server: str) -> None:
    """Removes the accepted and the listed tools of a server.

    Raises:
        ConfigError: No tools of that server are pinned.
        StoreError: The file cannot be removed.
    """

def freezes_read(path: str | PathLike[str]) -> list[dict[str, Any]]:
    """The rows of a file of freezes; without the file there are none.

    Returns:
        For each row ``server``, ``tool`` and ``grant`` (None if it is not about one), ``reason``, ``until_us`` (None
        without an end), ``at_us`` and ``by``. Times are microseconds since 1970.

    Raises:
        ConfigError: The file cannot be read, or has a fault, with its line and column.
    """

def policy_schema() -> str:
    """The JSON Schema (2020-12) of the policy format."""

def version() -> str:
    """The version of this build."""

def descriptor_limit() -> tuple[int, int] | None:
    """The most file descriptors that this process may open, and the number of them that connections leave free.

    Reloads, the admin port and files use those. None without a limit.
    """

def sentence_terms(text: str) -> list[list[str]]:
    """The terms of each three sentences of a text: words, reduced to what matters, and words that stand together.

    Args:
        text: One line in lower case.
    """
