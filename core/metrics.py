"""How good a model is: information criteria, silhouette, and agreement with known labels."""

__all__ = [
    "adjusted_rand",
    "aic",
    "bic",
    "error_rate",
    "majority_mapping",
    "normalized_mutual_info",
    "silhouette_samples",
    "silhouette_score",
]

from math import log

import numpy as np
from numpy.typing import ArrayLike
from scipy import sparse
from scipy.spatial.distance import cdist

from core.checks import check_labels, check_rows
from core.errors import InvalidParameter
from core.types import Floats, Ints

# Distances of a chunk of rows to all rows are held at once: this many.
DISTANCES = 2**22


def aic(log_likelihood: float, n_parameters: int) -> float:
    """Akaike's information criterion (1974): 2p − 2 log L, with the *total* log-likelihood; lower is better."""
    return 2.0 * n_parameters - 2.0 * log_likelihood


def bic(log_likelihood: float, n_parameters: int, n_samples: float) -> float:
    """Schwarz's criterion (1978): p log n − 2 log L, with the *total* log-likelihood; lower is better.

    `n_samples` is the number of rows, or their total weight.
    """
    return n_parameters * log(n_samples) - 2.0 * log_likelihood


def silhouette_samples(X: ArrayLike, labels: ArrayLike) -> Floats:
    """Silhouette of each row, shape (n,), in [−1, 1]: (b − a) / max(a, b) (Rousseeuw 1987).

    a is the mean distance to the other rows of the row's cluster, b the least mean distance to another cluster; a
    row alone in its cluster has 0. Distances are Euclidean, exact, and held for a chunk of rows at a time.
    Raises `InvalidParameter` unless there are from 2 to n − 1 labels.
    """
    rows = check_rows(X)
    n_samples = rows.shape[0]
    names, codes = np.unique(check_labels("labels", labels, n_samples), return_inverse=True)
    if not 2 <= names.size < n_samples:
        raise InvalidParameter("labels", labels, f"must name from 2 to {n_samples - 1} clusters, not {names.size}")
    one_hot = sparse.csr_array((np.ones(n_samples), codes, np.arange(n_samples + 1)), shape=(n_samples, names.size))
    sizes = np.bincount(codes)
    result = np.empty(n_samples)
    step = max(1, DISTANCES // n_samples)
    for start in range(0, n_samples, step):
        part = slice(start, start + step)
        own, place = codes[part], np.arange(codes[part].size)
        totals = np.asarray((one_hot.T @ cdist(rows[part], rows).T).T)
        within = totals[place, own] / np.maximum(sizes[own] - 1, 1)
        between = totals / sizes
        between[place, own] = np.inf
        nearest = between.min(axis=1)
        larger = np.maximum(within, nearest)
        result[part] = np.where((sizes[own] > 1) & (larger > 0), nearest - within, 0.0) / np.where(
            larger > 0, larger, 1.0
        )
    return result


def silhouette_score(X: ArrayLike, labels: ArrayLike) -> float:
    """Mean silhouette of the rows (Rousseeuw 1987)."""
    return float(silhouette_samples(X, labels).mean())


def adjusted_rand(labels_true: ArrayLike, labels_pred: ArrayLike) -> float:
    """Adjusted Rand index (Hubert & Arabie 1985): 1 for the same partition, about 0 for unrelated ones."""
    table, _, _ = _contingency(labels_true, labels_pred)
    # Python's integers: squares of counts, and their products, pass 64 bits for a few million rows.
    n = int(table.sum())
    together = sum(int(count) ** 2 for count in table.data)
    rows = sum(int(count) ** 2 for count in table.sum(axis=1))
    columns = sum(int(count) ** 2 for count in table.sum(axis=0))
    both, only_true, only_pred = together - n, rows - together, columns - together
    neither = n * n - n - both - only_true - only_pred
    if only_true == 0 and only_pred == 0:
        return 1.0
    return (2 * (both * neither - only_true * only_pred)) / (
        (both + only_true) * (only_true + neither) + (both + only_pred) * (only_pred + neither)
    )


def normalized_mutual_info(labels_true: ArrayLike, labels_pred: ArrayLike) -> float:
    """Mutual information over the mean of both entropies, in [0, 1]; 1 when both have one cluster only."""
    table, _, _ = _contingency(labels_true, labels_pred)
    n = float(table.sum())
    rows, columns = np.asarray(table.sum(axis=1)), np.asarray(table.sum(axis=0))
    if rows.size == 1 and columns.size == 1:
        return 1.0
    entropies = _entropy(rows / n), _entropy(columns / n)
    joint = table.tocoo()
    share = joint.data / n
    expected = (rows[joint.coords[0]] / n) * (columns[joint.coords[1]] / n)
    information = max(float((share * np.log(share / expected)).sum()), 0.0)
    return min(information / float(np.mean(entropies)), 1.0)


def majority_mapping(labels_true: ArrayLike, labels_pred: ArrayLike) -> dict[int, int]:
    """For each predicted label the true label that most of its rows have; the smallest of equals."""
    table, true, pred = _contingency(labels_true, labels_pred)
    winners = np.asarray(table.toarray().argmax(axis=0))
    return {int(label): int(true[winner]) for label, winner in zip(pred, winners, strict=True)}


def error_rate(labels_true: ArrayLike, labels_pred: ArrayLike) -> float:
    """Share of the rows whose true label is not the majority label of their cluster, in [0, 1]."""
    table, _, _ = _contingency(labels_true, labels_pred)
    return 1.0 - float(table.toarray().max(axis=0).sum()) / float(table.sum())


def _contingency(labels_true: ArrayLike, labels_pred: ArrayLike) -> tuple[sparse.csr_array, Ints, Ints]:
    """Counts of rows by true label (rows) and predicted label (columns), and what those labels are."""
    size = np.size(labels_true)
    if size == 0:
        raise InvalidParameter("labels_true", labels_true, "must not be empty")
    true, i = np.unique(check_labels("labels_true", labels_true, size), return_inverse=True)
    pred, j = np.unique(check_labels("labels_pred", labels_pred, size), return_inverse=True)
    counts = sparse.coo_array((np.ones(size, dtype=np.int64), (i, j)), shape=(true.size, pred.size))
    return counts.tocsr(), true, pred


def _entropy(shares: Floats) -> float:
    return float(-(shares * np.log(shares)).sum())
