"""Parameters that come from outside, checked: each refusal points at the component, and says what it should be."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.domain.errors import FieldError, InvalidRequest
from core.checks import check_matrix, check_weights
from core.covariance import COVARIANCES, Covariance
from core.errors import CollapsedComponent, InvalidParameter
from core.kmeans import Centroids
from core.mixture import Mixture

Nested = Sequence[Any] | NDArray[np.float64]


def given_mixture(weights: Nested, means: Nested, covariances: Nested, covariance_type: str, pointer: str) -> Mixture:
    """The mixture of these numbers, (k,), (k, d) and scikit-learn's shape for the type; raises `InvalidRequest`."""
    k, d = _matrix_shape(means, f"{pointer}/means")
    structure = COVARIANCES[covariance_type]
    shape = structure.shape(k, d)
    of = f"of {k} components and {d} features"
    faults = [
        *_misshapen(weights, (k,), f"{pointer}/weights", f"weights {of}"),
        *_misshapen(means, (k, d), f"{pointer}/means", f"means {of}"),
        *_misshapen(covariances, shape, f"{pointer}/covariances", f"{covariance_type} covariances {of}"),
    ]
    _refuse(faults)
    given = np.asarray(covariances, dtype=np.float64)
    _refuse([*_wrong_weights(weights, k, f"{pointer}/weights"), *_wrong(structure, given, d, f"{pointer}/covariances")])
    return Mixture.from_parameters(weights, means, given, covariance_type)


def given_centroids(cluster_centers: Nested, pointer: str) -> Centroids:
    """The centres (k, d); raises `InvalidRequest`."""
    shape = _matrix_shape(cluster_centers, pointer)
    of = f"cluster_centers of {shape[0]} clusters and {shape[1]} features"
    _refuse(_misshapen(cluster_centers, shape, pointer, of))
    return Centroids(check_matrix("cluster_centers", cluster_centers))


def _refuse(faults: Iterator[FieldError] | list[FieldError]) -> None:
    found = list(faults)
    if found:
        raise InvalidRequest(found[0].detail, found)


def _matrix_shape(rows: Nested, pointer: str) -> tuple[int, int]:
    if not len(rows) or not len(rows[0]):
        detail = f"{pointer.rpartition('/')[2]} is empty; it needs a row a component, with a number a feature."
        raise InvalidRequest.at(pointer, detail)
    return len(rows), len(rows[0])


def _misshapen(value: Nested, shape: tuple[int, ...], pointer: str, what: str) -> Iterator[FieldError]:
    if len(value) != shape[0]:
        yield FieldError(pointer, f"{len(value)} entries where {what} have {shape[0]}.")
    elif len(shape) > 1:
        for i, entry in enumerate(value):
            yield from _misshapen(entry, shape[1:], f"{pointer}/{i}", what)


def _wrong_weights(weights: Nested, k: int, pointer: str) -> Iterator[FieldError]:
    try:
        check_weights("weights", weights, k)
    except InvalidParameter as error:
        negative = [(i, weight) for i, weight in enumerate(weights) if weight < 0]
        for i, weight in negative:
            yield FieldError(f"{pointer}/{i}", f"The weight of component {i} is {weight:g}; it must be at least 0.")
        if not negative:
            yield FieldError(pointer, f"The weights {error.detail}.")


def _wrong(structure: type[Covariance], given: NDArray[np.float64], d: int, pointer: str) -> Iterator[FieldError]:
    """The covariances that are none, each by its component; one that all components share has no number."""
    if structure.shape(1, d) == structure.shape(2, d):
        fault = _fault(structure, given, d)
        if fault is not None:
            yield FieldError(pointer, f"The shared covariance {fault}.")
        return
    for i in range(len(given)):
        fault = _fault(structure, given[i : i + 1], d)
        if fault is not None:
            yield FieldError(f"{pointer}/{i}", f"The covariance of component {i} {fault}.")


def _fault(structure: type[Covariance], given: NDArray[np.float64], d: int) -> str | None:
    try:
        structure.from_covariances(given, 1, d)
    except InvalidParameter as error:
        cause = error.__cause__
        if isinstance(cause, CollapsedComponent):
            told = f"the variance left{cause.place} is {cause.variance:.3g}, and must be above {cause.bound:.3g}"
            return f"is not positive definite: {told}"
        matrix = given.reshape(given.shape[-2:])
        i, j = (int(at) for at in np.unravel_index(np.abs(matrix - matrix.T).argmax(), matrix.shape))
        return f"is not symmetric: it has {matrix[i, j]:g} at [{i}, {j}] and {matrix[j, i]:g} at [{j}, {i}]"
    return None
