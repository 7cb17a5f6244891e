"""One database, SQLite or PostgreSQL, behind the same two doors: a transaction that reads, one that writes."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
from sqlalchemy import BigInteger, Connection, Table, create_engine, event, make_url, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Engine
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

from app.domain.errors import NotReady

MICROSECONDS = 1_000_000


class Clock(FunctionElement[int]):
    """The database's own time, in microseconds since 1970: leases never ask a worker's clock."""

    type = BigInteger()
    inherit_cache = True


@compiles(Clock, "postgresql")
def _clock_postgresql(element: Clock, compiler: SQLCompiler, **options: Any) -> str:
    return "(extract(epoch from clock_timestamp()) * 1000000)::bigint"


@compiles(Clock, "sqlite")
def _clock_sqlite(element: Clock, compiler: SQLCompiler, **options: Any) -> str:
    # julianday has a resolution below a millisecond at today's dates; strftime('%f') stops at one.
    return "CAST((julianday('now') - 2440587.5) * 86400000000.0 AS INTEGER)"


def moment(microseconds: int) -> datetime:
    """A stored time as an aware datetime in UTC."""
    return datetime.fromtimestamp(microseconds / MICROSECONDS, UTC)


def maybe_moment(microseconds: int | None) -> datetime | None:
    """`moment`, None for None."""
    return None if microseconds is None else moment(microseconds)


class Database:
    """An engine with this house's manners."""

    def __init__(self, url: str) -> None:
        self.url = make_url(url)
        self.engine = _engine(url)

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A transaction that sees one state and changes nothing; raises `NotReady` when the database is away."""
        with _answering(), self.engine.connect() as connection, connection.begin():
            yield connection

    @contextmanager
    def snapshot(self) -> Iterator[Connection]:
        """A transaction whose every statement sees the state of its beginning; raises `NotReady`."""
        levels = {"isolation_level": "REPEATABLE READ"} if self.engine.dialect.name == "postgresql" else {}
        with _answering(), self.engine.connect().execution_options(**levels) as connection, connection.begin():
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction that commits at its end, or not at all; raises `NotReady` when the database is away.

        On SQLite it takes the write lock at once: a read that turns into a write could otherwise fail half-way.
        """
        immediate = {"immediate": True}
        with _answering(), self.engine.connect().execution_options(**immediate) as connection, connection.begin():
            yield connection

    def ping(self) -> None:
        """Raises `NotReady` when the database does not answer."""
        with self.read() as tx:
            tx.execute(text("SELECT 1"))

    def close(self) -> None:
        self.engine.dispose()


@contextmanager
def _answering() -> Iterator[None]:
    try:
        yield
    except (OperationalError, InterfaceError, PoolTimeout) as error:  # gone, locked for too long, out of disk
        raise NotReady("The database does not answer.") from error


def insert_ignore(tx: Connection, table: Table, values: Mapping[str, Any]) -> bool:
    """Inserts a row unless one with its key is there; tells whether it did."""
    statement = dialect_insert(tx, table).values(**values).on_conflict_do_nothing()
    # Without the option psycopg's count is lost before it is asked for.
    return tx.execute(statement, execution_options={"preserve_rowcount": True}).rowcount == 1


def dialect_insert(tx: Connection, table: Table) -> postgresql.Insert | sqlite.Insert:
    """An INSERT that knows ON CONFLICT, which both databases spell alike."""
    return postgresql.insert(table) if tx.dialect.name == "postgresql" else sqlite.insert(table)


def _dumps(value: Any) -> str:
    return orjson.dumps(value).decode()


def _engine(url: str) -> Engine:
    parsed = make_url(url)
    options: dict[str, Any] = {"json_serializer": _dumps, "json_deserializer": orjson.loads}
    if parsed.get_backend_name() == "postgresql":
        return create_engine(url, pool_size=20, max_overflow=20, pool_pre_ping=True, **options)
    if parsed.get_backend_name() != "sqlite":
        raise ValueError(f"MIXTURA_DATABASE_URL speaks {parsed.get_backend_name()!r}; sqlite and postgresql are known")
    if not parsed.database or parsed.database == ":memory:":
        raise ValueError("MIXTURA_DATABASE_URL needs a file: an SQLite database in memory would lose every job")
    Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(url, pool_size=20, max_overflow=20, connect_args={"timeout": 30}, **options)
    event.listen(engine, "connect", _sqlite_connect)
    event.listen(engine, "begin", _sqlite_begin)
    return engine


def _sqlite_connect(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # the driver's own BEGIN comes too late; ours is below
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=FULL")  # an accepted job survives a power cut
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.close()


def _sqlite_begin(connection: Connection) -> None:
    immediate = connection.get_execution_options().get("immediate", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if immediate else "BEGIN")
