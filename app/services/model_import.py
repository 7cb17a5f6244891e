"""Models from outside: a file of this service or of another one, or bare parameters; checked before they are kept."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load

from app.domain.errors import InvalidRequest
from app.domain.rows import MAX_FEATURES, check_names
from app.services.algorithms import ALGORITHMS
from app.services.facts import checked_facts, derived_facts
from app.services.given import given_centroids, given_mixture
from app.services.model_file import FittedModel, header_of
from core.affine import AffineMap
from core.anomaly import ScoreQuantiles
from core.covariance import COVARIANCES
from core.errors import InvalidParameter
from core.kmeans import Centroids
from core.mixture import Mixture

Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class Imported:
    """A model that passed, and what is told of it; `file` is the sha256 of the file it came as."""

    fitted: FittedModel
    facts: dict[str, Any]
    file: str | None = None


def from_parameters(algorithm: str, parameters: Mapping[str, Any], feature_names: Sequence[str] | None) -> Imported:
    """The model of bare parameters, in original features; raises `InvalidRequest` that points at what is wrong."""
    pointer = "/parameters"
    model: Mixture | Centroids
    if "cluster_centers" in parameters:
        model = given_centroids(parameters["cluster_centers"], f"{pointer}/cluster_centers")
        d = model.cluster_centers.shape[1]
    else:
        model = given_mixture(**parameters, pointer=pointer)
        d = model.n_features
    names = tuple(feature_names) if feature_names is not None else tuple(f"x{j}" for j in range(d))
    _check_features(names, d, "/feature_names")
    fitted = FittedModel(algorithm, names, model, AffineMap.identity(d), None, None)
    return Imported(fitted, derived_facts(fitted))


def from_file(content: bytes, sha256: str) -> Imported:
    """The model of a file that some Mixtura wrote.

    Raises `InvalidRequest`, with pointers to its arrays (`/model/means`) and to what its header says
    (`/header/feature_names`); for a file of another kind to the whole.
    """
    try:
        header, arrays = header_of(content), load(content)
        names = header["feature_names"]
        algorithm, covariance_type = header["algorithm"], header["covariance_type"]
        contamination = header["contamination"]
    except (SafetensorError, ValueError, KeyError, TypeError, AttributeError):
        raise InvalidRequest.at("", "The body is not a model file as `GET …/artifact` gives it.") from None
    if not isinstance(algorithm, str) or algorithm not in ALGORITHMS:
        raise InvalidRequest.at("/header/algorithm", f"{str(algorithm)[:60]!r} is no algorithm that is known here.")
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise InvalidRequest.at("/header/feature_names", "feature_names should be a list of texts.")
    _check_kinds(arrays)
    model = _model(arrays, algorithm, covariance_type)
    preprocess = _preprocess(arrays, model)
    _check_features(tuple(names), preprocess.n_features_in, "/header/feature_names")
    scores = _scores(arrays)
    fitted = FittedModel(algorithm, tuple(names), model, preprocess, scores, _contamination(contamination, scores))
    if arrays:
        name = next(iter(arrays))
        raise InvalidRequest.at(f"/{name}", f"{name[:60]!r} is no array of a model file.")
    facts = derived_facts(fitted) if "facts" not in header else checked_facts(header["facts"])
    return Imported(fitted, facts, sha256)


def _check_features(names: tuple[str, ...], d: int, pointer: str) -> None:
    if d > MAX_FEATURES:
        raise InvalidRequest.at(pointer, f"The model has {d} features; at most {MAX_FEATURES} are taken.")
    if len(names) != d:
        raise InvalidRequest.at(pointer, f"feature_names has {len(names)} names; the model has {d} features.")
    check_names(names, pointer)


def _check_kinds(arrays: Arrays) -> None:
    for name, array in arrays.items():
        wanted = np.dtype(np.int64) if name == "scores/levels" else np.dtype(np.float64)
        if array.dtype != wanted:
            raise InvalidRequest.at(f"/{name}", f"{name[:60]} holds {array.dtype}; it should hold {wanted}.")
        if name != "scores/values" and not np.isfinite(array).all():
            place = "/".join(str(i) for i in np.argwhere(~np.isfinite(array))[0])
            raise InvalidRequest.at(f"/{name}/{place}", f"{name[:60]} is not finite there.")


def _take(arrays: Arrays, name: str, ndim: int) -> NDArray[Any]:
    array = arrays.pop(name, None)
    if array is None or array.ndim != ndim or not array.size:
        what = "is absent" if array is None else f"has the shape {array.shape}"
        raise InvalidRequest.at(f"/{name}", f"{name} {what}; it should be an array of {ndim} dimensions, not empty.")
    return array


def _model(arrays: Arrays, algorithm: str, covariance_type: object) -> Mixture | Centroids:
    if algorithm != "gaussian_mixture":
        if covariance_type is not None:
            raise InvalidRequest.at("/header/covariance_type", f"{algorithm} has no covariances.")
        return given_centroids(_take(arrays, "model/cluster_centers", 2), "/model/cluster_centers")
    if not isinstance(covariance_type, str) or covariance_type not in COVARIANCES:
        known = ", ".join(COVARIANCES)
        raise InvalidRequest.at("/header/covariance_type", f"{str(covariance_type)[:60]!r} is not one of {known}.")
    weights, means = _take(arrays, "model/weights", 1), _take(arrays, "model/means", 2)
    covariances = _take(arrays, "model/covariances", len(COVARIANCES[covariance_type].shape(1, 1)))
    return given_mixture(weights, means, covariances, covariance_type, "/model")


def _preprocess(arrays: Arrays, model: Mixture | Centroids) -> AffineMap:
    inside = model.n_features if isinstance(model, Mixture) else model.cluster_centers.shape[1]
    parts = {name: _take(arrays, f"preprocess/{name}", 1) for name in ("offset", "scale")}
    parts |= {
        name: _take(arrays, f"preprocess/{name}", ndim)
        for name, ndim in (("rotation", 2), ("units", 1))
        if f"preprocess/{name}" in arrays
    }
    try:
        way = AffineMap(**parts)
    except InvalidParameter as error:
        raise InvalidRequest.at(f"/preprocess/{error.name}", f"{error}.") from error
    if way.n_features_out != inside:
        detail = f"The way in gives {way.n_features_out} features; the model has {inside}."
        raise InvalidRequest.at("/preprocess", detail)
    return way


def _scores(arrays: Arrays) -> ScoreQuantiles | None:
    if not {"scores/levels", "scores/values"} & set(arrays):
        return None
    levels, values = _take(arrays, "scores/levels", 1), _take(arrays, "scores/values", 1)
    if levels[0] != 0 or (np.diff(levels) <= 0).any():
        raise InvalidRequest.at("/scores/levels", "The levels should be ranks that rise from 0.")
    if len(values) != len(levels) or np.isnan(values).any() or (values[1:] < values[:-1]).any():
        raise InvalidRequest.at("/scores/values", f"The values should be {len(levels)} numbers in ascending order.")
    return ScoreQuantiles(levels, values)


def _contamination(value: object, scores: ScoreQuantiles | None) -> float | None:
    if scores is None and value is None:
        return None
    if scores is not None and isinstance(value, float) and 0 < value <= 0.5:
        return value
    detail = f"contamination is {str(value)[:60]}; with scores it is in (0, 0.5], without them null."
    raise InvalidRequest.at("/header/contamination", detail)
