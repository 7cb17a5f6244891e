"""Each migration, on both databases: from the schema before it, with rows in every table."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import JSON, Boolean, Connection, Float, Integer, LargeBinary, MetaData, insert, select, text

from app.domain.errors import CannotStart
from app.storage.database import Database
from app.storage.migrate import migrate, upgrade
from app.storage.opening import check_schema, open_current, open_storage
from app.storage.tables import metadata


def revisions() -> list[str]:
    """All, oldest first."""
    import app.storage.migrate

    scripts = ScriptDirectory(str(Path(app.storage.migrate.__file__).parent / "migrations"))
    return [script.revision for script in scripts.walk_revisions()][::-1]


def reflected(tx: Connection) -> MetaData:
    found = MetaData()
    found.reflect(tx)
    return found


def fill(tx: Connection) -> None:
    """One row a table, with a value in every column that may have one; references lead somewhere."""
    rows: dict[str, dict[str, Any]] = {}
    for table in reflected(tx).sorted_tables:
        if table.name == "alembic_version":
            continue
        row: dict[str, Any] = {}
        for column in table.columns:
            match column.type:
                case JSON():
                    row[column.name] = {"kept": ["ü", 1.5, None]}
                case Boolean():
                    row[column.name] = True
                case Integer():
                    row[column.name] = 7
                case Float():
                    row[column.name] = 0.1
                case LargeBinary():
                    row[column.name] = bytes(range(256))
                case _:
                    row[column.name] = f"{column.name}-ü"
            for key in column.foreign_keys:
                row[column.name] = rows[key.column.table.name][key.column.name]
        tx.execute(insert(table).values(row))
        rows[table.name] = row


def contents(tx: Connection) -> dict[str, list[dict[str, Any]]]:
    tables = [table for table in reflected(tx).sorted_tables if table.name != "alembic_version"]
    return {table.name: [dict(row) for row in tx.execute(select(table)).mappings()] for table in tables}


def test_the_migrations_make_the_very_schema_of_the_tables(database: Database) -> None:
    with database.read() as tx:
        context = MigrationContext.configure(tx, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []


def test_upgrading_again_changes_nothing(database: Database) -> None:
    assert upgrade(database).current
    assert upgrade(database).current


@pytest.mark.parametrize(("before", "after"), list(pairwise(revisions())))
def test_a_migration_keeps_every_row(database_url: str, before: str, after: str) -> None:
    database = Database(database_url)
    with database.write() as tx:
        migrate(tx, before)
        fill(tx)
        old = contents(tx)
        assert all(len(rows) == 1 for rows in old.values())
    with database.write() as tx:
        migrate(tx, after)
        new = contents(tx)
    for name, rows in old.items():
        assert len(new[name]) == 1, name
        assert {column: new[name][0][column] for column in rows[0]} == rows[0], name
    database.close()


def test_the_first_schema_with_rows_comes_all_the_way(database_url: str) -> None:
    database = Database(database_url)
    with database.write() as tx:
        migrate(tx, revisions()[0])
        fill(tx)
    assert upgrade(database).found == revisions()[0]
    with database.read() as tx:
        (dataset,) = contents(tx)["datasets"]
        assert dataset["seen_at"] == dataset["created_at"]
        assert dataset["file_sha256"] is None
        assert compare_metadata(MigrationContext.configure(tx, opts={"compare_type": True}), metadata) == []
    database.close()


def test_a_schema_that_is_newer_is_refused_and_left_as_it_is(database_url: str, tmp_path: Path) -> None:
    database = Database(database_url)
    upgrade(database)
    with database.write() as tx:
        tx.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    for attempt in (open_storage, open_current):
        with pytest.raises(CannotStart, match="revision 9999, which this release does not know"):
            attempt(database_url, f"file://{tmp_path / 'artifacts'}")
    with database.read() as tx:
        assert tx.execute(text("SELECT version_num FROM alembic_version")).scalar_one() == "9999"
    database.close()


def test_a_schema_that_is_older_is_told(database_url: str, tmp_path: Path) -> None:
    database = Database(database_url)
    assert check_schema(database).found is None
    with database.write() as tx:
        migrate(tx, revisions()[0])
    schema = check_schema(database)
    assert (schema.found, schema.wanted, schema.current) == (revisions()[0], revisions()[-1], False)
    with pytest.raises(CannotStart, match="mixtura db upgrade"):
        open_current(database_url, f"file://{tmp_path / 'artifacts'}")
    database.close()
