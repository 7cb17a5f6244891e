"""The ledger of files that no row names: not yet, or no more.

A key is announced here, and committed, before its file is written; the transaction that inserts the row which names the
file takes the key out again, and the one that deletes that row puts it back, doomed. So at every moment each file is
either named by a row or in this ledger, whatever is killed when. A key that is doomed can never be named any more: the
two transactions that could disagree meet at its row here. What is doomed is proved to be an orphan.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, delete, false, insert, select, true, update

from app.domain.errors import GivenUp
from app.storage.database import MICROSECONDS, Clock, Database, insert_ignore
from app.storage.tables import datasets, versions
from app.storage.tables import unnamed_files as ledger


def announce(database: Database, key: str) -> None:
    """Says that a file will be written under this key, which is new: keys are never used twice."""
    with database.write() as tx:
        tx.execute(insert(ledger).values(key=key, since=Clock(), doomed=False))


def announce_again(tx: Connection, key: str) -> None:
    """Says, for the first time or once more, that the file will be written, by the key's one writer.

    The caller knows that no row names it. One that is doomed stays so until it is gone.
    """
    if not insert_ignore(tx, ledger, {"key": key, "since": Clock(), "doomed": False}):
        tx.execute(update(ledger).where(ledger.c.key == key, ledger.c.doomed == false()).values(since=Clock()))


def name(tx: Connection, key: str) -> None:
    """From the end of this transaction on, a row names the file.

    Raises `GivenUp` when the key was not announced, or was doomed because its writer took longer than anyone waits.
    """
    if tx.execute(delete(ledger).where(ledger.c.key == key, ledger.c.doomed == false())).rowcount != 1:
        raise GivenUp("What was stored for this was given up, since it was not registered for too long.")


def release(tx: Connection, keys: Sequence[str]) -> None:
    """From the end of this transaction on, no row names these files; nor will one ever again."""
    if keys:
        tx.execute(insert(ledger).values(since=Clock(), doomed=True), [{"key": key} for key in keys])


def doom(tx: Connection, age_s: float, limit: int) -> list[str]:
    """Keys of files that may be removed once this transaction has committed.

    Those that were announced more than `age_s` seconds ago are doomed first; one that a transaction is naming at this
    moment is left alone.
    """
    late = select(ledger.c.key).where(ledger.c.doomed == false(), ledger.c.since < Clock() - int(age_s * MICROSECONDS))
    keys = list(tx.execute(late.limit(limit).with_for_update(skip_locked=True)).scalars())
    tx.execute(update(ledger).where(ledger.c.key.in_(keys)).values(doomed=True))
    return list(tx.execute(select(ledger.c.key).where(ledger.c.doomed == true()).limit(limit)).scalars())


def forget(tx: Connection, keys: Sequence[str]) -> None:
    """These files are gone."""
    tx.execute(delete(ledger).where(ledger.c.key.in_(keys), ledger.c.doomed == true()))


@dataclass(frozen=True)
class NamedFile:
    """A file that a row names: `what` says which row, in words; no `sha256` where it was not kept yet."""

    key: str
    sha256: str | None
    what: str


def named(tx: Connection) -> list[NamedFile]:
    """Every file that a row names, datasets first."""
    stored = select(datasets.c.id, datasets.c.key, datasets.c.file_sha256).order_by(datasets.c.id)
    found = [NamedFile(row.key, row.file_sha256, f"dataset {row.id}") for row in tx.execute(stored)]
    columns = (versions.c.model, versions.c.version, versions.c.artifact_key, versions.c.artifact_sha256)
    fitted = select(*columns).order_by(versions.c.model, versions.c.version)
    return found + [
        NamedFile(row.artifact_key, row.artifact_sha256, f"version {row.version} of model {row.model!r}")
        for row in tx.execute(fitted)
    ]


def is_named(tx: Connection, key: str) -> bool:
    """Whether a row names the file."""
    dataset = select(datasets.c.id).where(datasets.c.key == key)
    version = select(versions.c.model).where(versions.c.artifact_key == key)
    return any(tx.execute(row.limit(1)).first() is not None for row in (dataset, version))


def announced(tx: Connection) -> set[str]:
    """The keys in the ledger."""
    return set(tx.execute(select(ledger.c.key)).scalars())
