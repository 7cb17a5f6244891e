"""What the service says, as frozen values. Fields that this version does not know are left aside."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

__all__ = ["Alias", "AliasMove", "Dataset", "DatasetSummary", "FeatureSummary", "Progress", "read"]

T = TypeVar("T")


def read(cls: Callable[..., T], payload: Mapping[str, Any], **given: Any) -> T:
    """A dataclass from the fields of a payload that it knows; names ending in `at` are times."""
    known = {field.name for field in dataclasses.fields(cls)}  # type: ignore[arg-type]
    values = {name: _value(name, value) for name, value in payload.items() if name in known}
    return cls(**values, **given)


def _value(name: str, value: Any) -> Any:
    if isinstance(value, str) and (name == "at" or name.endswith("_at")):
        return datetime.fromisoformat(value)
    return value


@dataclass(frozen=True)
class Dataset:
    """Rows kept by the service; `sha256` is that of the bytes uploaded."""

    id: str
    name: str | None
    n_rows: int
    n_features: int
    feature_names: list[str]
    n_missing: int
    dtype: str
    bytes: int
    sha256: str
    created_at: datetime


@dataclass(frozen=True)
class FeatureSummary:
    """One feature of a dataset; numbers are None where no value is present."""

    name: str
    count: int
    missing: int
    mean: float | None = None
    std: float | None = None
    min: float | None = None
    quartiles: list[float] | None = None
    max: float | None = None


@dataclass(frozen=True)
class DatasetSummary:
    """A dataset's features, in order."""

    features: list[FeatureSummary]


@dataclass(frozen=True)
class Progress:
    """How far a fit is; `lower_bound` is a mixture's mean log-likelihood, `inertia` k-means' objective."""

    phase: str | None = None
    fraction: float | None = None
    init: int | None = None
    n_init: int | None = None
    iteration: int | None = None
    max_iter: int | None = None
    lower_bound: float | None = None
    inertia: float | None = None


@dataclass(frozen=True)
class Alias:
    """A name that points at a version; `etag` is for `if_match` when it is to be moved."""

    alias: str
    version: int
    updated_at: datetime | None = None
    etag: str | None = None


@dataclass(frozen=True)
class AliasMove:
    """One entry of an alias's history: versions, None where there was none."""

    from_version: int | None
    to_version: int | None
    by: str | None
    at: datetime
