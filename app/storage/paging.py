"""Pages by key: a cursor names the last item seen, so pages stay whole while rows are inserted."""

from collections.abc import Callable
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, Connection, Row, Select

from app.domain.paging import Page, PageRequest

T = TypeVar("T")


def newest_first(
    tx: Connection,
    query: Select[Any],
    key: ColumnElement[Any],
    request: PageRequest,
    read: Callable[[Row[Any]], T],
    parse: Callable[[str], Any] = str,
) -> Page[T]:
    """One page of `query`, by falling `key`; `parse` turns the cursor's text into the key's type."""
    if request.cursor is not None:
        query = query.where(key < parse(request.cursor))
    query = query.add_columns(key.label("page_key")).order_by(key.desc()).limit(request.limit + 1)
    rows = tx.execute(query).all()
    shown = rows[: request.limit]
    more = len(rows) > request.limit
    return Page([read(row) for row in shown], str(shown[-1].page_key) if more else None)
