"""The commands on what is stored, on both databases: what they say, and their exit status."""

from pathlib import Path

import pytest
from sqlalchemy import text
from typer.testing import CliRunner, Result

from app.cli import app as cli
from app.storage.artifacts import ArtifactStore
from app.storage.database import Database
from app.storage.migrate import migrate, upgrade
from tests.app.services.stored import fitted, upload


@pytest.fixture(autouse=True)
def installation(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MIXTURA_DATABASE_URL", database_url)
    monkeypatch.setenv("MIXTURA_DATA_DIR", str(tmp_path))


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli, arguments)


def execute(url: str, statement: str) -> None:
    database = Database(url)
    with database.write() as tx:
        tx.execute(text(statement))
    database.close()


@pytest.mark.parametrize("command", [["doctor"], ["backup"], ["restore"], ["db", "upgrade"], ["db", "check"]])
def test_help_teaches_by_example(command: list[str]) -> None:
    result = run(*command, "--help")
    assert result.exit_code == 0
    assert f"mixtura {' '.join(command)}" in result.stdout


def test_a_schema_is_checked_and_upgraded(database_url: str) -> None:
    assert run("db", "check").exit_code == 1
    database = Database(database_url)
    with database.write() as tx:
        migrate(tx, "0001")
    database.close()
    assert run("doctor").exit_code == 2
    assert "mixtura db upgrade" in run("doctor").stderr
    assert run("db", "check").stdout.startswith("schema: 0001, ")
    assert run("db", "upgrade").stdout.startswith("schema: 0001 → ")
    assert run("db", "check").exit_code == 0


@pytest.mark.parametrize(
    "command", [["db", "check"], ["db", "upgrade"], ["doctor"], ["serve", "--port", "0"], ["worker"]]
)
def test_a_newer_schema_stops_every_command(database_url: str, command: list[str]) -> None:
    assert run("db", "upgrade").exit_code == 0
    execute(database_url, "UPDATE alembic_version SET version_num = '9999'")
    result = run(*command)
    assert result.exit_code == 2
    assert "revision 9999, which this release does not know" in result.stderr


def test_backup_doctor_and_restore(database_url: str, tmp_path: Path) -> None:
    database, artifacts = Database(database_url), ArtifactStore(tmp_path / "artifacts")
    upgrade(database)
    for _ in range(2):
        fitted(database, artifacts, upload(database, artifacts))
    database.close()
    there = str(tmp_path / "backup")
    taken = run("backup", there)
    assert (taken.exit_code, taken.stdout.endswith(" rows, 3 files\n")) == (0, True), taken.output
    assert run("backup", there).exit_code == 2
    refused = run("restore", there)
    assert (refused.exit_code, "not empty" in refused.stderr) == (2, True)
    assert run("doctor").stdout == "3 files checked, 0 damaged\n"
    (damaged, _) = sorted(artifacts.path("models").iterdir())
    damaged.write_bytes(b"")
    found = run("doctor")
    assert found.exit_code == 1
    assert found.stdout.splitlines()[0].startswith("damaged: version 1 of model 'm': models/")
    assert run("backup", str(tmp_path / "second")).exit_code == 1


def test_a_restored_installation_is_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, database_url: str) -> None:
    database, artifacts = Database(database_url), ArtifactStore(tmp_path / "artifacts")
    upgrade(database)
    fitted(database, artifacts, upload(database, artifacts))
    database.close()
    assert run("backup", str(tmp_path / "backup")).exit_code == 0
    monkeypatch.delenv("MIXTURA_DATABASE_URL")
    data = ["--data-dir", str(tmp_path / "new")]
    restored = run("restore", str(tmp_path / "backup"), *data)
    assert restored.exit_code == 0, restored.output
    assert run("db", "check", *data).exit_code == 0
    assert run("doctor", *data).stdout == "2 files checked, 0 damaged\n"
