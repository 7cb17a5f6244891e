"""The step to versions that tell where they come from, from a schema with data in it."""

from collections.abc import Iterator

import pytest
import sqlalchemy as sa
from alembic import command

from app.domain.ids import new_id
from app.storage import registry
from app.storage.database import Database
from app.storage.migrate import configuration, upgrade

DATASET = {"n_rows": 1, "n_features": 1, "n_missing": 0, "dtype": "float64", "bytes": 1, "created_at": 1, "key": "k"}
DATASET |= {"feature_names": "[]", "summary": "[]", "categories": "{}", "identity": "i", "sha256": "a" * 64}
VERSION = {
    "model": "m",
    "algorithm": "kmeans",
    "params": "{}",
    "feature_names": '["x0"]',
    "n_samples": 1,
    "metrics": "{}",
}
VERSION |= {"anomaly": "{}", "preprocess": "{}", "artifact_key": "k", "artifact_sha256": "b" * 64, "tags": "{}"}
VERSION |= {"artifact_bytes": 1, "created_at": 1}


@pytest.fixture
def before(database_url: str) -> Iterator[Database]:
    """A database with the schema of the first release."""
    database = Database(database_url)
    with database.write() as tx:
        command.upgrade(configuration(tx), "0001")
    yield database
    database.close()


def insert(tx: sa.Connection, table: str, **row: object) -> None:
    names, places = ", ".join(f'"{name}"' for name in row), ", ".join(f":{name}" for name in row)
    tx.execute(sa.text(f"INSERT INTO {table} ({names}) VALUES ({places})"), row)


def test_versions_of_before_tell_their_dataset_where_it_is_still_there(before: Database) -> None:
    there, gone = new_id(), new_id()
    with before.write() as tx:
        insert(tx, "datasets", id=there, **DATASET)
        insert(tx, "models", name="m", id=new_id(), tags="{}", last_version=3, revision=1, created_at=1, updated_at=1)
        for number, dataset in enumerate([there, gone, None], start=1):
            insert(tx, "versions", version=number, dataset_id=dataset, **VERSION)
        insert(tx, "idempotency_keys", scope="POST /v1/fits", key="k", fingerprint="f", created_at=1)
    upgrade(before)
    with before.read() as tx:
        found = [registry.version(tx, "m", number) for number in (1, 2, 3)]
        kept = tx.execute(sa.text("SELECT scope, key, fingerprint FROM idempotency_keys")).one()
    told = {"origin": "fit", "dataset": {"id": there, "sha256": "a" * 64}}
    assert [version.lineage if version else "lost" for version in found] == [told, None, None]
    assert tuple(kept) == ("POST /v1/fits", "k", "f")
    with before.write() as tx:
        insert(tx, "idempotency_keys", scope="s" * 128, key="k", fingerprint="f", created_at=1)
