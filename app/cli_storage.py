"""The commands on what is stored: `mixtura doctor | backup | restore | db`."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from app.storage.artifacts import ArtifactStore
    from app.storage.database import Database

    Open = Callable[[str, str], tuple[Database, ArtifactStore]]

DataDir = Annotated[
    Path | None, typer.Option(help="The directory of the embedded database and files: MIXTURA_DATA_DIR.")
]


def install(app: typer.Typer) -> None:
    """Adds the commands to the program's."""
    app.command(epilog="Example:\n\n- `mixtura doctor --data-dir /var/lib/mixtura`")(doctor)
    app.command(epilog="Example:\n\n- `mixtura backup /backups/$(date +%F)`")(backup)
    app.command(epilog="Example:\n\n- `mixtura restore /backups/2026-11-21 --data-dir /var/lib/mixtura`")(restore)
    db = typer.Typer(help="The database's schema.", no_args_is_help=True)
    db.command(epilog="Example:\n\n- `mixtura db upgrade`")(upgrade)
    db.command(epilog="Example:\n\n- `mixtura db check`")(check)
    app.add_typer(db, name="db")


def doctor(data_dir: DataDir = None) -> None:
    """Check the sha256 of every stored file.

    Names each file that is damaged or gone. Exit status 0: all are as they were written; 1: some are not; 2: it
    could not be found out. The service may run meanwhile.
    """
    from app.services.doctor import examine
    from app.storage.opening import open_current

    with _storage(data_dir, open_current) as (database, artifacts):
        found = examine(database, artifacts)
    for sentence in found.damaged:
        typer.echo(f"damaged: {sentence}")
    for sentence in found.unchecked:
        typer.echo(f"no checksum was kept: {sentence}")
    for key in found.unknown:
        typer.echo(f"no row names it: {key}")
    typer.echo(f"{found.checked} files checked, {len(found.damaged)} damaged")
    raise typer.Exit(1 if found.damaged else 0)


def backup(
    directory: Annotated[Path, typer.Argument(help="A new or empty directory.")], data_dir: DataDir = None
) -> None:
    """Copy everything to a directory, while the service runs.

    Rows of one moment, the files that they name, and a manifest with the sha256 of all. Exit status 1: the backup
    is whole but for stored files that are damaged, which are named; 2: there is no backup.
    """
    from app.services.backup import backup as run
    from app.storage.opening import open_current

    with _storage(data_dir, open_current) as (database, artifacts):
        summary = run(database, artifacts, directory)
    for sentence in summary.damaged:
        typer.echo(f"damaged, left out: {sentence}", err=True)
    typer.echo(f"{directory}: {summary.rows} rows, {summary.files} files")
    raise typer.Exit(1 if summary.damaged else 0)


def restore(
    directory: Annotated[Path, typer.Argument(exists=True, file_okay=False, help="A backup.")], data_dir: DataDir = None
) -> None:
    """Fill an empty database and artifact store from a backup.

    Every checksum is verified first. The database may be of the other kind than the one that was backed up. Nothing
    else may use it meanwhile. Exit status 2: nothing was changed.
    """
    from app.services.backup import restore as run
    from app.storage.opening import open_unchanged

    with _storage(data_dir, open_unchanged) as (database, artifacts):
        summary = run(database, artifacts, directory)
    for sentence in summary.damaged:
        typer.echo(f"was damaged when it was backed up: {sentence}", err=True)
    typer.echo(f"{summary.rows} rows, {summary.files} files")


def upgrade(data_dir: DataDir = None) -> None:
    """Bring the schema up to this release's, as the service does when it starts."""
    from app.storage.migrate import upgrade as run
    from app.storage.opening import open_unchanged

    with _storage(data_dir, open_unchanged) as (database, _):
        before = run(database)
    typer.echo(f"schema: {before.found or 'none'} → {before.wanted}")


def check(data_dir: DataDir = None) -> None:
    """Tell whether the schema is this release's.

    Exit status 0: it is; 1: it is older, `mixtura db upgrade` is needed; 2: it is newer, or cannot be asked.
    """
    from app.storage.opening import check_schema, open_unchanged

    with _storage(data_dir, open_unchanged) as (database, _):
        schema = check_schema(database)
    typer.echo(f"schema: {schema.found or 'none'}, this release's: {schema.wanted}")
    raise typer.Exit(0 if schema.current else 1)


@contextmanager
def _storage(data_dir: Path | None, open_it: Open) -> Iterator[tuple[Database, ArtifactStore]]:
    """What the settings name; what cannot be done ends the command with a sentence on stderr and status 2."""
    from app.domain.errors import CannotStart, NotReady
    from app.settings import Settings

    if data_dir is not None:
        os.environ["MIXTURA_DATA_DIR"] = str(data_dir)
    try:
        settings = Settings.load()
        database, artifacts = open_it(settings.resolved_database_url, settings.resolved_artifacts_url)
        try:
            yield database, artifacts
        finally:
            database.close()
    except CannotStart as error:
        typer.echo(f"mixtura: {error}.", err=True)
        raise typer.Exit(2) from None
    except NotReady as error:
        typer.echo(f"mixtura: {error.detail}", err=True)
        raise typer.Exit(2) from None
    except OSError as error:
        typer.echo(f"mixtura: {error.filename}: {error.strerror}", err=True)
        raise typer.Exit(2) from None
