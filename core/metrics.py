"""How good a model is: information criteria, separation of its clusters, and agreement with known labels."""

__all__ = [
    "adjusted_rand_score",
    "aic",
    "bic",
    "calinski_harabasz_score",
    "davies_bouldin_score",
    "error_rate",
    "icl",
    "majority_mapping",
    "normalized_mutual_info_score",
    "silhouette_samples",
    "silhouette_score",
]

from math import log

import numpy as np
from numpy.typing import ArrayLike
from scipy import sparse
from scipy.special import entr

from core.checks import check_labels, check_matrix, check_sample_weight
from core.errors import InvalidParameter
from core.separation import calinski_harabasz_score, davies_bouldin_score
from core.silhouette import silhouette_samples, silhouette_score
from core.types import Floats, Ints

# Responsibilities sum to 1 within this: what survives float32.
RESP_TOLERANCE = 1e-6


def aic(log_likelihood: float, n_parameters: int) -> float:
    """Akaike's information criterion (1974): 2p − 2 log L, with the *total* log-likelihood; lower is better."""
    return 2.0 * n_parameters - 2.0 * log_likelihood


def bic(log_likelihood: float, n_parameters: int, n_samples: float) -> float:
    """Schwarz's criterion (1978): p log n − 2 log L, with the *total* log-likelihood; lower is better.

    `n_samples` is the number of rows, or their total weight.
    """
    return n_parameters * log(n_samples) - 2.0 * log_likelihood


def icl(
    log_likelihood: float,
    n_parameters: int,
    n_samples: float,
    resp: ArrayLike,
    sample_weight: ArrayLike | None = None,
) -> float:
    """Integrated completed likelihood, BIC + 2 E with the entropy E = −Σᵢ wᵢ Σₖ rᵢₖ log rᵢₖ (nats); lower is better.

    `resp` (n, k) are the responsibilities, each row summing to 1 within 1e-6; the other arguments are those of `bic`.
    This is −2 times the criterion of Biernacki, Celeux & Govaert (2000), with responsibilities where they have
    the most probable component (McLachlan & Peel 2000, §6.10.3). E is 0 where every row is sure of its component.
    """
    shares = check_matrix("resp", resp)
    weight = check_sample_weight(sample_weight, shares.shape[0])
    if ((shares < 0) | (shares > 1 + RESP_TOLERANCE)).any():
        row = int(np.argmax(((shares < 0) | (shares > 1 + RESP_TOLERANCE)).any(axis=1)))
        raise InvalidParameter("resp", resp, f"must lie in [0, 1] (row {row})")
    wrong = np.abs(shares.sum(axis=1) - 1) > RESP_TOLERANCE
    if wrong.any():
        raise InvalidParameter("resp", resp, f"must sum to 1 over the components (row {int(np.argmax(wrong))})")
    return bic(log_likelihood, n_parameters, n_samples) + 2.0 * float(weight @ entr(shares).sum(axis=1))


def adjusted_rand_score(labels_true: ArrayLike, labels_pred: ArrayLike) -> float:
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


def normalized_mutual_info_score(labels_true: ArrayLike, labels_pred: ArrayLike) -> float:
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
