"""The algorithms' parameters: scikit-learn's names and defaults, and what we add."""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, ValidationInfo, WithJsonSchema
from pydantic_core import PydanticCustomError

from app.api.schemas.common import RandomState, Request, from_query

Count = Annotated[int, Field(ge=1, le=100_000)]
Iterations = Annotated[int, Field(ge=1, le=1_000_000)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Vector = Annotated[list[float], Field(min_length=1)]
Matrix = Annotated[list[Vector], Field(min_length=1)]


def _precisions(value: Any) -> Any:
    if value is None or (isinstance(value, list) and value):
        return value
    raise PydanticCustomError("precisions", "Input should be an array of precisions")


def _centers(value: Any) -> Any:
    if value in ("k-means++", "random") or (isinstance(value, list) and _is_matrix(value)):
        return value
    raise PydanticCustomError("centers", "Input should be 'k-means++', 'random' or a matrix of centres")


def _n_init(value: Any, info: ValidationInfo) -> Any:
    if value == "auto":
        return value
    number = int(value) if from_query(info) and value.isdigit() else value
    if type(number) is int and 1 <= number <= 10_000:
        return number
    raise PydanticCustomError("n_init", "Input should be 'auto' or a whole number from 1 to 10000")


def _is_matrix(value: list[Any]) -> bool:
    rows = [row for row in value if isinstance(row, list) and row]
    return (
        len(rows) == len(value) > 0
        and len({len(row) for row in rows}) == 1
        and all(type(cell) in (int, float) for row in rows for cell in row)
    )


_MATRIX_SCHEMA = {
    "type": "array",
    "minItems": 1,
    "items": {"type": "array", "items": {"type": "number"}, "minItems": 1},
}
Precisions = Annotated[
    Any, BeforeValidator(_precisions), WithJsonSchema({"anyOf": [{"type": "array"}, {"type": "null"}]})
]
Centers = Annotated[
    Any,
    BeforeValidator(_centers),
    WithJsonSchema({"anyOf": [{"enum": ["k-means++", "random"]}, _MATRIX_SCHEMA]}),
]
RestartCount = Annotated[
    Any,
    BeforeValidator(_n_init),
    WithJsonSchema({"anyOf": [{"const": "auto"}, {"type": "integer", "minimum": 1, "maximum": 10_000}]}),
]


class GaussianMixtureParams(Request):
    """Parameters of `gaussian_mixture`."""

    n_components: Count = Field(1, description="Number of components.")
    covariance_type: Literal["full", "tied", "diag", "spherical"] = "full"
    tol: NotNegative = Field(1e-3, description="EM stops when the mean log-likelihood gains less than this.")
    reg_covar: NotNegative = Field(1e-6, description="Added to the diagonal of each covariance.")
    max_iter: Iterations = 100
    n_init: Annotated[int, Field(ge=1, le=10_000)] = Field(1, description="Restarts; the best is kept.")
    init_params: Literal["kmeans", "k-means++", "random", "random_from_data", "block"] = Field(
        "kmeans", description="`block`: consecutive equal blocks of rows."
    )
    weights_init: Vector | None = Field(None, description="One a component, summing to 1.")
    means_init: Matrix | None = Field(None, description="In original features.")
    precisions_init: Precisions = Field(None, description="Shape by covariance_type.")
    random_state: RandomState | None = None
    patience: Iterations = Field(1, description="Stop after this many successive gains below `tol`.")


class KMeansParams(Request):
    """Parameters of `kmeans`."""

    n_clusters: Count = Field(8, description="Number of clusters.")
    init: Centers = Field("k-means++", description="A start, or centres in original features.")
    n_init: RestartCount = Field("auto", description="Restarts; `auto` is 1 for k-means++ and for given centres.")
    max_iter: Iterations = 300
    tol: NotNegative = Field(1e-4, description="Relative to the features' mean variance.")
    random_state: RandomState | None = None
    algorithm: Literal["lloyd", "elkan"] = Field("lloyd", description="Both give the same result.")


class MiniBatchKMeansParams(Request):
    """Parameters of `minibatch_kmeans`."""

    n_clusters: Count = Field(8, description="Number of clusters.")
    init: Centers = Field("k-means++", description="A start, or centres in original features.")
    max_iter: Iterations = Field(100, description="Passes over the rows.")
    batch_size: Count = Field(1024, description="Rows of a batch.")
    random_state: RandomState | None = None
    tol: NotNegative = Field(0.0, description="Stop when the centres move less; 0 leaves it to the inertia.")
    max_no_improvement: Annotated[int, Field(ge=0, le=1_000_000)] | None = Field(
        10, description="Stop after so many successive batches without a smaller smoothed inertia; null: never."
    )
    init_size: Annotated[int, Field(ge=1, le=100_000_000)] | None = Field(
        None, description="Rows drawn for the start; null: 3 batches, or 3 a cluster when that is more."
    )
    n_init: RestartCount = Field("auto", description="Starts tried; `auto` is 1 for k-means++ and for given centres.")
    reassignment_ratio: Annotated[float, Field(ge=0, le=1)] = Field(
        0.01, description="A centre with less than this share of the largest one's rows is drawn anew."
    )
