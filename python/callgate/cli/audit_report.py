"""The reports of `callgate audit`."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import typer

from callgate.ledger.lines import fields_of
from callgate.text import visible

if TYPE_CHECKING:
    from collections.abc import Sequence

    from callgate.ledger.note import PublicKey
    from callgate.ledger.proof import Proof
    from callgate.ledger.verify import LogFault, Verification

_WIDTH = 12


@dataclass(frozen=True)
class StreamReport:
    """The result for one log."""

    result: Verification
    files: int
    admin_faults: list[str]
    """Differences from the admin audit of the store."""

    @property
    def is_bad(self) -> bool:
        """True if something was changed, is missing, or is signed by nobody who is believed."""
        return not self.result.is_intact or self.result.is_complete is False or bool(self.admin_faults)

    def integrity(self) -> str:
        """The verdict on what is there."""
        result = self.result
        if result.faults:
            more = len(result.faults) + result.more_faults - 1
            return f"broken at {result.faults[0].place}{f', and in {more} more places' if more else ''}"
        if not result.signed:
            return "unknown: no checkpoint is signed by a key that is believed"
        return "ok"

    def complete(self) -> str:
        """The verdict on what is not there."""
        result = self.result
        if result.missing:
            return f"no: {result.missing[0]}"
        if result.known_until is None:
            return "unknown: no checkpoint from elsewhere was given; --checkpoints, or --config for those of the store"
        return f"yes, up to entry {result.known_until - 1}"

    def fields(self) -> dict[str, Any]:
        """The report for programs."""
        result = self.result
        return {
            "origin": result.origin,
            "files": self.files,
            "first": result.first,
            "entries": result.entries,
            "decisions": result.decisions,
            "admin_changes": result.admin_changes,
            "integrity": "broken" if result.faults else "ok" if result.signed else "unknown",
            "complete": {None: "unknown", True: "yes", False: "no"}[result.is_complete],
            "signed": result.signed,
            "signed_until": result.signed_until,
            "unsigned": result.unsigned,
            "known_until": result.known_until,
            "faults": [_fault(fault) for fault in result.faults],
            "more_faults": result.more_faults,
            "missing": result.missing,
            "admin_faults": self.admin_faults,
            "left_out": {"sampled": result.sampled, "dropped": result.dropped},
            "signed_after_restart": result.resumed,
            "checkpoints_of_other_keys": result.other_keys,
            "breaks": result.breaks,
        }

    def lines(self) -> list[tuple[str, str]]:
        """The report for people, in pairs."""
        result = self.result
        lines = [
            ("log", result.origin),
            (
                "entries",
                f"{result.first} to {result.entries - 1} in {_count(self.files, 'file')}, of which {_kinds(result)}",
            ),
            ("integrity", self.integrity()),
            *(("", str_of(fault)) for fault in result.faults),
            ("complete", self.complete()),
            *(("", one) for one in result.missing[1:]),
        ]
        if result.signed:
            until = "" if result.signed_until is None else f", {result.signed_until}"
            lines.append(("signed", f"up to entry {result.signed - 1}{until}"))
        if result.unsigned:
            lines.append(("unsigned", f"{_count(result.unsigned, 'line')} at the end, under no checkpoint yet"))
        if result.sampled or result.dropped:
            lines.append(("left out", f"{result.sampled} plain allows by sampling, {result.dropped} lines dropped"))
        if result.resumed:
            lines.append(("restarts", f"{_count(result.resumed, 'line')} signed only after a restart"))
        if result.other_keys:
            lines.append(
                ("other keys", f"{_count(result.other_keys, 'checkpoint')} that no key that is believed has signed")
            )
        lines += [("break", reason) for reason in result.breaks]
        lines += [("admin audit", fault) for fault in self.admin_faults]
        return lines


def str_of(fault: LogFault) -> str:
    """A fault with its place."""
    until = "" if fault.until is None else f" to line {fault.until.line}"
    return f"{fault.place}{until}: {fault.message}"


def print_report(reports: Sequence[StreamReport], *, as_json: bool) -> None:
    """Prints the results."""
    if as_json:
        typer.echo(json.dumps({"logs": [report.fields() for report in reports]}, ensure_ascii=False))
        return
    for number, report in enumerate(reports):
        if number:
            typer.echo()
        for name, value in report.lines():
            typer.echo(f"{name + ':' if name else '':<{_WIDTH}} {visible(value)}")


def print_proof(proof: Proof, signer: PublicKey, *, as_json: bool) -> None:
    """Prints what a proof proves."""
    entry = proof.entry.decode("utf-8", "replace")
    if as_json:
        fields = {
            "proven": True,
            "origin": proof.checkpoint.origin,
            "index": proof.index,
            "size": proof.checkpoint.size,
            "public_key": str(signer),
            "entry": _parsed(proof.entry),
        }
        typer.echo(json.dumps(fields, ensure_ascii=False))
        return
    typer.echo(f"proven: entry {proof.index} of the log `{visible(proof.checkpoint.origin)}`, signed by {signer}")
    typer.echo(visible(entry))


def _parsed(entry: bytes) -> Any:  # noqa: ANN401  JSON
    try:
        return fields_of(entry)
    except ValueError:
        return entry.decode("utf-8", "replace")


def _fault(fault: LogFault) -> dict[str, Any]:
    return {
        "file": str(fault.place.file),
        "line": fault.place.line,
        "until_line": None if fault.until is None else fault.until.line,
        "message": fault.message,
    }


def _kinds(result: Verification) -> str:
    return f"{_count(result.decisions, 'decision')} and {_count(result.admin_changes, 'admin change')}"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
