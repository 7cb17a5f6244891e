"""Retention and the janitor, on both databases: what may go goes, and nothing else, whoever writes meanwhile."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from typing import TypeVar

import pytest
from sqlalchemy import Connection, select, update

from app.domain.errors import NotReady
from app.domain.fits import DataRef, FitRequest
from app.domain.ids import new_id
from app.domain.registry import ArtifactRef
from app.services.registry import RegistryService
from app.services.settlement import SettlementService
from app.services.upkeep import DAY_S, UpkeepService
from app.storage import datasets as dataset_table
from app.storage import files, retention
from app.storage import jobs as job_table
from app.storage.artifacts import ArtifactStore
from app.storage.database import MICROSECONDS, Clock, Database
from app.storage.tables import datasets, job_events, jobs, metadata, unnamed_files, versions
from tests.app.services.stored import cancelled, claimed, fitted, outcome, upload

NOW, HOUR = -1.0, 3600.0  # before NOW is even what was announced this very moment

T = TypeVar("T")


@pytest.fixture
def upkeep(database: Database, artifacts: ArtifactStore) -> UpkeepService:
    return UpkeepService(database, artifacts, retention_days=30, lease_s=15)


def ledger(database: Database) -> dict[str, bool]:
    with database.read() as tx:
        return {row.key: row.doomed for row in tx.execute(select(unnamed_files))}


def named(database: Database) -> dict[str, str]:
    """The files that rows name, and the checksums that they are to have."""
    with database.read() as tx:
        found = {row.key: row.file_sha256 for row in tx.execute(select(datasets))}
        return found | {row.artifact_key: row.artifact_sha256 for row in tx.execute(select(versions))}


def in_transaction(database: Database, act: Callable[[Connection], T]) -> T:
    with database.write() as tx:
        return act(tx)


def check_files(database: Database, artifacts: ArtifactStore) -> None:
    """Every file is named by a row, and every row's file is what was written."""
    rows = named(database)
    assert set(artifacts.all_keys()) == set(rows)
    for key, sha256 in rows.items():
        artifacts.verify(ArtifactRef(key, sha256, 0))


# The janitor


def test_a_file_whose_writer_was_killed_goes_when_it_is_old(
    database: Database, artifacts: ArtifactStore, upkeep: UpkeepService
) -> None:
    fitted(database, artifacts, upload(database, artifacts))
    files.announce(database, "models/lost.safetensors")
    artifacts.put("models/lost.safetensors", b"written, never registered")
    files.announce(database, "models/half.safetensors")
    half = artifacts.path("models/.new-half.safetensors")
    half.write_bytes(b"writ")
    files.announce(database, "models/never.safetensors")
    assert upkeep.sweep(HOUR) == 0
    assert artifacts.path("models/lost.safetensors").exists()
    assert upkeep.sweep(NOW) == 3
    assert not half.exists()
    assert ledger(database) == {}
    check_files(database, artifacts)


def test_what_is_registered_is_in_the_ledger_no_more(database: Database, artifacts: ArtifactStore) -> None:
    fitted(database, artifacts, upload(database, artifacts))
    assert ledger(database) == {}
    check_files(database, artifacts)


def test_a_file_that_the_ledger_does_not_know_is_left_alone(
    database: Database, artifacts: ArtifactStore, upkeep: UpkeepService
) -> None:
    artifacts.put("models/of-another-database.safetensors", b"")
    assert upkeep.sweep(NOW) == 0
    assert list(artifacts.all_keys()) == ["models/of-another-database.safetensors"]


def test_what_is_deleted_loses_its_file_even_when_the_deleter_is_killed(
    database: Database, artifacts: ArtifactStore, upkeep: UpkeepService, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = upload(database, artifacts)
    for model in ("a", "a", "b"):
        fitted(database, artifacts, dataset, model)
    service = RegistryService(database, artifacts)
    with monkeypatch.context() as killed:
        killed.setattr(ArtifactStore, "delete", lambda *_: None)
        service.delete_version("a", "1")
        service.delete_model("b", None)
    assert list(ledger(database).values()) == [True, True]
    assert upkeep.sweep(HOUR) == 2, "nobody waits for what a row named once"
    assert service.version("a", "latest").version == 2
    check_files(database, artifacts)


def test_a_file_that_a_transaction_is_naming_is_left_alone(database: Database) -> None:
    files.announce(database, "k")
    with ThreadPoolExecutor(1) as other:
        with database.write() as naming:
            files.name(naming, "k")
            doomed = other.submit(in_transaction, database, lambda tx: files.doom(tx, NOW, 10))
            wait([doomed], 0.1)
        assert doomed.result() == []
    assert ledger(database) == {}


def test_a_writer_that_comes_too_late_is_refused(database: Database) -> None:
    files.announce(database, "k")
    refused: list[str] = []

    def name() -> None:
        try:
            with database.write() as tx:
                files.name(tx, "k")
        except NotReady as error:
            refused.append(error.detail)

    writer = threading.Thread(target=name)
    with database.write() as janitor:
        assert files.doom(janitor, NOW, 10) == ["k"]
        writer.start()
        writer.join(0.2)
        assert writer.is_alive(), "it waits for the janitor's decision"
    writer.join()
    assert len(refused) == 1
    with database.write() as tx:
        files.forget(tx, ["k"])
    name()
    assert len(refused) == 2, "nor can it be named when the ledger has forgotten it"


@pytest.mark.parametrize("swept", ["before it was written", "after it was written"])
def test_a_suspended_settle_changes_nothing_when_its_file_was_swept(
    database: Database, artifacts: ArtifactStore, upkeep: UpkeepService, monkeypatch: pytest.MonkeyPatch, swept: str
) -> None:
    claim = claimed(database, upload(database, artifacts))
    put = ArtifactStore.put

    def put_and_sleep(store: ArtifactStore, key: str, content: bytes) -> ArtifactRef:
        if swept == "before it was written":
            upkeep.sweep(NOW)
            return put(store, key, content)
        ref = put(store, key, content)
        upkeep.sweep(NOW)
        return ref

    monkeypatch.setattr(ArtifactStore, "put", put_and_sleep)
    with pytest.raises(NotReady):
        SettlementService(database, artifacts).succeed(claim, outcome(), {})
    with database.read() as tx:
        assert tx.execute(select(jobs.c.status)).scalars().all() == ["running"]
        assert tx.execute(select(versions)).all() == []
    check_files(database, artifacts)


def test_a_commit_whose_answer_is_lost_keeps_its_file(
    database: Database, artifacts: ArtifactStore, upkeep: UpkeepService, monkeypatch: pytest.MonkeyPatch
) -> None:
    claim = claimed(database, upload(database, artifacts))
    write = database.write

    @contextmanager
    def write_and_lose() -> Iterator[Connection]:
        with write() as tx:
            yield tx
        if list(artifacts.path("models").glob("*")):
            raise NotReady("The connection broke after COMMIT.")

    with monkeypatch.context() as broken:
        broken.setattr(database, "write", write_and_lose)
        with pytest.raises(NotReady):
            SettlementService(database, artifacts).succeed(claim, outcome(), {})
    upkeep.sweep(NOW)
    assert len(named(database)) == 2
    check_files(database, artifacts)


def test_a_janitor_without_patience_never_takes_what_is_named(
    database: Database, artifacts: ArtifactStore, upkeep: UpkeepService
) -> None:
    """Uploads and settles race a janitor that dooms at once: some are refused, none is left without its file."""
    base = upload(database, artifacts)
    claims = [claimed(database, base) for _ in range(15)]
    settlement = SettlementService(database, artifacts)
    done = threading.Event()

    def sweep() -> None:
        while not done.is_set():
            upkeep.sweep(NOW)
            done.wait(0.003)

    def tried(i: int) -> bool:
        try:
            if i % 2:
                upload(database, artifacts, seed=i)
            else:
                assert settlement.succeed(claims[i // 2], outcome(), {})
            return True
        except NotReady:
            return False

    janitor = threading.Thread(target=sweep)
    janitor.start()
    with ThreadPoolExecutor(4) as pool:
        stored = sum(pool.map(tried, range(30)))
    done.set()
    janitor.join()
    upkeep.sweep(NOW)
    assert len(named(database)) == 1 + stored
    check_files(database, artifacts)


# Retention


def age(database: Database, days: float) -> None:
    """Lets that many days pass for jobs and datasets."""
    passed = int(days * DAY_S * MICROSECONDS)
    with database.write() as tx:
        tx.execute(update(jobs).values(finished_at=jobs.c.finished_at - passed))
        tx.execute(update(datasets).values(seen_at=datasets.c.seen_at - passed))


def kept(database: Database) -> tuple[set[str], set[str]]:
    """The ids of jobs and of datasets."""
    with database.read() as tx:
        return set(tx.execute(select(jobs.c.id)).scalars()), set(tx.execute(select(datasets.c.id)).scalars())


def test_ended_jobs_go_with_their_events_and_versions_stay(
    database: Database, artifacts: ArtifactStore, upkeep: UpkeepService
) -> None:
    used, unused = upload(database, artifacts, 1), upload(database, artifacts, 2)
    fitted(database, artifacts, used, alias="champion")
    cancelled(database, unused)
    running = claimed(database, upload(database, artifacts, 3))
    age(database, 29.9)
    assert upkeep.run() == upkeep.run()
    assert len(kept(database)[0]) == 3
    age(database, 0.2)
    fresh = cancelled(database, upload(database, artifacts, 4))
    removed = upkeep.run()
    assert (removed.jobs, removed.datasets, removed.files) == (2, 1, 1)
    ids, stored = kept(database)
    assert ids == {running.job.id, fresh}
    assert used in stored, "a version was made of it"
    assert unused not in stored
    with database.read() as tx:
        assert set(tx.execute(select(job_events.c.job_id)).scalars()) <= ids
    version = RegistryService(database, artifacts).version("m", "champion")
    assert (version.version, version.dataset) == (1, used)
    check_files(database, artifacts)


def test_a_name_keeps_its_dataset_until_it_means_another(
    database: Database, artifacts: ArtifactStore, upkeep: UpkeepService
) -> None:
    first = upload(database, artifacts, 1, "geyser")
    age(database, 31)
    assert upkeep.run().datasets == 0
    second = upload(database, artifacts, 2, "geyser")
    assert upkeep.run().datasets == 1
    assert kept(database)[1] == {second}
    assert first != second


def test_bytes_that_were_sent_again_count_as_new(
    database: Database, artifacts: ArtifactStore, upkeep: UpkeepService
) -> None:
    dataset = upload(database, artifacts)
    age(database, 31)
    assert upload(database, artifacts) == dataset
    assert upkeep.run().datasets == 0
    age(database, 31)
    assert upkeep.run().datasets == 1


def test_a_dataset_that_a_job_is_being_queued_for_stays(database: Database, artifacts: ArtifactStore) -> None:
    dataset = upload(database, artifacts)
    age(database, 31)

    def remove(tx: Connection) -> int:
        return retention.remove_unreferenced_datasets(tx, 30 * DAY_S, 10)

    with ThreadPoolExecutor(1) as other:
        with database.write() as queueing:
            assert dataset_table.find(queueing, dataset, lock=True) is not None
            removed = other.submit(in_transaction, database, remove)
            wait([removed], 0.1)
            job_table.add(queueing, new_id(), "fit", FitRequest("m", "kmeans", DataRef(dataset)))
        assert removed.result() == 0
    with database.write() as tx:
        assert remove(tx) == 0
    assert kept(database)[1] == {dataset}


def test_more_than_one_batch_goes(database: Database, artifacts: ArtifactStore) -> None:
    dataset = upload(database, artifacts)
    for _ in range(5):
        cancelled(database, dataset)
    age(database, 31)
    for expected in (2, 2, 1, 0):
        with database.write() as tx:
            assert retention.remove_ended_jobs(tx, 30 * DAY_S, 2) == expected


def test_whatever_belongs_to_a_job_goes_with_it() -> None:
    for table in metadata.sorted_tables:
        if "job_id" in table.c and table.name != "versions":
            (key,) = table.c.job_id.foreign_keys
            assert (key.column, key.ondelete) == (jobs.c.id, "CASCADE"), table.name


def test_the_ledger_keeps_time_by_the_database(database: Database) -> None:
    files.announce(database, "k")
    with database.write() as tx:
        tx.execute(update(unnamed_files).values(since=Clock() - 2 * MICROSECONDS))
        assert files.doom(tx, 3.0, 10) == []
        assert files.doom(tx, 1.0, 10) == ["k"]
