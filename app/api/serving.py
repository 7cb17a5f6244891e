"""The serving verbs, each at the model (its default version) and at a version."""

from collections.abc import Callable
from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, Depends
from starlette.responses import Response

from app.api import examples
from app.api.answers import CSV, accepts_json, accepts_rows, rows_response
from app.api.bodies import Body, Parsed, describe, rows_at_top
from app.api.deps import Use
from app.api.models import ModelPath, VersionPath
from app.api.openapi import BODY, Responses, problems
from app.api.schemas.columns import split_columns
from app.api.schemas.serving import (
    Anomalies,
    AnomalyRequest,
    Density,
    Distances,
    EvaluateRequest,
    Evaluation,
    Predicted,
    Probabilities,
    RowsRequest,
    Sample,
    SampleRequest,
)
from app.domain.errors import InvalidRequest
from app.domain.rows import Rows, bind, refuse_missing
from app.services.inference import Served
from core.types import Floats

router = APIRouter(prefix="/v1/models", tags=["serving"])

# For each verb that answers row by row: the outputs that become columns of a CSV.
COLUMNS = {
    "predict": ("labels",),
    "predict_proba": ("probabilities", "ambiguity"),
    "density": ("log_density", "density"),
    "transform": ("distances",),
    "anomaly": ("score", "is_anomaly"),
    "sample": ("instances", "labels"),
}


def default_version(use: Use, name: ModelPath) -> Served:
    """The version that serves when none is named."""
    return use.models.load(name, None)


def named_version(use: Use, name: ModelPath, version: VersionPath) -> Served:
    """The version of the path."""
    return use.models.load(name, version)


def _evaluate_place(rows: Rows, options: dict[str, Any]) -> dict[str, Any]:
    roles = {"labels": options.pop("labels")} if "labels" in options else {}
    return options | split_columns(rows, roles)


rows_body: Body[RowsRequest] = Body(RowsRequest, rows_at_top)
anomaly_body: Body[AnomalyRequest] = Body(AnomalyRequest, rows_at_top)
sample_body: Body[SampleRequest] = Body(SampleRequest)
evaluate_body: Body[EvaluateRequest] = Body(EvaluateRequest, _evaluate_place)

Handler = Callable[[Served, Any], dict[str, Any]]


def matrix(served: Served, rows: Rows, what: str) -> Floats:
    """The rows as the model's features, without gaps; raises `FeatureMismatch`, `InvalidRequest`."""
    X = bind(rows, served.feature_names)
    refuse_missing(X, rows, served.feature_names, "/instances", what)
    return X


def predict(served: Served, body: RowsRequest) -> dict[str, Any]:
    """The component or cluster of each row."""
    return {"labels": served.predict(matrix(served, body.instances, "predict"))}


def predict_proba(served: Served, body: RowsRequest) -> dict[str, Any]:
    """The probability of each component given the row, and how undecided that is (0 … 1). Mixtures only."""
    probabilities, ambiguity = served.predict_proba(matrix(served, body.instances, "predict_proba"))
    return {"probabilities": probabilities, "ambiguity": ambiguity}


def density(served: Served, body: RowsRequest) -> dict[str, Any]:
    """The mixture's density at each row, in original features. Mixtures only."""
    log_density = served.log_density(matrix(served, body.instances, "density"))
    with np.errstate(over="ignore"):
        return {"log_density": log_density, "density": np.exp(log_density)}


def transform(served: Served, body: RowsRequest) -> dict[str, Any]:
    """Distances of each row: Mahalanobis to components, Euclidean to cluster centres.

    Where the fit scaled its rows or rotated them, distances are those between the rows it saw: scaled, rotated.
    """
    return {"distances": served.distances(matrix(served, body.instances, "transform"))}


def anomaly(served: Served, body: AnomalyRequest) -> dict[str, Any]:
    """Scores (−log density; for k-means the nearest of the distances of `transform`), flagged above the threshold."""
    if body.contamination is not None and body.threshold is not None:
        raise InvalidRequest.at("/threshold", "contamination and threshold exclude each other; send one of them.")
    X = matrix(served, body.instances, "anomaly")
    flags = served.anomaly(X, body.contamination, body.threshold)
    return {
        "score": flags.score,
        "is_anomaly": flags.is_anomaly,
        "threshold": flags.threshold,
        "p_value": None,
        "n_flagged": int(flags.is_anomaly.sum()),
        "warnings": [],
    }


def sample(served: Served, body: SampleRequest) -> dict[str, Any]:
    """Rows drawn from the mixture, in original features. Mixtures only."""
    instances, labels = served.sample(body.n_samples, body.random_state)
    return {"instances": instances, "labels": labels}


def evaluate(served: Served, body: EvaluateRequest) -> dict[str, Any]:
    """How well the model suits the rows; with labels, how far its groups are those."""
    return served.evaluate(matrix(served, body.instances, "evaluate"), body.labels)


def _add(
    handler: Handler,
    summary: str,
    body: Body[Any],
    answer: type,
    samples: dict[str, Any],
    csv: str | None = examples.CSV,
) -> None:
    verb = handler.__name__
    columns = COLUMNS.get(verb)
    accepts = accepts_rows if columns else accepts_json

    def answer_rows(served: Served, parsed: Any, media_type: str) -> Response:
        found = handler(served, parsed.value)
        reference = {"model": {"name": served.name, "version": served.version}}
        return rows_response(media_type, reference | found, columns or (), served.feature_names)

    def at_model(
        served: Annotated[Served, Depends(default_version)],
        parsed: Annotated[Parsed[Any], Depends(body)],
        media_type: Annotated[str, Depends(accepts)],
    ) -> Response:
        return answer_rows(served, parsed, media_type)

    def at_version(
        served: Annotated[Served, Depends(named_version)],
        parsed: Annotated[Parsed[Any], Depends(body)],
        media_type: Annotated[str, Depends(accepts)],
    ) -> Response:
        return answer_rows(served, parsed, media_type)

    shown: Responses = {200: {"content": {CSV: {"schema": {"type": "string"}}}}} if columns else {}
    for path, endpoint, where in (
        ("/{name}/", at_model, "by the model's default version"),
        ("/{name}/versions/{version}/", at_version, "by one version"),
    ):
        router.add_api_route(
            path + verb,
            endpoint,
            methods=["POST"],
            operation_id=f"{verb}_{endpoint.__name__}",
            summary=f"{summary} {where}",
            description=handler.__doc__,
            response_model=answer,
            responses=problems(404, 503, *BODY, also=shown),
            openapi_extra=describe(body, samples, csv),
        )


_add(predict, "Assign rows", rows_body, Predicted, examples.SERVE)
_add(predict_proba, "Give probabilities", rows_body, Probabilities, examples.SERVE)
_add(density, "Give densities", rows_body, Density, examples.SERVE)
_add(transform, "Give distances", rows_body, Distances, examples.SERVE)
_add(anomaly, "Flag anomalies", anomaly_body, Anomalies, examples.SERVE)
_add(sample, "Draw rows", sample_body, Sample, {"five": {"n_samples": 5, "random_state": 0}}, None)
_add(evaluate, "Evaluate rows", evaluate_body, Evaluation, examples.EVALUATE)
