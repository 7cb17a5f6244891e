"""Datasets."""

from datetime import datetime
from typing import Annotated

from pydantic import Field, model_validator

from app.api.instances import Instances, refusal
from app.api.schemas.common import Answer, DatasetName, FeatureName, Request
from app.domain import datasets as domain
from app.domain.rows import Rows


class DatasetUpload(Request):
    """Rows to keep."""

    instances: Instances
    feature_names: Annotated[list[FeatureName] | None, Field(min_length=1, max_length=10_000)] = None
    name: DatasetName | None = None

    @model_validator(mode="after")
    def _names_fit(self) -> "DatasetUpload":
        named(self.instances, self.feature_names)
        return self

    @property
    def rows(self) -> Rows:
        return named(self.instances, self.feature_names)


def named(rows: Rows, feature_names: list[str] | None) -> Rows:
    """The rows under these names; raises an error that points where they do not fit."""
    if feature_names is None:
        return rows
    if rows.names is None:
        if len(feature_names) != rows.n_features:
            told = f"feature_names has {len(feature_names)} names; the rows have {rows.n_features} features."
            raise refusal([("/feature_names", told)])
        return Rows(rows.X, tuple(feature_names))
    unknown = [name for name in rows.names if name not in feature_names]
    if unknown:
        raise refusal([("/instances", f"{name!r}, a key of a row, is not among feature_names.") for name in unknown])
    absent = [name for name in feature_names if name not in rows.names]
    if absent:
        raise refusal([("/feature_names", f"{name!r} is in no row.") for name in absent])
    order = [rows.names.index(name) for name in feature_names]
    return Rows(rows.X[:, order], tuple(feature_names), rows.keyed)


class Dataset(Answer):
    """A stored matrix."""

    id: str
    name: str | None = Field(description="The name it was given last.")
    n_rows: int
    n_features: int
    feature_names: list[str]
    n_missing: int
    dtype: str
    bytes: int = Field(description="Size of what was sent.")
    sha256: str = Field(description="Of the bytes that were sent.")
    created_at: datetime

    @classmethod
    def of(cls, dataset: domain.Dataset) -> "Dataset":
        return cls.model_validate(dataset, from_attributes=True)


class FeatureSummary(Answer):
    """One feature of a dataset. `std` has n − 1 in its denominator."""

    name: str
    count: int
    missing: int
    mean: float | None
    std: float | None
    min: float | None
    quartiles: list[float] | None = Field(description="Lower quartile, median, upper quartile.")
    max: float | None


class DatasetSummary(Answer):
    """A dataset, feature by feature."""

    id: str
    name: str | None
    n_rows: int
    features: list[FeatureSummary]

    @classmethod
    def of(cls, dataset: domain.Dataset) -> "DatasetSummary":
        features = [FeatureSummary.model_validate(feature) for feature in dataset.summary]
        return cls(id=dataset.id, name=dataset.name, n_rows=dataset.n_rows, features=features)


class DatasetPage(Answer):
    """One page of datasets, newest first."""

    items: list[Dataset]
    next: str | None
