"""Brings the schema up to date when a process starts, one process at a time."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, text

from app.storage.database import Database

_LOCK = 0x4D495854  # "MIXT": the advisory lock's number


def upgrade(database: Database) -> None:
    """Runs the migrations that are missing, all in one transaction under a lock."""
    with database.write() as tx:  # on SQLite BEGIN IMMEDIATE is the lock
        if tx.dialect.name == "postgresql":
            tx.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
        command.upgrade(configuration(tx), "head")


def configuration(connection: Connection) -> Config:
    """Alembic's configuration over an open connection; no ini file."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config
