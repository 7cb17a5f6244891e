"""Which version a caller means, also while versions come and go; entity tags that never come back."""

import pytest

from app.domain.errors import AliasNotFound, ModelNotFound, PreconditionFailed, VersionNotFound
from app.domain.ids import new_id
from app.domain.registry import Version
from app.services.loading import ModelLoader
from app.services.model_file import FittedModel, to_bytes
from app.services.registry import RegistryService, alias_etag, model_etag
from app.storage import files
from app.storage import registry as table
from app.storage.artifacts import ArtifactStore
from app.storage.database import Database
from core import KMeans
from core.affine import AffineMap
from core.anomaly import ScoreQuantiles
from tests.app.storage.test_registry import VERSION


@pytest.fixture
def registry(database: Database, artifacts: ArtifactStore) -> RegistryService:
    return RegistryService(database, artifacts)


def add(database: Database, artifacts: ArtifactStore, alias: str | None = None) -> int:
    """A version with a file of its own, whose only centre is its number."""
    key = f"models/{new_id()}.safetensors"
    files.announce(database, key)
    with database.write() as tx:
        number = table.next_version(tx, "m", None, {})
        centroids = KMeans(1).fit([[float(number)]]).centroids_
        scores = ScoreQuantiles.from_scores([0.0])
        fitted = FittedModel("kmeans", ("x0",), centroids, AffineMap.identity(1), scores, 0.01)
        ref = artifacts.put(key, to_bytes(fitted, {}))
        file = {"artifact_key": ref.key, "artifact_sha256": ref.sha256, "artifact_bytes": ref.bytes}
        table.add_version(tx, VERSION | file | {"model": "m", "version": number, "tags": {}})
        if alias is not None:
            table.point_alias(tx, "m", alias, number, "test")
    return number


def test_a_reference_is_a_number_an_alias_latest_or_nothing(
    database: Database, artifacts: ArtifactStore, registry: RegistryService
) -> None:
    with pytest.raises(ModelNotFound):
        registry.version("m", "latest")
    with database.write() as tx:
        table.ensure_model(tx, "m", None, {})
    for reference in ("latest", "1", None):
        with pytest.raises(VersionNotFound):
            registry.version("m", reference)
    for alias in ("champion", None, None):
        add(database, artifacts, alias)
    meant = {"1": 1, "3": 3, "latest": 3, "champion": 1, None: 3}
    assert {reference: registry.version("m", reference).version for reference in meant} == meant
    registry.point_alias("m", "default", 2, None, "test")
    assert registry.version("m", None).version == 2
    assert registry.version("m", "default").version == 2
    registry.delete_version("m", "latest")
    assert registry.version("m", "latest").version == 2
    for reference in ("0", "3", "4", "9" * 30):
        with pytest.raises(VersionNotFound, match=f"no version {reference}"):
            registry.version("m", reference)
    for reference in ("nobody", "-1", "1.0", "٣", "Latest"):
        with pytest.raises(AliasNotFound):
            registry.version("m", reference)


def test_an_entity_tag_never_comes_back(
    database: Database, artifacts: ArtifactStore, registry: RegistryService
) -> None:
    """Not with the alias that was deleted and set again, nor with the model."""
    add(database, artifacts, "champion")
    model, alias = model_etag(registry.model("m")), alias_etag(registry.alias("m", "champion"))
    registry.delete_alias("m", "champion", alias, "test")
    registry.point_alias("m", "champion", 1, None, "test")
    with pytest.raises(PreconditionFailed):
        registry.delete_alias("m", "champion", alias, "test")
    registry.delete_alias("m", "champion", None, "test")
    registry.delete_model("m", model)
    add(database, artifacts, "champion")
    with pytest.raises(PreconditionFailed):
        registry.delete_model("m", model)
    with pytest.raises(PreconditionFailed):
        registry.point_alias("m", "champion", 1, alias, "test")


def test_a_version_deleted_while_it_is_loaded_gives_way_to_what_the_alias_means_now(
    database: Database, artifacts: ArtifactStore, registry: RegistryService, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(database, artifacts, "champion")
    read = RegistryService.artifact

    def move_first(service: RegistryService, version: Version) -> bytes:
        monkeypatch.setattr(RegistryService, "artifact", read)
        service.point_alias("m", "champion", add(database, artifacts), None, "test")
        service.delete_version("m", "1")
        return read(service, version)

    monkeypatch.setattr(RegistryService, "artifact", move_first)
    assert ModelLoader(registry).load("m", "champion").version == 2

    def delete_first(service: RegistryService, version: Version) -> bytes:
        monkeypatch.setattr(RegistryService, "artifact", read)
        service.delete_version("m", str(version.version))
        return read(service, version)

    add(database, artifacts)
    monkeypatch.setattr(RegistryService, "artifact", delete_first)
    with pytest.raises(VersionNotFound):
        ModelLoader(registry).load("m", "3")
