"""callgate without the control plane's use of the store: the peer beside which its memory is measured."""

from __future__ import annotations

from callgate.cli import main
from callgate.control.plane import Plane


def _start_nothing(_plane: Plane) -> None:
    """Opens no store, so that nothing is imported for it."""


if __name__ == "__main__":
    setattr(Plane, "start", _start_nothing)  # noqa: B010  a type checker takes a method for fixed
    main()
