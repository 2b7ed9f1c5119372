"""Kinds of what arguments carry."""

from typing import Literal

Carried = Literal["command", "sql", "url", "path"]
