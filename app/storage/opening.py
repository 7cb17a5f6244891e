"""Opening what a process stands on when it starts: the database with its schema, and the files."""

from sqlalchemy.exc import ArgumentError, NoSuchModuleError

from app.domain.errors import CannotStart, NotReady
from app.storage.artifacts import ArtifactStore
from app.storage.database import Database
from app.storage.migrate import upgrade


def open_storage(database_url: str, artifacts_url: str) -> tuple[Database, ArtifactStore]:
    """Both, ready for use; raises `CannotStart`."""
    try:
        artifacts = ArtifactStore.from_url(artifacts_url)
        database = Database(database_url)
        upgrade(database)
    except (ArgumentError, NoSuchModuleError) as error:
        raise CannotStart("MIXTURA_DATABASE_URL is no URL of a database that is known here") from error
    except NotReady as error:
        raise CannotStart("the database at MIXTURA_DATABASE_URL does not answer") from error
    except OSError as error:
        raise CannotStart(f"{error.filename}: {error.strerror}") from error
    except ValueError as error:
        raise CannotStart(str(error)) from error
    return database, artifacts
