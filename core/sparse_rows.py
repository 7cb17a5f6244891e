"""Sparse rows, for those methods to which they come naturally: k-means."""

__all__ = ["Rows", "check_any_rows", "dense"]

from typing import Any, TypeAlias, Union

import numpy as np
from numpy.typing import ArrayLike
from scipy import sparse

from core.checks import check_rows
from core.errors import InvalidRows
from core.types import Floats

# A string inside, because the class takes no parameters when it is run.
Rows: TypeAlias = Union[Floats, "sparse.csr_array[Any, Any]"]


def check_any_rows(X: ArrayLike | Rows, n_features: int | None = None, *, owner: str = "the model") -> Rows:
    """Rows as `check_rows` has them, or sparse ones of any scipy format as a CSR array, without a copy where they can.

    Raises `InvalidRows`, with the place of the first fault.
    """
    if not sparse.issparse(X):
        return check_rows(X, n_features, owner=owner)
    if X.dtype.kind not in "iuf":
        raise InvalidRows(f"rows must be real numbers, not {X.dtype}")
    if X.ndim != 2:
        # Refused as an array of as many dimensions is.
        check_rows(np.zeros((1,) * X.ndim), owner=owner)
    kind = np.float32 if X.dtype == np.float32 else np.float64
    rows: sparse.csr_array[Any, Any] = sparse.csr_array(X).astype(kind, copy=False)
    if not rows.has_canonical_format:
        # A value may be given in parts, and finite parts may have an infinite sum; the caller's matrix stays as it is.
        rows = rows.copy()
        rows.sum_duplicates()
    # Faults in its inside, shapes and finite values, are told as those of dense rows with as many features.
    check_rows(np.zeros((min(rows.shape[0], 1), rows.shape[1])), n_features, owner=owner)
    faulty = ~np.isfinite(rows.data)
    if faulty.any():
        entry = int(np.argmax(faulty))
        row, column = int(np.searchsorted(rows.indptr, entry, side="right")) - 1, int(rows.indices[entry])
        raise InvalidRows(f"X contains {'NaN' if np.isnan(rows.data[entry]) else 'an infinite value'}", row, column)
    return rows


def dense(rows: Rows) -> Floats:
    """The rows as an array: a few of them, when they are sparse."""
    result: Floats = rows.toarray() if sparse.issparse(rows) else rows
    return result
