"""Every table as lines of JSON, the same from either database, and back."""

import base64
from collections.abc import Iterable, Iterator
from typing import Any

import orjson
from sqlalchemy import JSON, Connection, LargeBinary, MetaData, Table, func, insert, select

NOT_KEPT = {"alembic_version", "workers"}  # where the schema stands is said apart; who works is no longer true
_AT_ONCE = 500


def tables(tx: Connection) -> list[Table]:
    """The tables that are kept, as the database has them, referenced ones first."""
    found = MetaData()
    found.reflect(tx)
    return [table for table in found.sorted_tables if table.name not in NOT_KEPT]


def lines(tx: Connection, table: Table) -> Iterator[bytes]:
    """A line a row."""
    binary = [column.name for column in table.columns if isinstance(column.type, LargeBinary)]
    for row in tx.execution_options(yield_per=_AT_ONCE).execute(select(table)).mappings():
        values = {str(name): value for name, value in row.items()}
        for name in binary:
            values[name] = None if values[name] is None else base64.b64encode(values[name]).decode()
        yield orjson.dumps(values) + b"\n"


def load(tx: Connection, table: Table, content: Iterable[bytes]) -> int:
    """Inserts the rows that `lines` gave; how many."""
    binary = [column.name for column in table.columns if isinstance(column.type, LargeBinary)]
    documents = [column.name for column in table.columns if isinstance(column.type, JSON) and column.nullable]
    total, batch = 0, list[dict[str, Any]]()
    for line in content:
        values = orjson.loads(line)
        for name in binary:
            values[name] = None if values[name] is None else base64.b64decode(values[name])
        batch.append(values)
        if len(batch) == _AT_ONCE:
            total += _insert(tx, table, documents, batch)
            batch = []
    return total + _insert(tx, table, documents, batch)


def is_empty(tx: Connection) -> bool:
    """Whether no table has a row; where the schema stands does not count."""
    found = MetaData()
    found.reflect(tx)
    kept = [table for table in found.sorted_tables if table.name != "alembic_version"]
    return not any(tx.execute(select(func.count()).select_from(table)).scalar_one() for table in kept)


def drop_all(tx: Connection) -> None:
    """Removes every table."""
    found = MetaData()
    found.reflect(tx)
    found.drop_all(tx)


def _insert(tx: Connection, table: Table, documents: list[str], rows: list[dict[str, Any]]) -> int:
    # A document that is absent is left out: its type would make the JSON null of it. Rows go in by what they lack.
    shapes: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for row in rows:
        given = {name: value for name, value in row.items() if value is not None or name not in documents}
        shapes.setdefault(tuple(given), []).append(given)
    for alike in shapes.values():
        tx.execute(insert(table), alike)
    return len(rows)
