"""The registry: models, versions and aliases, and which version a caller means."""

from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from app.domain.errors import (
    AliasNotFound,
    ModelNotFound,
    PreconditionFailed,
    VersionInUse,
    VersionNotFound,
)
from app.domain.paging import Page, PageRequest
from app.domain.registry import Alias, AliasMove, Filter, Model, Version
from app.storage import registry as table
from app.storage.artifacts import ArtifactStore
from app.storage.database import Database

DEFAULT_ALIAS = "default"
LATEST = "latest"


class RegistryService:
    """Looks things up, moves what may move, deletes what nothing points at."""

    def __init__(self, database: Database, artifacts: ArtifactStore) -> None:
        self._database = database
        self._artifacts = artifacts

    def models(self, wanted: Filter, request: PageRequest) -> Page[Model]:
        """Models, newest first."""
        with self._database.read() as tx:
            return table.page_models(tx, wanted, request)

    def model(self, name: str) -> Model:
        """The model; raises `ModelNotFound`."""
        with self._database.read() as tx:
            return _model(tx, name)

    def change_model(self, name: str, changes: dict[str, Any], if_match: str | None) -> Model:
        """New description or tags; raises `PreconditionFailed` when `if_match` is stale."""
        with self._database.write() as tx:
            model = _model(tx, name, lock=True)
            _check_match(if_match, model_etag(model), f"model {name!r}")
            if changes:
                table.change_model(tx, name, changes)
            return _model(tx, name)

    def delete_model(self, name: str, if_match: str | None) -> None:
        """Deletes the model and its versions; raises `VersionInUse` while it has an alias."""
        with self._database.write() as tx:
            model = _model(tx, name, lock=True)
            _check_match(if_match, model_etag(model), f"model {name!r}")
            if model.aliases:
                pointing = ", ".join(f"{alias!r} → {version}" for alias, version in model.aliases.items())
                raise VersionInUse(f"Aliases of {name!r} point at its versions ({pointing}); delete them first.")
            keys = table.remove_model(tx, name)
        for key in keys:
            self._artifacts.delete(key)

    def versions(self, name: str, wanted: Filter, request: PageRequest) -> Page[Version]:
        """A model's versions, newest first."""
        with self._database.read() as tx:
            _model(tx, name)
            return table.page_versions(tx, name, wanted, request)

    def version(self, name: str, reference: str | None) -> Version:
        """The version that a reference means: a number, an alias, or `latest`.

        None is what serving uses when no version is named: the alias `default` if it is set, else the latest.
        Raises `ModelNotFound`, `VersionNotFound`, `AliasNotFound`.
        """
        with self._database.read() as tx:
            return _resolve(tx, name, reference)

    def delete_version(self, name: str, reference: str) -> None:
        """Deletes one version; raises `VersionInUse` while an alias points at it."""
        with self._database.write() as tx:
            _model(tx, name, lock=True)
            version = _resolve(tx, name, reference)
            if version.aliases:
                pointing = ", ".join(repr(alias) for alias in version.aliases)
                raise VersionInUse(
                    f"Version {version.version} of {name!r} is what {pointing} points at; move or delete that first."
                )
            table.remove_version(tx, name, version.version)
        self._artifacts.delete(version.artifact.key)

    def artifact_stamp(self, version: Version) -> tuple[int, ...] | None:
        """What changes when somebody writes to the stored file; None when it is gone."""
        return self._artifacts.stamp(version.artifact.key)

    def artifact(self, version: Version) -> bytes:
        """The stored file, verified; raises `ArtifactCorrupt`."""
        return self._artifacts.get(version.artifact)

    def alias(self, name: str, alias: str) -> Alias:
        """Where an alias points; raises `AliasNotFound`."""
        with self._database.read() as tx:
            _model(tx, name)
            return _alias(tx, name, alias)

    def point_alias(self, name: str, alias: str, number: int, if_match: str | None, by: str) -> Alias:
        """Sets or moves an alias; raises `VersionNotFound`, `PreconditionFailed`."""
        with self._database.write() as tx:
            _model(tx, name, lock=True)
            current = table.alias(tx, name, alias)
            _check_match(if_match, alias_etag(current) if current else None, f"alias {alias!r}")
            if table.version(tx, name, number) is None:
                raise _no_version(name, str(number))
            table.point_alias(tx, name, alias, number, by)
            return _alias(tx, name, alias)

    def delete_alias(self, name: str, alias: str, if_match: str | None, by: str) -> None:
        """Deletes an alias; its history stays. Raises `AliasNotFound`, `PreconditionFailed`."""
        with self._database.write() as tx:
            _model(tx, name, lock=True)
            current = _alias(tx, name, alias)
            _check_match(if_match, alias_etag(current), f"alias {alias!r}")
            table.remove_alias(tx, current, by)

    def alias_history(self, name: str, alias: str, request: PageRequest) -> Page[AliasMove]:
        """An alias's moves, newest first; raises `AliasNotFound` when it never was."""
        with self._database.read() as tx:
            _model(tx, name)
            page = table.page_moves(tx, name, alias, request)
            if not page.items and request.cursor is None:
                raise _no_alias(name, alias)
            return page


def model_etag(model: Model) -> str:
    """The entity tag of a model's description and tags."""
    return _etag(model.revision, model.created_at)


def alias_etag(alias: Alias) -> str:
    """The entity tag of where an alias points."""
    return _etag(alias.revision, alias.updated_at)


def _etag(revision: int, since: datetime) -> str:
    # A model that is deleted and made again counts from 1 again: the time keeps its old tags stale.
    return f'"{revision}-{int(since.timestamp() * 1e6):x}"'


def _check_match(if_match: str | None, etag: str | None, what: str) -> None:
    if if_match is None:
        return
    if if_match.strip() == "*":
        if etag is None:
            raise PreconditionFailed(f"If-Match is *, but the {what} does not exist.")
        return
    if etag not in {tag.strip() for tag in if_match.split(",")}:
        now = "does not exist" if etag is None else f"has the ETag {etag}"
        raise PreconditionFailed(f"If-Match is {if_match}, but the {what} {now}.")


def _model(tx: Connection, name: str, *, lock: bool = False) -> Model:
    model = table.model(tx, name, lock=lock)
    if model is None:
        raise ModelNotFound(f"There is no model {name!r}.")
    return model


def _alias(tx: Connection, name: str, alias: str) -> Alias:
    found = table.alias(tx, name, alias)
    if found is None:
        raise _no_alias(name, alias)
    return found


def _resolve(tx: Connection, name: str, reference: str | None) -> Version:
    missing: AliasNotFound | VersionNotFound = _no_version(name, reference)
    if reference is None:
        version = table.aliased_version(tx, name, DEFAULT_ALIAS) or table.latest_version(tx, name)
    elif reference == LATEST:
        version = table.latest_version(tx, name)
    elif reference.isascii() and reference.isdigit():
        version = table.version(tx, name, int(reference)) if len(reference) < 10 else None
    else:
        version = table.aliased_version(tx, name, reference)
        missing = _no_alias(name, reference)
    if version is None:
        _model(tx, name)
        raise missing
    return version


def _no_alias(name: str, alias: str) -> AliasNotFound:
    return AliasNotFound(f"The model {name!r} has no alias {alias!r}.")


def _no_version(name: str, reference: str | None) -> VersionNotFound:
    if reference in (None, LATEST):
        return VersionNotFound(f"The model {name!r} has no version yet.")
    return VersionNotFound(f"The model {name!r} has no version {reference}.")
