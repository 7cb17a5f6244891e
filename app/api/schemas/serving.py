"""The serving verbs."""

from typing import Annotated

from pydantic import Field

from app.api.instances import Instances
from app.api.labels import Labels
from app.api.schemas.common import Answer, ModelRef, RandomState, Request


class RowsRequest(Request):
    """Rows, and nothing else to say."""

    instances: Instances


class AnomalyRequest(Request):
    """At most one of `contamination` and `threshold`; the fit's contamination when there is neither."""

    instances: Instances
    contamination: Annotated[float, Field(gt=0, le=0.5)] | None = Field(
        None, description="Use the threshold that flags this fraction of the training rows."
    )
    threshold: Annotated[float, Field(allow_inf_nan=False)] | None = Field(None, description="Flag scores above this.")


class SampleRequest(Request):
    """How much to draw."""

    n_samples: Annotated[int, Field(ge=1, le=100_000)] = 1
    random_state: RandomState | None = Field(None, description="The same number draws the same rows.")


class EvaluateRequest(Request):
    """Rows, and what they are known to be."""

    instances: Instances
    labels: Labels | None = Field(None, description="One a row: whole numbers, or texts.")


class RowsAnswer(Answer):
    model: ModelRef


class Predicted(RowsAnswer):
    """The component or cluster of each row."""

    labels: list[int]


class Probabilities(RowsAnswer):
    """Responsibilities, one row an instance, summing to 1; and their entropy over ln k."""

    probabilities: list[list[float]]
    ambiguity: list[float]


class Density(RowsAnswer):
    """The mixture's density at each row, in original features. A density too large for a number is null."""

    log_density: list[float | None]
    density: list[float | None]


class Distances(RowsAnswer):
    """Mahalanobis distances to components, Euclidean ones to cluster centres.

    Where the fit scaled its rows or rotated them, distances are those between the rows it saw: scaled, rotated.
    """

    distances: list[list[float | None]]


class Anomalies(RowsAnswer):
    """`is_anomaly` is `score > threshold`; p-values need a calibration, and are null without one."""

    score: list[float | None]
    is_anomaly: list[bool]
    threshold: float | None
    p_value: list[float] | None
    n_flagged: int
    warnings: list[str]


class Sample(RowsAnswer):
    """Rows drawn from the mixture, in original features, and the component of each."""

    instances: list[list[float | None]]
    labels: list[int]


class Evaluation(RowsAnswer):
    """How well the model suits the rows; the lower half only with labels."""

    n_samples: int
    mean_log_likelihood: float | None
    aic: float | None
    bic: float | None
    inertia: float | None
    silhouette: float | None
    silhouette_rows: int | None = Field(description="How many rows it is of: all, or a fixed sample of 10 000.")
    adjusted_rand: float | None = None
    normalized_mutual_info: float | None = None
    error_rate: float | None = None
    mapping: dict[str, int | str] | None = Field(None, description="Majority label of each component or cluster.")
