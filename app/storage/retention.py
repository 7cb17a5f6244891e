"""What may go with time: ended jobs, and datasets that nothing refers to. Versions never go by themselves."""

from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, delete, exists, select

from app.domain.jobs import ENDED
from app.storage import datasets as dataset_table
from app.storage.database import MICROSECONDS, Clock
from app.storage.tables import dataset_names, datasets, jobs, versions


def remove_ended_jobs(tx: Connection, age_s: float, limit: int) -> int:
    """Deletes at most `limit` jobs that ended more than `age_s` seconds ago, with all that is theirs; how many."""
    old = select(jobs.c.id).where(jobs.c.status.in_(ENDED), jobs.c.finished_at < _before(age_s))
    ids = list(tx.execute(old.limit(limit).with_for_update(skip_locked=True)).scalars())
    tx.execute(delete(jobs).where(jobs.c.id.in_(ids)))
    return len(ids)


def remove_unreferenced_datasets(tx: Connection, age_s: float, limit: int) -> int:
    """Deletes at most `limit` datasets last sent more than `age_s` seconds ago that nothing refers to; how many.

    A job that is kept, a version, and a name that leads to the dataset refer to it.
    """
    old = select(datasets.c.id).where(datasets.c.seen_at < _before(age_s), _unreferenced())
    locked = list(tx.execute(old.limit(limit).with_for_update(skip_locked=True, of=datasets)).scalars())
    # Whoever queues a job locks its dataset: now that we have the lock, a second look sees what came before it.
    still = select(datasets.c.id, datasets.c.key).where(datasets.c.id.in_(locked), _unreferenced())
    gone = [(row.id, row.key) for row in tx.execute(still)]
    for dataset_id, key in gone:
        dataset_table.remove(tx, dataset_id, key)
    return len(gone)


def _before(age_s: float) -> ColumnElement[int]:
    return Clock() - int(age_s * MICROSECONDS)


def _unreferenced() -> ColumnElement[bool]:
    newer = dataset_names.alias()
    surpassed = exists().where(newer.c.name == dataset_names.c.name, newer.c.named_at > dataset_names.c.named_at)
    references: list[Any] = [
        exists().where(jobs.c.dataset_id == datasets.c.id),
        exists().where(versions.c.dataset_id == datasets.c.id),
        exists().where(dataset_names.c.dataset_id == datasets.c.id, ~surpassed),
    ]
    return and_(*(~reference for reference in references))
