"""Models, versions and aliases."""

from datetime import datetime
from typing import Any, Literal

from pydantic import Field

from app.api.schemas.common import Answer, Description, Request, Tags
from app.domain import registry as domain


class VersionSummary(Answer):
    """A version in its model's summary."""

    version: int
    algorithm: str
    created_at: datetime


class Model(Answer):
    """A name under which versions gather."""

    name: str
    description: str | None
    tags: dict[str, str]
    aliases: dict[str, int] = Field(description="Alias → version.")
    n_versions: int
    latest_version: int | None
    versions: list[VersionSummary] = Field(description="The newest 100.")
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, model: domain.Model) -> "Model":
        return cls(
            name=model.name,
            description=model.description,
            tags=model.tags,
            aliases=model.aliases,
            n_versions=model.n_versions,
            latest_version=model.versions[0].version if model.versions else None,
            versions=[VersionSummary.model_validate(v, from_attributes=True) for v in model.versions],
            created_at=model.created_at,
            updated_at=model.updated_at,
        )


class ModelPage(Answer):
    """One page of models, newest first."""

    items: list[Model]
    next: str | None


class ModelChange(Request):
    """What may change of a model; an absent field stays."""

    description: Description | None = None
    tags: Tags = Field(default_factory=dict)


class Artifact(Answer):
    """A version's file."""

    sha256: str
    bytes: int


class TrainingDataset(Answer):
    """The rows that a version was fitted on, as they were then."""

    id: str
    sha256: str = Field(description="Of the bytes that were sent.")
    features: list[str] | None = Field(None, description="The columns that were named; null: all that are not below.")
    sample_weight: str | None = Field(None, description="A column.")
    labels: str | None = Field(None, description="A column.")


class Lineage(Answer):
    """Where a version comes from; kept with it, whatever becomes of the job and the dataset."""

    origin: Literal["fit", "import"]
    dataset: TrainingDataset | None = Field(None, description="Of an imported version what its file says of it.")
    libraries: dict[str, str] | None = Field(None, description="What computed it: library → version.")
    file: str | None = Field(None, description="Of an imported version: the sha256 of the file it came as.")


class Version(Answer):
    """A fitted model: it never changes."""

    model: str
    version: int
    algorithm: str
    params: dict[str, Any]
    feature_names: list[str]
    n_features: int
    n_samples: int = Field(description="Rows it was fitted on; 0 where its parameters were given.")
    metrics: dict[str, Any]
    anomaly: dict[str, Any]
    preprocess: dict[str, Any]
    dataset: str | None = Field(description="Id of the dataset it was fitted on.")
    job: str | None
    lineage: Lineage | None = Field(description="Null where nothing is known: of a version older than this record.")
    artifact: Artifact
    created_at: datetime
    description: str | None
    tags: dict[str, str]
    aliases: list[str]

    @classmethod
    def of(cls, version: domain.Version) -> "Version":
        return cls.model_validate(version, from_attributes=True)


class VersionPage(Answer):
    """One page of versions, newest first."""

    items: list[Version]
    next: str | None


class Parameters(Answer):
    """The fitted parameters: of a mixture, or of k-means."""

    model: dict[str, Any]
    algorithm: str
    feature_names: list[str]
    space: str = Field(description="`original` features, or `preprocessed` where the way back is not unique.")
    covariance_type: str | None = None
    weights: list[float] | None = None
    means: list[list[float]] | None = None
    covariances: list[Any] | None = Field(None, description="Shape by covariance_type, as in scikit-learn.")
    cluster_centers: list[list[float]] | None = None


class AliasTarget(Request):
    """Where an alias should point."""

    version: int = Field(ge=1, le=2**31 - 1)


class Alias(Answer):
    """A name that points at a version."""

    model: str
    alias: str
    version: int
    updated_at: datetime

    @classmethod
    def of(cls, alias: domain.Alias) -> "Alias":
        return cls.model_validate(alias, from_attributes=True)


class AliasMove(Answer):
    """One move; null stands for nowhere."""

    origin: int | None = Field(serialization_alias="from")
    to: int | None
    by: str
    at: datetime


class AliasHistory(Answer):
    """One page of moves, newest first."""

    items: list[AliasMove]
    next: str | None
