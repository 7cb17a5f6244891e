"""A backup while the service runs, and a new installation from it.

A backup is a directory: a line of JSON a row in `tables/`, the files in `files/`, and `manifest.json`, which is written
last and holds the sha256 of all of them. It is the same from SQLite and from PostgreSQL, and goes back into either.
"""

import hashlib
import os
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

import orjson

from app.domain.errors import ArtifactCorrupt, CannotStart
from app.domain.registry import ArtifactRef
from app.storage import dump, files
from app.storage.artifacts import ArtifactStore, measure
from app.storage.database import Database
from app.storage.files import NamedFile
from app.storage.migrate import knows, look, migrate

FORMAT = "mixtura-backup/1"
MANIFEST = "manifest.json"
TRIES = 10


@dataclass(frozen=True)
class Summary:
    """What a backup holds; `damaged` are sentences on the files that it could not take."""

    rows: int
    files: int
    damaged: list[str]


def backup(database: Database, artifacts: ArtifactStore, target: Path) -> Summary:
    """Copies everything to `target`, a new or empty directory.

    The rows are those of one moment, and the files are those that they name. A file that is deleted before it was
    copied is followed by a new look at the rows. Raises `CannotStart`, `NotReady`.
    """
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise CannotStart(f"{target} is not an empty directory; a backup needs one of its own")
    (target / "tables").mkdir(parents=True)
    copied: dict[str, ArtifactRef] = {}
    for _ in range(TRIES):
        revision, tables, named = _copy_rows(database, target)
        damaged = _copy_files(database, artifacts, target, named, copied)
        if damaged is not None:
            break
    else:
        raise CannotStart(f"files were deleted faster than they could be copied, {TRIES} times; try again later")
    names = {file.key for file in named}
    for key in copied.keys() - names:
        (target / "files" / key).unlink()
    taken = [asdict(ref) for ref in copied.values() if ref.key in names]
    manifest = {
        "format": FORMAT,
        "schema": revision,
        "tables": tables,
        "files": taken,
        "damaged": damaged,
    }
    with (target / MANIFEST).open("wb") as file:
        file.write(orjson.dumps(manifest, option=orjson.OPT_INDENT_2))
        file.flush()
        os.fsync(file.fileno())
    return Summary(sum(table["rows"] for table in tables.values()), len(taken), damaged)


def restore(database: Database, artifacts: ArtifactStore, source: Path) -> Summary:
    """Fills an empty database and store from a backup, and brings the schema up to date.

    Everything is verified before anything is written. Raises `CannotStart` when something is not what was backed up, or
    the target is not empty; nothing is changed then. `NotReady` when the target cannot be written.
    """
    manifest = _manifest(source)
    refs = [ArtifactRef(**file) for file in manifest["files"]]
    _verify(source, manifest, refs)
    with database.read() as tx:
        look(tx)
        if not dump.is_empty(tx):
            raise CannotStart("the database is not empty; a backup goes back into a new one")
    if next(artifacts.all_keys(), None) is not None:
        raise CannotStart("the artifact store is not empty; a backup goes back into a new one")
    try:
        for ref in refs:
            with (source / "files" / ref.key).open("rb") as file:
                _put(artifacts, ref, file)
        rows = _load(database, source, manifest)
    except BaseException:
        for ref in refs:
            artifacts.delete(ref.key)
        raise
    return Summary(rows, len(refs), manifest["damaged"])


def _copy_rows(database: Database, target: Path) -> tuple[str | None, dict[str, Any], list[NamedFile]]:
    tables: dict[str, Any] = {}
    with database.snapshot() as tx:
        revision = look(tx).found
        named = files.named(tx)
        for table in dump.tables(tx):
            digest, rows = hashlib.sha256(), 0
            with (target / "tables" / f"{table.name}.jsonl").open("wb") as file:
                for line in dump.lines(tx, table):
                    digest.update(line)
                    rows += file.write(line) > 0
                file.flush()
                os.fsync(file.fileno())
            tables[str(table.name)] = {"rows": rows, "sha256": digest.hexdigest()}
    return revision, tables, named


def _copy_files(
    database: Database, artifacts: ArtifactStore, target: Path, named: list[NamedFile], copied: dict[str, ArtifactRef]
) -> list[str] | None:
    """Adds to `copied` what is not there yet; sentences on what is damaged, or None when something was deleted."""
    damaged, whole = [], True
    for file in named:
        if file.key in copied:
            continue
        to = target / "files" / file.key
        try:
            ref = artifacts.copy(file.key, to)
            if file.sha256 not in (None, ref.sha256):
                raise ArtifactCorrupt("The stored file no longer has the checksum that it was written with.")
        except ArtifactCorrupt as error:
            to.unlink(missing_ok=True)
            with database.read() as tx:
                if files.is_named(tx, file.key):
                    damaged.append(f"{file.what}: {file.key}: {error.detail}")
                else:
                    whole = False
        else:
            copied[file.key] = ref
    return damaged if whole else None


def _manifest(source: Path) -> dict[str, Any]:
    try:
        manifest: dict[str, Any] = orjson.loads((source / MANIFEST).read_bytes())
    except OSError as error:
        raise CannotStart(f"{source / MANIFEST}: {error.strerror}; that is no finished backup") from error
    except orjson.JSONDecodeError as error:
        raise CannotStart(f"{source / MANIFEST} is damaged: {error}") from error
    if manifest.get("format") != FORMAT:
        raise CannotStart(f"{source / MANIFEST} is of the format {manifest.get('format')!r}; {FORMAT!r} is known")
    if not knows(manifest["schema"]):
        raise CannotStart(f"the backup is of a newer release: its schema is at revision {manifest['schema']}")
    return manifest


def _verify(source: Path, manifest: dict[str, Any], refs: list[ArtifactRef]) -> None:
    expected = {f"tables/{name}.jsonl": table["sha256"] for name, table in manifest["tables"].items()}
    for name, sha256 in (expected | {f"files/{ref.key}": ref.sha256 for ref in refs}).items():
        path = source / name
        if not path.resolve().is_relative_to(source.resolve()):
            raise CannotStart(f"the manifest names {name}, which is outside of the backup")
        try:
            found = measure(name, path).sha256
        except OSError as error:
            raise CannotStart(f"{path}: {error.strerror}") from error
        if found != sha256:
            raise CannotStart(f"{path} is damaged: its sha256 is {found[:12]}…, not {sha256[:12]}…")


def _put(artifacts: ArtifactStore, ref: ArtifactRef, file: IO[bytes]) -> None:
    stored = artifacts.write(ref.key, lambda to: shutil.copyfileobj(file, to, 2**20))
    if stored.sha256 != ref.sha256:
        raise CannotStart(f"{ref.key} changed while it was restored")


def _load(database: Database, source: Path, manifest: dict[str, Any]) -> int:
    total = 0
    with database.write() as tx:
        if not dump.is_empty(tx):
            raise CannotStart("the database is no longer empty: something else is using it")
        dump.drop_all(tx)
        migrate(tx, manifest["schema"])
        for table in dump.tables(tx):
            with (source / "tables" / f"{table.name}.jsonl").open("rb") as lines:
                total += dump.load(tx, table, lines)
        migrate(tx, look(tx).wanted)
    return total
