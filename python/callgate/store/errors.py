"""The exceptions of the store."""

from __future__ import annotations

from callgate.errors import CallgateError, StoreError


class StoreBusyError(StoreError):
    """Another writer holds the store for too long; a later attempt may succeed."""


class StoreFullError(StoreError):
    """No space is left for the store."""


class StoreGoneError(StoreError):
    """The store cannot be reached: its file was removed or replaced, or the database does not answer."""


class StoreDamagedError(StoreError):
    """The file or database in the place of the store is damaged, or something else."""


class StoreVersionError(StoreError):
    """The store was written by a newer callgate, or has to be migrated first."""


class StoreUnsafeError(StoreError):
    """Others than this user and root could have written the store's file."""


class UnknownIdError(CallgateError):
    """The store has nothing of this id."""


class UnreadableError(CallgateError):
    """The contents of a call cannot be read."""


class StateError(CallgateError):
    """The change is not possible in the present state.

    Attributes:
        state: The present state.
    """

    def __init__(self, noun: str, name: str, state: str, change: str) -> None:
        """Takes the kind of thing, its id, its state, and the refused change."""
        super().__init__(f"the {noun} `{name}` is {state}, so that {change}")
        self.state = state


class AnswerError(CallgateError):
    """This person may not give this answer."""


class AnswererError(AnswerError):
    """This person may not answer this approval, whatever the answer is."""


class PasskeyNeededError(AnswererError):
    """Approving this takes a passkey, and none has answered."""


class ReasonError(AnswerError):
    """The answer needs a reason."""


class ConflictError(CallgateError):
    """Another change of the same thing came after it was read, or another thing has the same id.

    Attributes:
        version: The version that is in force now; 0 if there is none.
    """

    def __init__(self, message: str, version: int) -> None:
        """Takes the message and the version in force."""
        super().__init__(message)
        self.version = version
