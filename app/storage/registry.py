"""Tables of models, versions and aliases."""

from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Connection, Row, Select, Table, delete, func, insert, select, update

from app.domain.ids import new_id
from app.domain.paging import Page, PageRequest
from app.domain.registry import Alias, AliasMove, ArtifactRef, Filter, Labels, Model, Version, VersionSummary
from app.storage import files
from app.storage.database import Clock, dialect_insert, insert_ignore, moment
from app.storage.paging import newest_first
from app.storage.tables import alias_moves, aliases, models, versions

SUMMARISED = 100  # versions shown inside a model; the rest is in its list


def ensure_model(tx: Connection, name: str, description: str | None, tags: dict[str, str]) -> None:
    """Creates the model when it is new; one that is there keeps its description and tags."""
    insert_ignore(tx, models, _fresh(name, description, tags))


def model(tx: Connection, name: str, *, lock: bool = False) -> Model | None:
    """The model with its newest versions and its aliases, or None."""
    query = select(models).where(models.c.name == name)
    row = tx.execute(query.with_for_update() if lock else query).one_or_none()
    return None if row is None else _models(tx, [row])[0]


def page_models(tx: Connection, wanted: Filter, request: PageRequest) -> Page[Model]:
    """Models, newest first; a model goes by its own tags, and by any of its aliases."""
    query = select(models).where(*_tagged(models, wanted))
    if wanted.aliases:
        query = query.where(models.c.name.in_(select(aliases.c.model).where(aliases.c.alias.in_(wanted.aliases))))
    page = newest_first(tx, query, models.c.id, request, lambda row: row)
    return Page(_models(tx, list(page.items)), page.next)


def change_model(tx: Connection, name: str, changes: dict[str, Any]) -> None:
    """New description or tags."""
    values = changes | {"revision": models.c.revision + 1, "updated_at": Clock()}
    tx.execute(update(models).where(models.c.name == name).values(**values))


def remove_model(tx: Connection, name: str) -> list[str]:
    """Deletes the model with its versions and history; aliases must be gone before.

    Gives the keys of the files, which go after the transaction, by the caller or the janitor.
    """
    keys = list(tx.execute(select(versions.c.artifact_key).where(versions.c.model == name)).scalars())
    tx.execute(delete(models).where(models.c.name == name))
    files.release(tx, keys)
    return keys


def next_version(tx: Connection, name: str, description: str | None, tags: dict[str, str]) -> int:
    """The number of the next version: taken for good if the transaction commits, and locked until then.

    The model is created when it is not there: in the same statement, since it may just be deleted.
    """
    taken = {"last_version": models.c.last_version + 1, "updated_at": Clock()}
    statement = dialect_insert(tx, models).values(**_fresh(name, description, tags) | {"last_version": 1})
    counted = statement.on_conflict_do_update(index_elements=[models.c.name], set_=taken)
    number: int = tx.execute(counted.returning(models.c.last_version)).scalar_one()
    return number


def add_version(tx: Connection, values: dict[str, Any]) -> None:
    """A new version, under a number from `next_version`; its file was announced (`app.storage.files`) and written."""
    files.name(tx, values["artifact_key"])
    tx.execute(insert(versions).values(**values, created_at=Clock()))


def register(tx: Connection, name: str, facts: dict[str, Any], artifact: ArtifactRef, labels: Labels, by: str) -> int:
    """Adds the model's next version, and points its alias there if it is to have one; the number."""
    number = next_version(tx, name, labels.description, labels.tags)
    kept = {"artifact_key": artifact.key, "artifact_sha256": artifact.sha256, "artifact_bytes": artifact.bytes}
    called = {"tags": labels.tags, "description": labels.description}
    add_version(tx, facts | {"model": name, "version": number} | kept | called)
    if labels.alias is not None:
        point_alias(tx, name, labels.alias, number, by)
    return number


def version(tx: Connection, name: str, number: int) -> Version | None:
    """The version, or None."""
    return _found(tx, select(versions).where(versions.c.model == name, versions.c.version == number))


def aliased_version(tx: Connection, name: str, alias_name: str) -> Version | None:
    """The version under an alias, or None; in one statement, since the alias may just be moved."""
    points = (aliases.c.model == versions.c.model) & (aliases.c.version == versions.c.version)
    query = select(versions).join(aliases, points)
    return _found(tx, query.where(aliases.c.model == name, aliases.c.alias == alias_name))


def has_artifact(tx: Connection, name: str, key: str) -> bool:
    """Whether a version of the model is in the file of this key."""
    query = select(versions.c.version).where(versions.c.model == name, versions.c.artifact_key == key)
    return tx.execute(query).first() is not None


def latest_version(tx: Connection, name: str) -> Version | None:
    """The version with the highest number, or None when there is none."""
    return _found(tx, select(versions).where(versions.c.model == name).order_by(versions.c.version.desc()).limit(1))


def page_versions(tx: Connection, name: str, wanted: Filter, request: PageRequest) -> Page[Version]:
    """A model's versions, newest first."""
    query = select(versions).where(versions.c.model == name, *_tagged(versions, wanted))
    if wanted.aliases:
        points = select(aliases.c.version).where(aliases.c.model == name, aliases.c.alias.in_(wanted.aliases))
        query = query.where(versions.c.version.in_(points))
    page = newest_first(tx, query, versions.c.version, request, lambda row: row, int)
    named: dict[int, list[str]] = {}
    for row in tx.execute(_aliases_of(name)):
        named.setdefault(row.version, []).append(row.alias)
    return Page([_version(row, named.get(row.version, [])) for row in page.items], page.next)


def remove_version(tx: Connection, name: str, number: int) -> None:
    """Deletes the row; its file goes as for `remove_model`, its number is never given again."""
    gone = delete(versions).where(versions.c.model == name, versions.c.version == number)
    files.release(tx, list(tx.execute(gone.returning(versions.c.artifact_key)).scalars()))


def pointing_at(tx: Connection, name: str, number: int) -> list[str]:
    """The aliases of a version."""
    query = select(aliases.c.alias).where(aliases.c.model == name, aliases.c.version == number)
    return list(tx.execute(query.order_by(aliases.c.alias)).scalars())


def alias(tx: Connection, name: str, alias_name: str) -> Alias | None:
    """The alias, or None."""
    query = select(aliases).where(aliases.c.model == name, aliases.c.alias == alias_name)
    row = tx.execute(query).one_or_none()
    if row is None:
        return None
    return Alias(row.model, row.alias, row.version, row.revision, moment(row.updated_at))


def point_alias(tx: Connection, name: str, alias_name: str, number: int, by: str) -> None:
    """Sets or moves an alias and writes its history. The model's row must be locked."""
    before = alias(tx, name, alias_name)
    if before is not None and before.version == number:
        return
    _write_move(tx, name, alias_name, before.version if before else None, number, by)
    # The revision of an alias that was deleted and comes back goes on: an old ETag stays stale.
    moves = select(func.count()).where(alias_moves.c.model == name, alias_moves.c.alias == alias_name)
    values = {"version": number, "revision": tx.execute(moves).scalar_one(), "updated_at": Clock()}
    here = (aliases.c.model == name, aliases.c.alias == alias_name)
    if before is None:
        tx.execute(insert(aliases).values(model=name, alias=alias_name, **values))
    else:
        tx.execute(update(aliases).where(*here).values(**values))


def remove_alias(tx: Connection, current: Alias, by: str) -> None:
    """Deletes the alias and writes its history."""
    _write_move(tx, current.model, current.alias, current.version, None, by)
    here = (aliases.c.model == current.model, aliases.c.alias == current.alias)
    tx.execute(delete(aliases).where(*here))


def page_moves(tx: Connection, name: str, alias_name: str, request: PageRequest) -> Page[AliasMove]:
    """An alias's moves, newest first."""
    query = select(alias_moves).where(alias_moves.c.model == name, alias_moves.c.alias == alias_name)
    return newest_first(
        tx,
        query,
        alias_moves.c.id,
        request,
        lambda row: AliasMove(row.from_version, row.to_version, row.moved_by, moment(row.moved_at)),
    )


def _write_move(tx: Connection, name: str, alias_name: str, origin: int | None, to: int | None, by: str) -> None:
    # History is read by id, and one made elsewhere may be ahead of this clock: the model's row is locked, so count on.
    here = (alias_moves.c.model == name, alias_moves.c.alias == alias_name)
    last = tx.execute(select(func.max(alias_moves.c.id)).where(*here)).scalar_one()
    fresh = new_id()
    tx.execute(
        insert(alias_moves).values(
            id=fresh if last is None or fresh > last else str(UUID(int=UUID(last).int + 1)),
            model=name,
            alias=alias_name,
            from_version=origin,
            to_version=to,
            moved_by=by,
            moved_at=Clock(),
        )
    )


def _fresh(name: str, description: str | None, tags: dict[str, str]) -> dict[str, Any]:
    return {
        "name": name,
        "id": new_id(),
        "description": description,
        "tags": tags,
        "last_version": 0,
        "revision": 1,
        "created_at": Clock(),
        "updated_at": Clock(),
    }


def _tagged(table: Table, wanted: Filter) -> list[ColumnElement[bool]]:
    values = [(table.c.tags[name].as_string(), value) for name, value in wanted.tags]
    return [tag.is_not(None) if value is None else tag == value for tag, value in values]


def _found(tx: Connection, query: Select[Any]) -> Version | None:
    row = tx.execute(query).one_or_none()
    return None if row is None else _version(row, pointing_at(tx, row.model, row.version))


def _aliases_of(name: str) -> Select[Any]:
    return select(aliases).where(aliases.c.model == name).order_by(aliases.c.alias)


def _models(tx: Connection, rows: list[Row[Any]]) -> list[Model]:
    names = [row.name for row in rows]
    newest: dict[str, list[VersionSummary]] = {name: [] for name in names}
    rank = func.row_number().over(partition_by=versions.c.model, order_by=versions.c.version.desc())
    total = func.count().over(partition_by=versions.c.model)
    ranked = (
        select(
            versions.c.model,
            versions.c.version,
            versions.c.algorithm,
            versions.c.created_at,
            rank.label("rank"),
            total.label("total"),
        )
        .where(versions.c.model.in_(names))
        .subquery()
    )
    counts: dict[str, int] = {}
    query = select(ranked).where(ranked.c.rank <= SUMMARISED).order_by(ranked.c.model, ranked.c.rank)
    for row in tx.execute(query):
        counts[row.model] = row.total
        newest[row.model].append(VersionSummary(row.version, row.algorithm, moment(row.created_at)))
    pointing: dict[str, dict[str, int]] = {name: {} for name in names}
    for row in tx.execute(select(aliases).where(aliases.c.model.in_(names)).order_by(aliases.c.alias)):
        pointing[row.model][row.alias] = row.version
    return [
        Model(
            name=row.name,
            description=row.description,
            tags=row.tags,
            created_at=moment(row.created_at),
            updated_at=moment(row.updated_at),
            revision=row.revision,
            versions=newest[row.name],
            aliases=pointing[row.name],
            n_versions=counts.get(row.name, 0),
        )
        for row in rows
    ]


def _version(row: Row[Any], named: list[str]) -> Version:
    return Version(
        model=row.model,
        version=row.version,
        algorithm=row.algorithm,
        params=row.params,
        feature_names=row.feature_names,
        n_samples=row.n_samples,
        metrics=row.metrics,
        anomaly=row.anomaly,
        preprocess=row.preprocess,
        dataset=row.dataset_id,
        job=row.job_id,
        lineage=row.lineage,
        artifact=ArtifactRef(row.artifact_key, row.artifact_sha256, row.artifact_bytes),
        created_at=moment(row.created_at),
        tags=row.tags,
        description=row.description,
        aliases=named,
    )
