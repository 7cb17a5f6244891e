"""Opening what a process stands on when it starts: the database with its schema, and the files."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import ArgumentError, NoSuchModuleError

from app.domain.errors import CannotStart, NotReady
from app.storage.artifacts import ArtifactStore
from app.storage.database import Database
from app.storage.migrate import Schema, look, upgrade


def open_storage(database_url: str, artifacts_url: str) -> tuple[Database, ArtifactStore]:
    """Both, ready for use, the schema brought up to date; raises `CannotStart`."""
    database, artifacts = open_unchanged(database_url, artifacts_url)
    try:
        with _telling():
            upgrade(database)
    except CannotStart:
        database.close()
        raise
    return database, artifacts


def open_current(database_url: str, artifacts_url: str) -> tuple[Database, ArtifactStore]:
    """Both, the schema as it is; raises `CannotStart` when it is not this release's."""
    database, artifacts = open_unchanged(database_url, artifacts_url)
    try:
        schema = check_schema(database)
        if not schema.current:
            raise CannotStart(
                f"the database's schema is at revision {schema.found or 'none'}, this release needs {schema.wanted}: "
                "run `mixtura db upgrade`"
            )
    except CannotStart:
        database.close()
        raise
    return database, artifacts


def open_unchanged(database_url: str, artifacts_url: str) -> tuple[Database, ArtifactStore]:
    """Both, whatever the schema is; raises `CannotStart`."""
    with _telling():
        return Database(database_url), ArtifactStore.from_url(artifacts_url)


def check_schema(database: Database) -> Schema:
    """Where the schema stands; raises `CannotStart` when it is newer than this release, or cannot be asked."""
    with _telling(), database.read() as tx:
        return look(tx)


@contextmanager
def _telling() -> Iterator[None]:
    try:
        yield
    except (ArgumentError, NoSuchModuleError) as error:
        raise CannotStart("MIXTURA_DATABASE_URL is no URL of a database that is known here") from error
    except NotReady as error:
        raise CannotStart("the database at MIXTURA_DATABASE_URL does not answer") from error
    except OSError as error:
        raise CannotStart(f"{error.filename}: {error.strerror}") from error
    except ValueError as error:
        raise CannotStart(str(error)) from error
