"""The rows that everything is measured on, and where iterations begin."""

__all__ = ["Array", "Blobs", "blobs"]

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.core.shapes import Shape

Array = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Blobs:
    """Rows (n, d), and two ways to begin: centres (k, d) half a deviation beside the groups', and k of the rows."""

    X: Array
    centers: Array
    chosen: Array


@cache
def blobs(shape: Shape, dtype: str = "float64") -> Blobs:
    """Correlated groups that overlap, about the origin."""
    if dtype != "float64":
        exact = blobs(shape)
        return Blobs(*(array.astype(dtype) for array in (exact.X, exact.centers, exact.chosen)))
    n, d, k = shape
    rng = np.random.default_rng(0)
    centers = rng.normal(scale=2.5, size=(k, d))
    mixing = rng.normal(size=(k, d, d)) / np.sqrt(d) + np.eye(d)
    labels = rng.integers(0, k, n)
    X = rng.normal(size=(n, d))
    for component in range(k):
        X[labels == component] = X[labels == component] @ mixing[component] + centers[component]
    offset = X.mean(axis=0)
    X -= offset
    return Blobs(X, centers - offset + rng.normal(scale=0.5, size=(k, d)), X[:: n // k][:k].copy())
