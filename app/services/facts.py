"""What is told of an imported version beside its numbers: as its file says, or as follows from them."""

import re
from typing import Any

import numpy as np

from app.domain.errors import InvalidRequest
from app.services.model_file import FittedModel
from core.mixture import Mixture

DOCUMENTS = ("params", "metrics", "anomaly", "preprocess")
MOST_ROWS = 2**53
DEEPEST = 5
_SHA256 = re.compile(r"[0-9a-f]{64}")


def derived_facts(fitted: FittedModel) -> dict[str, Any]:
    """All that follows from the numbers alone; `n_samples` is 0 where no rows were seen."""
    way, scores = fitted.preprocess, fitted.training_scores
    params: dict[str, Any]
    metrics: dict[str, Any] = {}
    if isinstance(fitted.model, Mixture):
        params = {"n_components": fitted.model.n_components, "covariance_type": fitted.model.covariance_type}
        metrics = {"n_parameters": fitted.model.n_parameters, "weights": fitted.model.weights.tolist()}
    else:
        params = {"n_clusters": fitted.model.n_clusters}
    threshold = None
    if scores is not None and fitted.contamination is not None:
        threshold = scores.threshold(fitted.contamination)
    return {
        "params": params,
        "n_samples": 0 if scores is None else int(scores.levels[-1]) + 1,
        "metrics": metrics,
        "anomaly": {"contamination": fitted.contamination, "calibration_fraction": 0.0, "threshold": threshold},
        "preprocess": {
            "scale": "none" if np.all(way.scale == 1) else "standard",
            "pca": None if way.rotation is None else way.n_features_out,
            "n_features_out": way.n_features_out,
        },
        "lineage": {"origin": "import", "dataset": None, "libraries": None},
    }


def checked_facts(facts: Any) -> dict[str, Any]:
    """The facts of a file, when they have their form; raises `InvalidRequest`. Whether they are true it cannot tell."""
    if not isinstance(facts, dict) or set(facts) != {*DOCUMENTS, "n_samples", "lineage"}:
        raise InvalidRequest.at("/header/facts", f"facts should hold {', '.join(DOCUMENTS)}, n_samples and lineage.")
    for name in DOCUMENTS:
        if not isinstance(facts[name], dict) or not _is_plain(facts[name], DEEPEST):
            raise InvalidRequest.at(f"/header/facts/{name}", f"{name} should be an object of at most {DEEPEST} levels.")
    n_samples = facts["n_samples"]
    if type(n_samples) is not int or not 0 <= n_samples <= MOST_ROWS:
        raise InvalidRequest.at("/header/facts/n_samples", "n_samples should be a number of rows.")
    if not _is_lineage(facts["lineage"]):
        raise InvalidRequest.at("/header/facts/lineage", "lineage should tell origin, dataset and libraries.")
    return facts


def _is_plain(value: Any, depth: int) -> bool:
    if isinstance(value, dict):
        return depth > 0 and all(_is_plain(inner, depth - 1) for inner in value.values())
    if isinstance(value, list):
        return depth > 0 and all(_is_plain(inner, depth - 1) for inner in value)
    return True


def _is_lineage(lineage: Any) -> bool:
    if not isinstance(lineage, dict) or set(lineage) != {"origin", "dataset", "libraries"}:
        return False
    libraries = lineage["libraries"]
    told = libraries is None or (isinstance(libraries, dict) and all(isinstance(v, str) for v in libraries.values()))
    return lineage["origin"] in ("fit", "import") and told and _is_dataset(lineage["dataset"])


def _is_dataset(dataset: Any) -> bool:
    if dataset is None:
        return True
    if not isinstance(dataset, dict) or set(dataset) != {"id", "sha256", "features", "sample_weight", "labels"}:
        return False
    features = dataset["features"]
    named = features is None or (isinstance(features, list) and all(isinstance(name, str) for name in features))
    roles = all(isinstance(dataset[role], str | None) for role in ("sample_weight", "labels"))
    hashed = isinstance(dataset["sha256"], str) and _SHA256.fullmatch(dataset["sha256"]) is not None
    return named and roles and hashed and isinstance(dataset["id"], str)
