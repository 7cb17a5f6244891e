"""Data that several modules are tested on."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

STRUCTURES = ("full", "tied", "diag", "spherical")


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(20)


@pytest.fixture
def blobs() -> Callable[..., tuple[NDArray[np.float64], NDArray[np.int64]]]:
    """Overlapping correlated groups: EM needs some iterations on them."""

    def make(n: int = 400, d: int = 3, k: int = 3, seed: int = 0, distance: float = 2.5):
        rng = np.random.default_rng(seed)
        labels = rng.integers(0, k, n)
        centers = rng.normal(scale=distance, size=(k, d))
        mixing = rng.normal(size=(k, d, d)) / np.sqrt(d) + np.eye(d)
        noise = rng.normal(size=(n, d))
        return centers[labels] + np.einsum("ni,nij->nj", noise, mixing[labels]), labels

    return make
