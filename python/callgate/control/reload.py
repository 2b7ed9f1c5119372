"""Hot reload: reads everything anew, and replaces either the whole configuration or nothing."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Final

from callgate.config.document import is_transient, unreadable
from callgate.config.faults import InvalidConfigError
from callgate.config.files import Files
from callgate.config.managed import settle
from callgate.control import logs
from callgate.control.failures import unexpected
from callgate.control.plan_findings import warnings_of
from callgate.control.readiness import Serving
from callgate.errors import CallgateError, ConfigError, TransientError
from callgate.text import masked

if TYPE_CHECKING:
    from collections.abc import Callable

    from callgate._callgate import Engine, Server
    from callgate.config.managed import ManagedDocument
    from callgate.control.refusals import Refusals
    from callgate.control.reload_numbers import ReloadNumbers
    from callgate.control.sidecar import Plan, Source

_READS: Final = 5

_FIRST_RETRY_S: Final = 1.0
_LAST_RETRY_S: Final = 4.0
"""Longest pause before a retry after a temporary failure; the pause doubles each time. It is short because a saved
revocation waits for it, and a reload every four seconds costs very little."""


class Reading:
    """The result of reading, and the files that were read."""

    def __init__(self, source: Source) -> None:
        """Reads until no file changes in the meantime, so that the result is one consistent state."""
        for _ in range(_READS):
            self.plan: Plan | None = None
            self.error: CallgateError | None = None
            self.files = Files()
            try:
                self.plan = source.read(self.files)
            except CallgateError as error:
                self.error = error
            except OSError as error:
                self.error = unreadable(Path(error.filename or "."), error)
            except Exception as error:  # noqa: BLE001  nothing that stands in a file may end a sidecar
                self.error = _unexpected(error)
            if self.files.are_unchanged():
                return
        message = "the files change while they are read; write them under other names and rename them into place"
        self.error = self.error or TransientError(message)

    def must_have_plan(self) -> Plan:
        """The plan.

        Raises:
            CallgateError: There is no plan.
        """
        if self.error is not None or self.plan is None:
            raise self.error or ConfigError("nothing was read")
        return self.plan


class Reloader:
    """Reloads the configuration of a running sidecar."""

    def __init__(
        self,
        source: Source,
        reading: Reading,
        engine: Engine,
        server: Server,
        numbers: ReloadNumbers,
        refusals: Refusals,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Takes the running parts, the source of their configuration, what is told of it, and a clock in seconds.

        Raises:
            CallgateError: The configuration could not be read.
        """
        self._source = source
        self.plan = reading.must_have_plan()
        """The plan in force."""
        self._numbers = numbers
        self._engine = engine
        self._server = server
        self._warned = set(warnings_of(self.plan))
        self._clock = clock
        self._pause_s = _FIRST_RETRY_S
        self._retry_at_s: float | None = None
        self.files = reading.files
        self.serving = Serving(datetime.now(timezone.utc))
        self.refusals = refusals
        """Reasons for which documents of the store are not served in their newest version."""
        self._are_documents_refused = False

    def is_due(self) -> bool:
        """True if the last reload failed for a temporary reason and a retry is due."""
        return self._retry_at_s is not None and self._clock() >= self._retry_at_s

    def retry(self) -> None:
        """Reloads like `reload`, but logs nothing if the result is the same as last time."""
        self._reload_all(is_retry=True)

    def reload(self) -> None:
        """Applies the files on disk, or reports the failure in the log, the metric and `serving`."""
        self._pause_s = _FIRST_RETRY_S
        self._reload_all(is_retry=False)

    def reload_documents(self) -> None:
        """Serves the newest documents of the store beside the files in force, or reports the faults that prevent it.

        Files are not read: a fault in one of them must not keep a grant from being revoked.
        """
        managed = self._source.managed
        try:
            managed.in_force, errors = settle(managed.newest, managed.in_force, self._serve_documents)
        except Exception as error:  # noqa: BLE001  as above
            errors = [_unexpected(error)]
        else:
            logs.log("info", "store_documents", {"documents": len(managed.in_force)})
        self._are_documents_refused = bool(errors)
        self.refusals.tell("documents", list(map(_one_line, errors)))

    def _serve_documents(self, documents: tuple[ManagedDocument, ...]) -> None:
        plan = self.plan.with_documents(documents)
        plan.replace(self.plan, self._engine, self._server)
        self.plan = plan

    def _reload_all(self, *, is_retry: bool) -> None:
        for _ in range(_READS):
            self._reload(is_retry=is_retry)
            # Without a configuration, the engine reads the policy and the catalogue itself, later than `Reading`.
            if self.files.are_unchanged():
                return

    def _reload(self, *, is_retry: bool) -> None:
        reading = Reading(self._source)
        now_s = time.time()
        try:
            plan = replace(reading.must_have_plan(), keyed=self.plan.keyed)
            warnings = warnings_of(plan)
            plan.replace(self.plan, self._engine, self._server)
        except CallgateError as error:
            self._refuse(error, reading, now_s, is_retry=is_retry)
            return
        except Exception as error:  # noqa: BLE001  as above
            self._refuse(_unexpected(error), reading, now_s, is_retry=is_retry)
            return
        self._retry_at_s, self._pause_s = None, _FIRST_RETRY_S
        self.plan, self.files = plan, reading.files
        # Before the metric, by which others see that there was a reload.
        self.serving = Serving(datetime.fromtimestamp(now_s, timezone.utc))
        self._numbers.reloaded(ok=True, at_s=now_s)
        policies = ", ".join(f"{policy.name}@{policy.version}" for policy in self._engine.policies)
        logs.log("info", "reloaded", {"policies": policies})
        self._warn(warnings)
        if self._are_documents_refused:
            # They may fit to these files.
            self.reload_documents()

    def _refuse(self, error: CallgateError, reading: Reading, now_s: float, *, is_retry: bool) -> None:
        refused = _one_line(error)
        self._retry_at_s = None
        if isinstance(error, TransientError) or (isinstance(error, InvalidConfigError) and error.is_transient):
            self._retry_at_s = self._clock() + self._pause_s
            self._pause_s = min(2 * self._pause_s, _LAST_RETRY_S)
        is_news = not is_retry or refused != self.serving.refused
        # Before the metric, as above.
        self.serving = Serving(self.serving.since, refused, retried=self._retry_at_s is not None)
        if is_news:
            self._numbers.reloaded(ok=False, at_s=now_s)
            logs.log("error", "reload_failed", {"error": refused, "retried": self._retry_at_s is not None})
        # The correction may be in a file that only the refused configuration names, or a return to the old one.
        for path in self.files.paths:
            reading.files.add(path)
        self.files = reading.files

    def _warn(self, warnings: list[str]) -> None:
        """Logs new warnings; the others were logged at the start or by an earlier reload."""
        for warning in warnings:
            if warning not in self._warned:
                logs.log("warning", "configuration_warning", {"warning": warning})
        self._warned = set(warnings)


def _unexpected(error: Exception) -> ConfigError:
    """An error with the place of the exception."""
    message = unexpected(error)
    may_pass = isinstance(error, MemoryError) or (isinstance(error, OSError) and is_transient(error))
    return TransientError(message) if may_pass else ConfigError(message)


def _one_line(error: CallgateError) -> str:
    if isinstance(error, InvalidConfigError):
        first, *others = error.faults
        line = f"{first} (and {len(others)} more)" if others else str(first)
    else:
        line = masked(str(error))
    # A path may contain bytes that are not text, which pages and logs cannot show.
    return line.encode("utf-8", "replace").decode()
