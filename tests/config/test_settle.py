"""As many documents of the store as possible are served, whatever the faults of the others are."""

from __future__ import annotations

import pytest

from callgate.config.faults import Fault
from callgate.config.managed import DocumentsError, ManagedDocument, settle
from callgate.errors import CallgateError, ConfigError


def of(*names: str) -> tuple[ManagedDocument, ...]:
    """Documents such as `a1`: the id and the version."""
    return tuple(ManagedDocument("servers", name[0], int(name[1]), "{}") for name in names)


class Judge:
    """Serves documents, unless one of these is among them or one that another needs is not."""

    def __init__(self, *bad: str, needs: dict[str, str] | None = None, names_them: bool = False) -> None:
        self.bad, self.needs, self.names_them = set(bad), needs or {}, names_them
        self.served: set[str] = set()

    def __call__(self, documents: tuple[ManagedDocument, ...]) -> None:
        names = {f"{one.id}{one.version}" for one in documents}
        for name, other in self.needs.items():
            if name in names and other not in names:
                raise ConfigError(f"{name} needs {other}")
        for name in names & self.bad:
            if self.names_them:
                document = f"store:servers/{name[0]}.json"
                raise DocumentsError([Fault("bad", document)], [document])
            raise ConfigError("something is bad")
        self.served = names


@pytest.mark.parametrize("names_them", [True, False])
@pytest.mark.parametrize(
    ("newest", "before", "served"),
    [
        (["a1", "b1"], [], ["a1", "b1"]),
        (["a1", "x1", "b1"], [], ["a1", "b1"]),
        (["a2", "x2", "b2"], ["a1", "x0", "b1"], ["a2", "x0", "b2"]),
        (["x1"], ["a1"], []),
        (["a1", "x1", "y1"], ["b1"], ["a1"]),
    ],
)
def test_what_can_be_served_is(newest: list[str], before: list[str], served: list[str], names_them: bool) -> None:
    judge = Judge("x1", "x2", "y1", names_them=names_them)
    some, errors = settle(of(*newest), of(*before), judge)
    assert {f"{one.id}{one.version}" for one in some} == set(served) == judge.served
    assert bool(errors) == (len(served) < len(newest) or "x2" in newest)
    assert all("store:servers/" in text_of(error) for error in errors)


def text_of(error: CallgateError) -> str:
    return (
        "; ".join(fault.file for fault in error.faults if fault.file)
        if isinstance(error, DocumentsError)
        else str(error)
    )


def test_one_that_needs_another_is_served_with_it() -> None:
    judge = Judge("x1", needs={"a1": "b1", "b1": "c1"})
    some, [error] = settle(of("a1", "x1", "b1", "c1"), (), judge)
    assert len(some) == 3
    assert str(error) == "store:servers/x.json: something is bad"
    # And one that is needed stays as long as the other cannot change.
    judge = Judge("a2", "x1", needs={"a1": "b1"})
    some, errors = settle(of("a2", "x1"), of("a1", "b1"), judge)
    assert {f"{one.id}{one.version}" for one in some} == {"a1", "b1"}
    assert len(errors) == 3
