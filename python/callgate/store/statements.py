"""Statements that waiting calls run: built and compiled once, and on SQLite run by its driver.

SQLAlchemy takes ten times as long to run a short statement as SQLite does. Each statement still stands once, for both
databases. Callers are in a transaction of `database.py`, which translates the driver's errors too.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from sqlalchemy.engine import Connection, Dialect

_SQLITE: Final = "sqlite"


class Statement:
    """A statement with named parameters: texts, numbers and None, each for one value."""

    def __init__(self, core: Any) -> None:  # noqa: ANN401  a `Select`, `Insert` or `Update`, which share no public type
        """Takes the statement; it is compiled at its first use on SQLite."""
        self._core = core
        self._compiled: _Compiled | None = None

    def rows(self, connection: Connection, parameters: Mapping[str, Any]) -> Sequence[Any]:
        """The rows that it selects or returns."""
        if connection.dialect.name != _SQLITE:
            return connection.execute(self._core, parameters).all()
        compiled = self._compiled_for(connection.dialect)
        found = _driver(connection).execute(compiled.text, compiled.values(parameters)).fetchall()
        return [compiled.row(one) for one in found]

    def change(self, connection: Connection, parameters: Sequence[Mapping[str, Any]]) -> int:
        """Runs it once for each of these; the number of rows that changed."""
        if connection.dialect.name != _SQLITE:
            return connection.execute(self._core, parameters).rowcount
        compiled = self._compiled_for(connection.dialect)
        values = [compiled.values(one) for one in parameters]
        return int(_driver(connection).executemany(compiled.text, values).rowcount)

    def _compiled_for(self, dialect: Dialect) -> _Compiled:
        if self._compiled is None:
            self._compiled = _Compiled(self._core, dialect)
        return self._compiled


class _Compiled:
    """The text of a statement for SQLite, the order of its values, and the form of its rows."""

    def __init__(self, core: Any, dialect: Dialect) -> None:  # noqa: ANN401  as above
        compiled = core.compile(dialect=dialect)
        self.text = str(compiled)
        self._order: tuple[str, ...] = tuple(compiled.positiontup)
        self._constants = {name: bind.value for name, bind in compiled.binds.items() if not bind.required}
        columns = list(core.exported_columns)
        self._names = tuple(column.key for column in columns)
        readers = [column.type.dialect_impl(dialect).result_processor(dialect, None) for column in columns]
        self._readers: list[tuple[str, Callable[[Any], Any]]] = [
            (name, read) for name, read in zip(self._names, readers, strict=True) if read is not None
        ]

    def values(self, parameters: Mapping[str, Any]) -> list[Any]:
        given = {**self._constants, **parameters}
        return [given[name] for name in self._order]

    def row(self, found: Sequence[Any]) -> Any:  # noqa: ANN401  a row has its statement's columns
        fields = dict(zip(self._names, found, strict=True))
        for name, read in self._readers:
            fields[name] = read(fields[name])
        return SimpleNamespace(**fields)


def _driver(connection: Connection) -> Any:  # noqa: ANN401  SQLAlchemy has no type for it
    return connection.connection.driver_connection
