"""Models as named arrays and back, to the bit: what an artifact holds."""

__all__ = ["centroids_from_arrays", "mixture_from_arrays", "to_arrays"]

from collections.abc import Mapping

import numpy as np

from core.checks import check_matrix
from core.errors import InvalidParameter
from core.kmeans import Centroids
from core.mixture import Mixture
from core.types import Floats


def to_arrays(model: Mixture | Centroids) -> dict[str, Floats]:
    """Parameters by name: weights, means, covariances of a mixture; cluster_centers of k-means.

    The Cholesky factors are left out: the same covariances give the same factors.
    """
    if isinstance(model, Centroids):
        return {"cluster_centers": np.ascontiguousarray(model.cluster_centers)}
    return {
        "weights": np.ascontiguousarray(model.weights),
        "means": np.ascontiguousarray(model.means),
        "covariances": np.ascontiguousarray(model.covariances),
    }


def mixture_from_arrays(arrays: Mapping[str, Floats], covariance_type: str) -> Mixture:
    """The mixture of `to_arrays`; `InvalidParameter` for what is absent or not a mixture's."""
    weights, means, covariances = (_named(arrays, name) for name in ("weights", "means", "covariances"))
    return Mixture.from_parameters(weights, means, covariances, covariance_type)


def centroids_from_arrays(arrays: Mapping[str, Floats]) -> Centroids:
    """The centres of `to_arrays`; `InvalidParameter` for what is absent or not an array of centres."""
    return Centroids(check_matrix("cluster_centers", _named(arrays, "cluster_centers")))


def _named(arrays: Mapping[str, Floats], name: str) -> Floats:
    if name not in arrays:
        raise InvalidParameter(name, None, "is absent")
    return arrays[name]
