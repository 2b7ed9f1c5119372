"""A plain model of approvals, written from the contract: one list, no database, no cleverness."""

from __future__ import annotations

from dataclasses import dataclass, field

from callgate.store.model import Ask, State, Verdict

LIVE = {"pending", "approved", "denied"}


@dataclass
class ModelApproval:
    """One approval."""

    id: str
    ask: Ask
    state: str
    until_us: int
    decided_us: int = 0
    use_id: str | None = None
    answers: dict[str, tuple[Verdict, frozenset[str]]] = field(default_factory=dict)


class Model:
    """A plain model of the store: all approvals in memory."""

    def __init__(self, per_grant: int, in_all: int) -> None:
        self.per_grant = per_grant
        self.in_all = in_all
        self.all: list[ModelApproval] = []
        self.admitted = 0
        self.given_back = 0

    def states(self, now_us: int) -> dict[str, State]:
        """The state of each approval at a time."""
        return {one.id: self.state(one, now_us) for one in self.all}

    @staticmethod
    def state(one: ModelApproval, now_us: int) -> State:
        """The state of an approval at a time."""
        return State.EXPIRED if one.state in LIVE and one.until_us <= now_us else State(one.state)

    def ask(self, ask: Ask, now_us: int) -> tuple[str, str | None]:
        """The kind of outcome, and the id of its approval."""
        rules = {need.rule for need in ask.needs}
        same = [one for one in self.all if one.ask.call.fingerprint == ask.call.fingerprint]
        denied = [one for one in same if self.state(one, now_us) is State.DENIED]
        if denied:
            return "Denied", max(denied, key=lambda one: (one.until_us, one.id)).id
        approved = [
            one
            for one in same
            if self.state(one, now_us) is State.APPROVED and rules <= {need.rule for need in one.ask.needs}
        ]
        if approved:
            newest = max(approved, key=lambda one: (one.decided_us, one.id))
            newest.state, newest.use_id = "consumed", ask.use_id
            self.admitted += 1
            return "Used", newest.id
        pending = [one for one in self.all if self.state(one, now_us) is State.PENDING]
        for one in pending:
            if one in same:
                return "Waiting", one.id
        if sum(one.ask.call.grant == ask.call.grant for one in pending) >= self.per_grant:
            return "AtCapacity", None
        if len(pending) >= self.in_all:
            return "AtCapacity", None
        timeout_us = min(need.timeout_us for need in ask.needs)
        self.all.append(ModelApproval(ask.new_id, ask, "pending", now_us + timeout_us))
        return "Waiting", ask.new_id

    def answer(self, one: ModelApproval, name: str, groups: frozenset[str], verdict: Verdict, now_us: int) -> bool:
        """True if the answer is taken."""
        needs = one.ask.needs
        owner = one.ask.contents.evidence().owner
        fits = any(not need.approvers or groups & set(need.approvers) for need in needs)
        if self.state(one, now_us) is not State.PENDING or not fits or (owner is not None and owner.subject == name):
            return False
        one.answers[name] = verdict, groups
        if verdict is Verdict.DENY:
            one.state, one.decided_us = "denied", now_us
            one.until_us = now_us + min(need.timeout_us for need in needs)
        elif all(
            sum(1 for _, held in one.answers.values() if not need.approvers or held & set(need.approvers)) >= need.count
            for need in needs
        ):
            one.state, one.decided_us = "approved", now_us
            one.until_us = now_us + min(need.valid_us for need in needs)
        return True

    def restore(self, one: ModelApproval, use_id: str, now_us: int) -> bool:
        """True if this use can be given back or was found to be too late."""
        if one.state != "consumed" or one.use_id != use_id:
            return False
        if one.until_us > now_us:
            one.state, one.use_id = "approved", None
            self.given_back += 1
        return True

    def withdraw(self, one: ModelApproval, now_us: int) -> bool:
        """True if it can be withdrawn."""
        if self.state(one, now_us).value not in LIVE:
            return False
        one.state = "ended"
        return True

    def expire(self, now_us: int) -> None:
        """Writes that the time of some is over."""
        for one in self.all:
            if one.state in LIVE and one.until_us <= now_us:
                one.state = "expired"

    def end_of_policy(self, digest: str, now_us: int) -> None:
        """Ends pending approvals."""
        for one in self.all:
            if one.ask.call.policy_digest == digest and self.state(one, now_us) is State.PENDING:
                one.state = "ended"

    def end_of_grant(self, grant: str, now_us: int) -> None:
        """Ends all, for good."""
        for one in self.all:
            if one.ask.call.grant != grant:
                continue
            if self.state(one, now_us).value in LIVE:
                one.state = "ended"
            elif one.state == "consumed":
                one.until_us = 0
