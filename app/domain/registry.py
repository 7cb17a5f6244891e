"""The registry's values: models, their immutable versions, the aliases that move between them."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any


@dataclass(frozen=True)
class ArtifactRef:
    """Where a version's file is kept, and what it must hash to."""

    key: str
    sha256: str
    bytes: int


@dataclass(frozen=True)
class Labels:
    """How a new version is called: as a fit's request says it, or an import's."""

    alias: str | None
    tags: dict[str, str]
    description: str | None


@dataclass(frozen=True)
class Version:
    """One fitted model, never changed after it was written."""

    model: str
    version: int
    algorithm: str
    params: dict[str, Any]
    feature_names: list[str]
    n_samples: int
    metrics: dict[str, Any]
    anomaly: dict[str, Any]
    preprocess: dict[str, Any]
    dataset: str | None
    job: str | None
    lineage: dict[str, Any] | None
    artifact: ArtifactRef
    created_at: datetime
    tags: dict[str, str]
    description: str | None
    aliases: list[str] = field(default_factory=list)

    @property
    def n_features(self) -> int:
        return len(self.feature_names)


@dataclass(frozen=True)
class VersionSummary:
    """A version in its model's list: enough to choose by."""

    version: int
    algorithm: str
    created_at: datetime


@dataclass(frozen=True)
class Model:
    """A name under which versions gather. `revision` grows with each change of description or tags."""

    name: str
    description: str | None
    tags: dict[str, str]
    created_at: datetime
    updated_at: datetime
    revision: int
    versions: list[VersionSummary] = field(default_factory=list)
    aliases: dict[str, int] = field(default_factory=dict)
    n_versions: int = 0


@dataclass(frozen=True)
class Filter:
    """What of a list is wanted: all of `tags` (a value of None stands for any), one of `aliases` (none: no matter)."""

    tags: tuple[tuple[str, str | None], ...] = ()
    aliases: tuple[str, ...] = ()


@dataclass(frozen=True)
class Alias:
    """A name that points at a version and may be moved. `revision` grows with each move."""

    model: str
    alias: str
    version: int
    revision: int
    updated_at: datetime


@dataclass(frozen=True)
class AliasMove:
    """One move of an alias: None stands for nowhere."""

    origin: int | None
    to: int | None
    by: str
    at: datetime
