"""Backups, from either database into either; what the doctor finds."""

import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from sqlalchemy import select

from app.domain.errors import CannotStart
from app.services.backup import MANIFEST, backup, restore
from app.services.doctor import examine
from app.services.registry import RegistryService
from app.storage import files, jobs
from app.storage.artifacts import ArtifactStore
from app.storage.database import Database
from app.storage.migrate import upgrade
from app.storage.tables import metadata
from tests.app.services.stored import claimed, fitted, upload


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "backup"


@pytest.fixture(params=["sqlite", "postgresql"])
def empty(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Database, ArtifactStore]]:
    """Another installation, new, on either database."""
    url = f"sqlite:///{tmp_path / 'new.db'}"
    if request.param == "postgresql":
        url = request.getfixturevalue("another_postgres_url")
    database = Database(url)
    yield database, ArtifactStore(tmp_path / "new-artifacts")
    database.close()


def fill(database: Database, artifacts: ArtifactStore) -> None:
    """Datasets, versions with an alias, a running job with a checkpoint, and a file on its way."""
    geyser = upload(database, artifacts, 1, "geyser")
    upload(database, artifacts, 2, "geyser")
    for alias in (None, "champion", "champion"):
        fitted(database, artifacts, geyser, "m", alias)
    RegistryService(database, artifacts).delete_version("m", "1")
    running = claimed(database, geyser, "other")
    with database.write() as tx:
        assert jobs.keep_checkpoint(tx, running, bytes(range(256)))
    files.announce(database, "models/on-its-way.safetensors")


def rows(database: Database) -> dict[str, list[dict[str, Any]]]:
    with database.read() as tx:
        found = {
            table.name: [dict(row) for row in tx.execute(select(table)).mappings()] for table in metadata.sorted_tables
        }
    return {name: sorted(of, key=repr) for name, of in found.items() if name != "workers"}


def contents(artifacts: ArtifactStore) -> dict[str, bytes]:
    return {key: artifacts.path(key).read_bytes() for key in artifacts.all_keys()}


def test_a_backup_comes_back_whole_into_either_database(
    database: Database, artifacts: ArtifactStore, target: Path, empty: tuple[Database, ArtifactStore]
) -> None:
    fill(database, artifacts)
    summary = backup(database, artifacts, target)
    assert summary.damaged == []
    assert summary.files == 4
    assert restore(*empty, target) == summary
    assert rows(empty[0]) == rows(database)
    assert contents(empty[1]) == contents(artifacts)
    assert upgrade(empty[0]).current
    assert examine(*empty).damaged == []
    claim = None
    with empty[0].write() as tx:
        (waiting,) = [job for job in rows(empty[0])["jobs"] if job["status"] == "running"]
        assert jobs.expire_leases(tx, waiting["worker"]) == 1
        claim = jobs.claim(tx, "w", 15.0, 3)
    assert claim is not None
    fitted(empty[0], empty[1], claim.job.request["data"]["dataset"])
    assert RegistryService(*empty).version("m", "latest").version == 4


def test_a_backup_beside_writers_is_of_one_moment(
    database: Database, artifacts: ArtifactStore, target: Path, empty: tuple[Database, ArtifactStore]
) -> None:
    """Versions come and go all the time; what is restored has every file that it names, and no gap."""
    dataset = upload(database, artifacts)
    registry = RegistryService(database, artifacts)
    for _ in range(5):
        fitted(database, artifacts, dataset, alias="champion")
    done = threading.Event()
    faults: list[Exception] = []

    def work() -> None:
        number = 1
        try:
            while not done.wait(0.005):
                fitted(database, artifacts, dataset, alias="champion")
                registry.delete_version("m", str(number))
                number += 1
        except Exception as error:
            faults.append(error)

    writer = threading.Thread(target=work)
    writer.start()
    try:
        for i in range(3):
            backup(database, artifacts, target / str(i))
    finally:
        done.set()
        writer.join()
    assert faults == []
    restore(*empty, target / "2")
    found = rows(empty[0])
    versions = sorted(row["version"] for row in found["versions"])
    newest = versions[-1]
    assert versions in (list(range(newest - 4, newest + 1)), list(range(newest - 5, newest + 1)))
    assert found["models"][0]["last_version"] == newest
    assert [alias["version"] for alias in found["aliases"]] == [newest]
    assert examine(*empty).damaged == examine(*empty).unknown == []


def test_what_is_not_empty_is_not_overwritten(database: Database, artifacts: ArtifactStore, target: Path) -> None:
    fill(database, artifacts)
    backup(database, artifacts, target)
    before = rows(database), contents(artifacts)
    with pytest.raises(CannotStart, match="not an empty directory"):
        backup(database, artifacts, target)
    with pytest.raises(CannotStart, match="database is not empty"):
        restore(database, artifacts, target)
    assert (rows(database), contents(artifacts)) == before


def test_a_store_that_is_not_empty_is_refused(
    database: Database, artifacts: ArtifactStore, target: Path, tmp_path: Path
) -> None:
    backup(database, artifacts, target)
    artifacts.put("models/stranger", b"")
    with pytest.raises(CannotStart, match="artifact store is not empty"):
        restore(database, artifacts, target)
    shutil.rmtree(artifacts.root)
    restore(database, ArtifactStore(artifacts.root), target)  # a schema without rows is empty


@pytest.mark.parametrize("part", ["tables/jobs.jsonl", "files/datasets", "files/models"])
@pytest.mark.parametrize("fault", ["flipped", "gone"])
def test_a_damaged_backup_is_refused_before_anything_is_written(
    database: Database, artifacts: ArtifactStore, target: Path, tmp_path: Path, part: str, fault: str
) -> None:
    fill(database, artifacts)
    backup(database, artifacts, target)
    path = target / part
    path = next(path.iterdir()) if path.is_dir() else path
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content) if fault == "flipped" else path.unlink()
    new = Database(f"sqlite:///{tmp_path / 'new.db'}"), ArtifactStore(tmp_path / "new")
    with pytest.raises(CannotStart, match=path.name):
        restore(*new, target)
    assert contents(new[1]) == {}
    new[0].close()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"format": "other/1"}, "format 'other/1'"),
        ({"schema": "9999"}, "newer release"),
        ({"files": [{"key": "../../manifest.json", "sha256": "", "bytes": 1}]}, "outside of the backup"),
    ],
)
def test_a_backup_that_is_not_understood_is_refused(
    database: Database, artifacts: ArtifactStore, target: Path, change: dict[str, Any], said: str
) -> None:
    backup(database, artifacts, target)
    manifest = target / MANIFEST
    manifest.write_bytes(orjson.dumps(orjson.loads(manifest.read_bytes()) | change))
    with pytest.raises(CannotStart, match=said):
        restore(database, artifacts, target)
    manifest.unlink()
    with pytest.raises(CannotStart, match="no finished backup"):
        restore(database, artifacts, target)


def test_a_damaged_file_is_named_and_left_out(
    database: Database, artifacts: ArtifactStore, target: Path, empty: tuple[Database, ArtifactStore]
) -> None:
    fill(database, artifacts)
    version = RegistryService(database, artifacts).version("m", "2")
    artifacts.path(version.artifact.key).write_bytes(b"something else")
    (damage,) = examine(database, artifacts).damaged
    assert damage.startswith("version 2 of model 'm': models/")
    summary = backup(database, artifacts, target)
    assert len(summary.damaged) == 1
    assert restore(*empty, target).damaged == summary.damaged
    assert len(examine(*empty).damaged) == 1
    assert set(contents(empty[1])) == set(contents(artifacts)) - {version.artifact.key}


def test_the_doctor_names_what_is_gone_and_what_nobody_knows(database: Database, artifacts: ArtifactStore) -> None:
    fill(database, artifacts)
    assert examine(database, artifacts).damaged == []
    artifacts.put("models/on-its-way.safetensors", b"announced")
    artifacts.put("models/stranger.safetensors", b"")
    (lost, *_) = [key for key in artifacts.all_keys() if key.startswith("datasets/")]
    artifacts.delete(lost)
    found = examine(database, artifacts)
    assert [sentence.split(":")[1].strip() for sentence in found.damaged] == [lost]
    assert found.unknown == ["models/stranger.safetensors"]
