"""Whether every stored file is still what was stored."""

from dataclasses import dataclass, field

from app.domain.errors import ArtifactCorrupt
from app.domain.registry import ArtifactRef
from app.storage import files
from app.storage.artifacts import ArtifactStore
from app.storage.database import Database
from app.storage.files import NamedFile


@dataclass(frozen=True)
class Findings:
    """`damaged`: a sentence a file. `unchecked`: files without a checksum. `unknown`: files that nothing names."""

    checked: int
    damaged: list[str] = field(default_factory=list)
    unchecked: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)


def examine(database: Database, artifacts: ArtifactStore) -> Findings:
    """Reads every file that a row names and compares its sha256; may run beside the service. Raises `NotReady`."""
    with database.read() as tx:
        named = files.named(tx)
    found = Findings(len(named))
    for file in named:
        damage = _damage(database, artifacts, file)
        if damage is not None:
            found.damaged.append(f"{file.what}: {file.key}: {damage}")
        elif file.sha256 is None:
            found.unchecked.append(f"{file.what}: {file.key}")
    present = set(artifacts.all_keys())  # before the rows: what is registered meanwhile is no stranger
    with database.read() as tx:
        known = {file.key for file in files.named(tx)} | files.announced(tx)
    found.unknown.extend(sorted(present - known))
    return found


def _damage(database: Database, artifacts: ArtifactStore, file: NamedFile) -> str | None:
    try:
        if file.sha256 is not None:
            artifacts.verify(ArtifactRef(file.key, file.sha256, 0))
        elif artifacts.stamp(file.key) is None:
            raise ArtifactCorrupt("The stored file is gone.")
    except ArtifactCorrupt as error:
        with database.read() as tx:  # it may have been deleted since it was listed
            return error.detail if files.is_named(tx, file.key) else None
    return None
