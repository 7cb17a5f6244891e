"""The table of datasets and of their names."""

from typing import Any

from sqlalchemy import Connection, Row, Select, delete, or_, select, update

from app.domain.datasets import Dataset
from app.domain.paging import Page, PageRequest
from app.storage import files
from app.storage.database import Clock, insert_ignore, moment
from app.storage.paging import newest_first
from app.storage.tables import dataset_names, datasets


def add(tx: Connection, dataset: dict[str, Any]) -> bool:
    """Inserts the dataset, whose file was announced, unless one of the same identity is there; tells whether it did."""
    added = insert_ignore(tx, datasets, dataset | {"created_at": Clock(), "seen_at": Clock()})
    if added:
        files.name(tx, dataset["key"])
    return added


def sent_again(tx: Connection, dataset_id: str) -> None:
    """The same bytes came once more: from now on the dataset counts as new."""
    tx.execute(update(datasets).where(datasets.c.id == dataset_id).values(seen_at=Clock()))


def rewritten(tx: Connection, dataset_id: str, file_sha256: str) -> None:
    """The dataset's file was lost and is there again."""
    tx.execute(update(datasets).where(datasets.c.id == dataset_id).values(file_sha256=file_sha256))


def name(tx: Connection, dataset_id: str, given: str) -> None:
    """Gives the dataset a name, which from now on means this one."""
    named = {"name": given, "dataset_id": dataset_id, "named_at": Clock()}
    if not insert_ignore(tx, dataset_names, named):
        here = (dataset_names.c.name == given, dataset_names.c.dataset_id == dataset_id)
        tx.execute(update(dataset_names).where(*here).values(named_at=Clock()))


def by_identity(tx: Connection, identity: str, *, lock: bool = False) -> Dataset | None:
    """The dataset of these very bytes, or None; `lock` as for `find`."""
    query = _query().where(datasets.c.identity == identity)
    return _one(tx, query.with_for_update(of=datasets) if lock else query)


def find(tx: Connection, reference: str, *, lock: bool = False) -> Dataset | None:
    """The dataset of this id, or the newest that was given this name; None when there is neither.

    With `lock` it cannot be deleted before the transaction ends.
    """
    named = (
        select(dataset_names.c.dataset_id)
        .where(dataset_names.c.name == reference)
        .order_by(dataset_names.c.named_at.desc(), dataset_names.c.dataset_id.desc())
        .limit(1)
        .scalar_subquery()
    )
    query = _query().where(or_(datasets.c.id == reference, datasets.c.id == named))
    query = query.order_by((datasets.c.id == reference).desc()).limit(1)
    return _one(tx, query.with_for_update(of=datasets) if lock else query)


def page(tx: Connection, request: PageRequest) -> Page[Dataset]:
    """Datasets, newest first."""
    return newest_first(tx, _query(), datasets.c.id, request, _dataset)


def remove(tx: Connection, dataset_id: str, key: str) -> None:
    """Deletes the row; its file goes after the transaction, by the caller or the janitor."""
    tx.execute(delete(datasets).where(datasets.c.id == dataset_id))
    files.release(tx, [key])


def _query() -> Select[Any]:
    newest = (
        select(dataset_names.c.name)
        .where(dataset_names.c.dataset_id == datasets.c.id)
        .order_by(dataset_names.c.named_at.desc(), dataset_names.c.name)
        .limit(1)
        .scalar_subquery()
    )
    return select(datasets, newest.label("name"))


def _one(tx: Connection, query: Select[Any]) -> Dataset | None:
    row = tx.execute(query).one_or_none()
    return None if row is None else _dataset(row)


def _dataset(row: Row[Any]) -> Dataset:
    return Dataset(
        id=row.id,
        name=row.name,
        n_rows=row.n_rows,
        n_features=row.n_features,
        feature_names=row.feature_names,
        n_missing=row.n_missing,
        dtype=row.dtype,
        bytes=row.bytes,
        sha256=row.sha256,
        summary=row.summary,
        categories=row.categories,
        key=row.key,
        file_sha256=row.file_sha256,
        created_at=moment(row.created_at),
    )
