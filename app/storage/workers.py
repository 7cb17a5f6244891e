"""Who works: one row a worker process, refreshed while it lives."""

from sqlalchemy import Connection, delete, func, select, update

from app.storage.database import MICROSECONDS, Clock, insert_ignore
from app.storage.tables import workers


def show_life(tx: Connection, worker: str, host: str, pid: int, concurrency: int) -> None:
    """The worker lives: from now on it is known, or known still."""
    values = {"host": host, "pid": pid, "concurrency": concurrency, "started_at": Clock(), "seen_at": Clock()}
    if not insert_ignore(tx, workers, {"id": worker, **values}):
        tx.execute(update(workers).where(workers.c.id == worker).values(seen_at=Clock()))


def forget(tx: Connection, worker: str) -> None:
    """A worker that has ended."""
    tx.execute(delete(workers).where(workers.c.id == worker))


def forget_silent(tx: Connection, silent_s: float) -> None:
    """Removes those that have given no sign for `silent_s` seconds."""
    tx.execute(delete(workers).where(workers.c.seen_at < Clock() - int(silent_s * MICROSECONDS)))


def count_alive(tx: Connection, within_s: float) -> int:
    """How many gave a sign within the last `within_s` seconds."""
    since = Clock() - int(within_s * MICROSECONDS)
    return tx.execute(select(func.count()).where(workers.c.seen_at >= since)).scalar_one()
