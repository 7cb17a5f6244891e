"""`POST /v1/fits`."""

from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Discriminator,
    Field,
    StringConstraints,
    Tag,
    ValidationInfo,
    WithJsonSchema,
    model_validator,
)
from pydantic_core import PydanticCustomError

from app.api.instances import Instances
from app.api.labels import Labels
from app.api.schemas.columns import split_columns
from app.api.schemas.common import (
    RESERVED_ALIASES,
    AliasName,
    Description,
    FeatureName,
    ModelName,
    Request,
    Tags,
    from_query,
)
from app.api.schemas.datasets import named
from app.api.schemas.params import GaussianMixtureParams, KMeansParams, MiniBatchKMeansParams
from app.domain import fits as domain
from app.domain.rows import Rows
from app.services.datasets import InlineData

Weight = Annotated[float, Field(ge=0, allow_inf_nan=False)]
DatasetReference = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._-]{1,63}$")]


class InlineRows(Request):
    """Training rows inside the request."""

    instances: Instances
    feature_names: Annotated[list[FeatureName] | None, Field(min_length=1, max_length=10_000)] = None
    sample_weight: Annotated[list[Weight] | None, Field(min_length=1)] = Field(None, description="One a row.")
    labels: Labels | None = Field(
        None, description="One a row, whole numbers or texts: makes a mixture fit supervised, one component a label."
    )

    @model_validator(mode="after")
    def _names_fit(self) -> "InlineRows":
        named(self.instances, self.feature_names)
        return self

    @property
    def inline(self) -> InlineData:
        return InlineData(named(self.instances, self.feature_names), self.sample_weight, self.labels)


class StoredRows(Request):
    """Training rows out of a dataset."""

    dataset: DatasetReference = Field(description="Id or name.")
    features: Annotated[list[FeatureName] | None, Field(min_length=1)] = Field(
        None, description="Columns to fit; all that are not named below, when absent."
    )
    sample_weight: FeatureName | None = Field(None, description="A column.")
    labels: FeatureName | None = Field(None, description="A column: makes a mixture fit supervised.")


def _data_kind(value: Any) -> str:
    fields = value if isinstance(value, dict) else {}
    return "stored" if "dataset" in fields and "instances" not in fields else "inline"


Data = Annotated[Annotated[InlineRows, Tag("inline")] | Annotated[StoredRows, Tag("stored")], Discriminator(_data_kind)]


def _pca(value: Any, info: ValidationInfo) -> Any:
    if value is None:
        return value
    number = value
    if isinstance(value, str) and from_query(info):
        number = int(value) if value.isdigit() else _float(value)
    if (type(number) is int and 1 <= number <= 10_000) or (type(number) is float and 0 < number < 1):
        return number
    raise PydanticCustomError("pca", "Input should be a count from 1, a fraction of variance in (0, 1), or null")


def _float(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


Pca = Annotated[
    Any,
    BeforeValidator(_pca),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "integer", "minimum": 1, "maximum": 10_000},
                {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1},
                {"type": "null"},
            ]
        }
    ),
]


class Preprocess(Request):
    """Part of the model: callers always speak in original features."""

    scale: Literal["none", "standard"] = "none"
    pca: Pca = Field(None, description="A count of components, or the fraction of variance that they keep.")


def _none_held_out(value: float) -> float:
    if value != 0:
        raise ValueError(f"calibration_fraction is {value:g}; this release calibrates no p-values and takes only 0")
    return value


def _no_history(value: bool) -> bool:
    if value:
        raise ValueError("history is true; this release keeps no parameters of iterations and takes only false")
    return value


class Anomaly(Request):
    """How anomalies are flagged by default."""

    contamination: Annotated[float, Field(gt=0, le=0.5)] = Field(
        0.01, description="The threshold flags this fraction of the training rows."
    )
    calibration_fraction: Annotated[float, AfterValidator(_none_held_out), WithJsonSchema({"const": 0})] = Field(
        0.0, description="Rows held out to calibrate p-values; this release holds none out, so only 0 is taken."
    )


class FitBase(Request):
    """What every fit may say."""

    model: ModelName = Field(description="Created when new; success adds its next version.")
    data: Data
    preprocess: Preprocess = Field(default_factory=Preprocess)
    anomaly: Anomaly = Field(default_factory=Anomaly)
    alias: AliasName | None = Field(None, description="Points at the new version as soon as it is there.")
    tags: Tags = Field(default_factory=dict)
    description: Description | None = None
    timeout_s: Annotated[float, Field(gt=0, le=31_536_000)] | None = None
    priority: Annotated[int, Field(ge=-10, le=10)] = 0
    history: Annotated[bool, AfterValidator(_no_history), WithJsonSchema({"const": False})] = Field(
        False, description="Whether parameters of iterations are kept; this release keeps none."
    )

    @model_validator(mode="after")
    def _alias_is_free(self) -> "FitBase":
        if self.alias in RESERVED_ALIASES:
            raise PydanticCustomError(
                "reserved",
                "{detail}",
                {"detail": "…", "cells": [("/alias", f"{self.alias!r} always means the latest version.")]},
            )
        return self


class GaussianMixtureFit(FitBase):
    """A fit of a Gaussian mixture by EM."""

    algorithm: Literal["gaussian_mixture"]
    params: GaussianMixtureParams = Field(default_factory=GaussianMixtureParams)


class KMeansFit(FitBase):
    """A fit of k-means by Lloyd's algorithm."""

    algorithm: Literal["kmeans"]
    params: KMeansParams = Field(default_factory=KMeansParams)


class MiniBatchKMeansFit(FitBase):
    """A fit of k-means by mini-batches: for more rows than Lloyd's algorithm has patience for."""

    algorithm: Literal["minibatch_kmeans"]
    params: MiniBatchKMeansParams = Field(default_factory=MiniBatchKMeansParams)


AnyFit = GaussianMixtureFit | KMeansFit | MiniBatchKMeansFit
FitRequest = Annotated[AnyFit, Field(discriminator="algorithm"), "FitRequest"]


def to_domain(request: AnyFit, trace_id: str) -> tuple[domain.FitRequest, InlineData | None]:
    """The fit as the services take it, and the rows that came with it."""
    data = request.data
    inline = data.inline if isinstance(data, InlineRows) else None
    reference = domain.DataRef("")
    if isinstance(data, StoredRows):
        features = tuple(data.features) if data.features is not None else None
        reference = domain.DataRef(data.dataset, features, data.sample_weight, data.labels)
    draft = domain.FitRequest(
        model=request.model,
        algorithm=request.algorithm,
        data=reference,
        params=request.params.model_dump(),
        preprocess=domain.Preprocess(request.preprocess.scale, request.preprocess.pca),
        anomaly=domain.Anomaly(request.anomaly.contamination, request.anomaly.calibration_fraction),
        alias=request.alias,
        tags=request.tags,
        description=request.description,
        timeout_s=request.timeout_s,
        priority=request.priority,
        trace_id=trace_id,
    )
    return draft, inline


def place_rows(rows: Rows, options: dict[str, Any]) -> dict[str, Any]:
    """The document of a fit whose rows came as a file: `sample_weight` and `labels` name columns of it."""
    roles: dict[str, str] = {name: options.pop(name) for name in ("sample_weight", "labels") if name in options}
    document = split_columns(rows, roles)
    return options | {"data": document}
