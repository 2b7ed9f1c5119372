"""The bound of a search: a number of steps, so that the same input always gives the same answer."""

from __future__ import annotations


class ExhaustedError(Exception):
    """The steps of a search are used up."""


class Budget:
    """The steps that are left."""

    def __init__(self, steps: int) -> None:
        """Allows so many steps."""
        self.left = steps

    def spend(self, steps: int = 1) -> None:
        """Takes steps.

        Raises:
            ExhaustedError: There are not so many.
        """
        self.left -= steps
        if self.left < 0:
            raise ExhaustedError
