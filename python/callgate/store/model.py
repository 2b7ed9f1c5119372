"""The parts of approvals."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from enum import Enum
from typing import TYPE_CHECKING, Any, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

PENDING_PER_GRANT: Final = 20
PENDING_IN_ALL: Final = 10_000


class State(str, Enum):
    """The state of an approval."""

    PENDING = "pending"
    APPROVED = "approved"
    DENIED = "denied"
    CONSUMED = "consumed"
    EXPIRED = "expired"
    ENDED = "ended"


LIVE_STATES: Final = frozenset({State.PENDING, State.APPROVED, State.DENIED})
"""States that end with time."""


class Verdict(str, Enum):
    """The answer of one person."""

    APPROVE = "approve"
    DENY = "deny"


@dataclass(frozen=True, order=True)
class Person:
    """A person, as an issuer names them.

    Issuer and subject are compared byte for byte. The caller takes the issuer from the configuration, so that it has
    one spelling. A local account and an account of an OIDC provider are two people, also if one human has both.
    """

    issuer: str
    subject: str

    def __str__(self) -> str:
        """The name in records."""
        return f"{self.subject} ({self.issuer})"


@dataclass(frozen=True)
class Actor:
    """The maker of a change, and the place that it came from."""

    name: str
    source: str


@dataclass(frozen=True)
class PermitBounds:
    """The bounds within which an approver may make a permit."""

    max_uses: int
    max_duration_us: int


@dataclass(frozen=True)
class PermitOffer:
    """The permit that an approver makes of an approval."""

    permit_id: str
    """The id for the permit, if this answer is the last one that it needs."""
    terms: str
    """The conditions of the arguments as JSON; see `terms.read_terms`. The caller checks them against the policy."""
    uses: int
    duration_us: int


@dataclass(frozen=True)
class Need:
    """One rule that asks for an approval."""

    rule: str
    """Its rule pointer."""
    entry_digest: str
    """Digest of the entry's rules, by which a permit stays with them."""
    timeout_us: int
    valid_us: int
    approvers: tuple[str, ...] = ()
    """Groups of which one must have the person; any approver if there is none."""
    count: int = 1
    """The number of different people who must approve."""
    reason_required: bool = False
    permit: PermitBounds | None = None

    def asks(self, groups: Collection[str]) -> bool:
        """True if it asks people of these groups."""
        return not self.approvers or any(group in groups for group in self.approvers)

    def document(self) -> dict[str, Any]:
        """The need as JSON."""
        return {**asdict(self), "approvers": list(self.approvers)}

    @staticmethod
    def read(document: Mapping[str, Any]) -> Need:
        """The need from JSON."""
        bounds = document["permit"]
        permit = None if bounds is None else PermitBounds(**bounds)
        return Need(**{**document, "approvers": tuple(document["approvers"]), "permit": permit})


@dataclass(frozen=True)
class Call:
    """The call that an approval is about."""

    fingerprint: str
    grant: str
    server: str
    tool: str
    policy_digest: str
    pin_digest: str | None = None
    owner: Person | None = None
    """The person to whom the grant belonged when the approval was made, who may not answer."""


@dataclass(frozen=True)
class Evidence:
    """What a new approval needs of a call beside the call itself."""

    arguments: str
    """The arguments as JSON, masked where the configuration says so."""
    document: str
    """Everything else that people are shown, as JSON."""
    owner: Person | None = None
    """The person to whom the grant belongs, who may not answer."""
    takes_passkey: bool = False
    """True if approving takes a passkey."""


class Contents(Protocol):
    """The contents of a call, read only once they are needed: a call that uses its approval needs none of them."""

    def arguments(self) -> Mapping[str, object]:
        """The top-level arguments, for permits; see `terms.read_json`. They are not stored.

        Raises:
            UnreadableError: The call cannot be read.
        """

    def evidence(self) -> Evidence:
        """The texts for people and the owner, of which a new approval is made.

        Raises:
            UnreadableError: The call cannot be read.
            StoreError: The owner cannot be read.
        """


@dataclass(frozen=True)
class Ask:
    """A call that waits at step 6 of the policy's order."""

    call: Call
    needs: tuple[Need, ...]
    """The rules that ask now, in their order; at least one."""
    new_id: str
    """The id of the approval that is made if there is none."""
    use_id: str
    """The id of this use, with which it can be restored."""
    contents: Contents
    source: str = ""
    """The place that the call came from."""


@dataclass(frozen=True)
class Used:
    """An approval was consumed for this call."""

    approval_id: str


@dataclass(frozen=True)
class Permitted:
    """A use of a permit was taken for this call."""

    permit_id: str


@dataclass(frozen=True)
class Denied:
    """A person has denied this call."""

    approval_id: str
    rule: str
    reason: str
    until_us: int


@dataclass(frozen=True)
class Waiting:
    """The call waits for people."""

    approval_id: str
    rule: str
    """The first need that has too few answers."""
    approvers: tuple[str, ...]
    """The groups that this need asks."""
    until_us: int
    is_new: bool
    """True if this call made the approval."""


@dataclass(frozen=True)
class AtCapacity:
    """Too many approvals are pending, of this grant or in all."""

    is_of_grant: bool


@dataclass(frozen=True)
class Failed:
    """This call alone could not be decided; nothing was written for it."""

    reason: str


Outcome = Used | Permitted | Denied | Waiting | AtCapacity | Failed


@dataclass(frozen=True)
class Approval:
    """An approval as it is stored."""

    id: str
    call: Call
    needs: tuple[Need, ...]
    open_rule: str | None
    state: State
    created_us: int
    until_us: int
    decided_us: int | None
    changed_us: int
    changed_by: str
    changed_from: str
    cause: str
    use_id: str | None
    change: int
    takes_passkey: bool = False
    """True if approving takes a passkey."""


def from_row(row: Any, now_us: int | None = None) -> Approval:  # noqa: ANN401  a row has its query's columns
    """The approval of a row. With a time, one whose time is over is expired even if nobody has written that yet."""
    owner = None if row.owner_issuer is None else Person(row.owner_issuer, row.owner_subject)
    approval = Approval(
        id=row.id,
        call=Call(row.fingerprint, row.grant_id, row.server, row.tool, row.policy_digest, row.pin_digest, owner),
        needs=tuple(Need.read(document) for document in row.needs),
        open_rule=row.open_rule,
        state=State(row.state),
        created_us=row.created_us,
        until_us=row.until_us,
        decided_us=row.decided_us,
        changed_us=row.changed_us,
        changed_by=row.changed_by,
        changed_from=row.changed_from,
        cause=row.cause,
        use_id=row.use_id,
        change=row.change,
        takes_passkey=bool(row.takes_passkey),
    )
    return approval if now_us is None else replace(approval, state=state_at(approval, now_us))


def state_at(approval: Approval, now_us: int) -> State:
    """The state at this time, which nobody may have written yet."""
    is_over = approval.state in LIVE_STATES and approval.until_us <= now_us
    return State.EXPIRED if is_over else approval.state
