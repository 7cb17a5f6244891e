"""Registering a model from outside as the next version of a name."""

from dataclasses import replace
from typing import Any

from sqlalchemy import Connection

from app.domain.errors import VersionNotFound
from app.domain.idempotency import IdempotencyKey
from app.domain.ids import new_id
from app.domain.registry import ArtifactRef, Labels, Version
from app.services.model_file import to_bytes
from app.services.model_import import Imported
from app.storage import files, idempotency
from app.storage import registry as table
from app.storage.artifacts import ArtifactStore
from app.storage.database import Database


class ImportService:
    """Keeps models that were not fitted here."""

    def __init__(self, database: Database, artifacts: ArtifactStore) -> None:
        self._database = database
        self._artifacts = artifacts

    def add(
        self, name: str, imported: Imported, labels: Labels, key: IdempotencyKey | None, by: str
    ) -> tuple[Version, bool]:
        """The model's next version, and whether it is the answer to an earlier request with the same key.

        The file is written anew from what was understood: of a file that this release wrote the same bytes, of any
        other nothing that was not checked. If this is cut short, the janitor sees to the file.
        Raises `IdempotencyKeyReused`.
        """
        if key is not None:
            with self._database.read() as tx:
                earlier = idempotency.find(tx, key)
                if earlier is not None:
                    return self._replay(tx, name, earlier), True
        content = to_bytes(imported.fitted, imported.facts)
        file = f"models/{new_id()}.safetensors"
        files.announce(self._database, file)
        ref = self._artifacts.put(file, content)
        with self._database.write() as tx:
            earlier = idempotency.reserve(tx, key) if key is not None else None
            if earlier is None:
                version = self._register(tx, name, imported, labels, ref, by)
                if key is not None:
                    idempotency.keep(tx, key, {"version": version.version, "aliases": version.aliases})
                return version, False
            replayed = self._replay(tx, name, earlier)
        self._artifacts.delete(ref.key)
        return replayed, True

    def _register(
        self, tx: Connection, name: str, imported: Imported, labels: Labels, ref: ArtifactRef, by: str
    ) -> Version:
        facts = imported.facts | {
            "algorithm": imported.fitted.algorithm,
            "feature_names": list(imported.fitted.feature_names),
            "lineage": imported.facts["lineage"] | {"origin": "import", "file": imported.file},
        }
        number = table.register(tx, name, facts, ref, labels, by)
        version = table.version(tx, name, number)
        assert version is not None
        return version

    def _replay(self, tx: Connection, name: str, answer: dict[str, Any]) -> Version:
        version = table.version(tx, name, answer["version"])
        if version is None:
            raise VersionNotFound(f"This import became version {answer['version']} of {name!r}, which is deleted.")
        return replace(version, aliases=answer["aliases"])
