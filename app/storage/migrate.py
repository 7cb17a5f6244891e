"""The schema's revision: bringing it up to date, one process at a time, and telling where it stands."""

from dataclasses import dataclass
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

from app.domain.errors import CannotStart
from app.storage.database import Database

_LOCK = 0x4D495854  # "MIXT": the advisory lock's number
_MIGRATIONS = Path(__file__).parent / "migrations"


@dataclass(frozen=True)
class Schema:
    """`found` is the database's revision, None while it is empty; `wanted` is this release's."""

    found: str | None
    wanted: str

    @property
    def current(self) -> bool:
        return self.found == self.wanted


def upgrade(database: Database) -> Schema:
    """Runs the migrations that are missing, all in one transaction under a lock; where the schema stood before.

    Raises `CannotStart` when the schema is newer than this release, and changes nothing then.
    """
    with database.write() as tx:  # on SQLite BEGIN IMMEDIATE is the lock
        if tx.dialect.name == "postgresql":
            tx.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
        schema = look(tx)
        if not schema.current:
            migrate(tx, schema.wanted)
        return schema


def look(tx: Connection) -> Schema:
    """Where the schema stands; raises `CannotStart` when it is newer than this release."""
    wanted = ScriptDirectory(str(_MIGRATIONS)).get_current_head()
    assert wanted is not None
    found = MigrationContext.configure(tx).get_current_revision()
    if found is not None and not knows(found):
        raise CannotStart(
            f"the database's schema is at revision {found}, which this release does not know (its own is {wanted}): a "
            "newer release has upgraded it. Run that release, or restore a backup made before the upgrade"
        )
    return Schema(found, wanted)


def migrate(tx: Connection, revision: str) -> None:
    """Takes the schema up to a revision."""
    command.upgrade(configuration(tx), revision)


def configuration(connection: Connection) -> Config:
    """Alembic's configuration over an open connection; no ini file."""
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config


def knows(revision: str) -> bool:
    """Whether this release has a schema of this revision."""
    return revision in {script.revision for script in ScriptDirectory(str(_MIGRATIONS)).walk_revisions()}
