"""What is accepted from outside: scalars by their exact type and bound, arrays by shape, rows by place."""

__all__ = [
    "check_array",
    "check_boolean",
    "check_choice",
    "check_integer",
    "check_labels",
    "check_matrix",
    "check_random_state",
    "check_real",
    "check_rows",
    "check_sample_weight",
    "check_verbose",
    "check_weights",
]

from collections.abc import Iterable
from math import isfinite
from numbers import Integral, Real

import numpy as np
from numpy.typing import ArrayLike
from scipy import sparse

from core.errors import InvalidCell, InvalidParameter, InvalidRows
from core.types import Floats, Ints

# Weights must sum to one within this: what survives a decimal file, or a float32.
SUM_TOLERANCE, SUM_TOLERANCE_FLOAT32 = 1e-8, 1e-6

# OpenBLAS gives a sum of products of at most so many values to a single thread anyway.
SERIAL_DOT = 2**13


def check_integer(name: str, value: object, minimum: int) -> int:
    """An integer of at least `minimum`; a boolean is not one, nor is 2.0."""
    if isinstance(value, bool | np.bool_) or not isinstance(value, Integral):
        raise InvalidParameter(name, value, f"must be an integer, at least {minimum}")
    if value < minimum:
        raise InvalidParameter(name, value, f"must be at least {minimum}")
    return int(value)


def check_real(name: str, value: object, minimum: float) -> float:
    """A finite real number of at least `minimum`; a boolean is not one."""
    if isinstance(value, bool | np.bool_) or not isinstance(value, Real):
        raise InvalidParameter(name, value, f"must be a real number, at least {minimum:g}")
    if not isfinite(value) or value < minimum:
        raise InvalidParameter(name, value, f"must be finite and at least {minimum:g}")
    return float(value)


def check_choice(name: str, value: object, choices: Iterable[str]) -> str:
    """One of a few strings."""
    known = tuple(choices)
    if not isinstance(value, str) or value not in known:
        raise InvalidParameter(name, value, "must be one of " + ", ".join(repr(choice) for choice in known))
    return value


def check_array(name: str, value: ArrayLike, shape: tuple[int, ...]) -> Floats:
    """A finite float64 array of exactly this shape."""
    try:
        array = np.asarray(value)
        if array.dtype.kind not in "iuf":
            raise InvalidParameter(name, value, f"must be an array of numbers of shape {shape}")
        array = np.array(array, dtype=np.float64, order="C")
    except InvalidParameter:
        raise
    except (TypeError, ValueError) as error:
        raise InvalidParameter(name, value, f"must be an array of numbers of shape {shape}") from error
    if array.shape != shape:
        raise InvalidParameter(name, value, f"must have shape {shape}, not {array.shape}")
    finite = np.isfinite(array)
    if not finite.all():
        place = ", ".join(str(index) for index in np.argwhere(~finite)[0])
        raise InvalidParameter(name, value, f"must be finite, and is not at [{place}]")
    return array


def check_matrix(name: str, value: ArrayLike) -> Floats:
    """A finite float64 array of some shape (m, n), neither of them 0."""
    try:
        shape = np.shape(value)
    except ValueError as error:
        raise InvalidParameter(name, value, "must be a 2-D array of numbers, not ragged") from error
    if len(shape) != 2 or 0 in shape:
        raise InvalidParameter(name, value, f"must be a 2-D array, and not empty: its shape is {shape}")
    return check_array(name, value, shape)


def check_weights(name: str, value: ArrayLike, n_components: int) -> Floats:
    """Mixing weights, shape (n_components,): in [0, 1] and summing to one within 1e-8."""
    weights = check_array(name, value, (n_components,))
    if (weights < 0).any():
        component = int(np.argmax(weights < 0))
        raise InvalidParameter(
            name, value, f"must be at least 0, and is {weights[component]:g} for component {component}"
        )
    total = float(weights.sum())
    tolerance = SUM_TOLERANCE_FLOAT32 if np.asarray(value).dtype == np.float32 else SUM_TOLERANCE
    if abs(total - 1) > tolerance:
        raise InvalidParameter(name, value, f"must sum to 1 within {tolerance:g}, not to {total!r}")
    return weights


def check_rows(X: ArrayLike, n_features: int | None = None, *, owner: str = "the model") -> Floats:
    """Rows of finite floats, shape (n_samples, n_features), C-contiguous: float32 when given as such, else float64.

    Raises `InvalidRows`, with the place of the first fault, for anything else: sparse matrices, strings,
    ragged lists, no rows, no columns, NaN, infinity, or another number of features than `n_features`.
    """
    if type(X) is np.ndarray and X.dtype.char in "df" and X.dtype.isnative and X.ndim == 2 and X.flags.c_contiguous:
        rows: Floats = X
    else:
        rows = _rows_of(X)
    if not rows.size:
        kind = "feature" if rows.shape[0] else "sample"
        raise InvalidRows(f"found 0 {kind}(s) (shape={rows.shape}) while a minimum of 1 is required of rows")
    if n_features is not None and rows.shape[1] != n_features:
        raise InvalidRows(f"X has {rows.shape[1]} features, but {owner} is expecting {n_features} features as input")
    # A finite sum of squares has finite terms; one that is not may have overflowed, and then each value is asked.
    if not isfinite(_sum_of_squares(rows)):
        _check_finite(rows)
    return rows


def _sum_of_squares(rows: Floats) -> float:
    """Σ x², by one thread: those of BLAS would spin for a tenth of a second after it, beside the computation."""
    if rows.size <= SERIAL_DOT:
        return float(np.vdot(rows, rows))
    values = rows.ravel()
    whole = values[: values.size // SERIAL_DOT * SERIAL_DOT].reshape(-1, SERIAL_DOT)
    rest = values[whole.size :]
    with np.errstate(over="ignore"):
        return float(np.vecdot(whole, whole).sum()) + float(np.vdot(rest, rest))


def _rows_of(X: ArrayLike) -> Floats:
    """Anything that is two-dimensional and consists of real numbers, as floats in the order of C."""
    if sparse.issparse(X):
        raise InvalidRows("sparse input is not supported: pass X.toarray()")
    try:
        array = np.asarray(X)
    except ValueError as error:
        raise InvalidRows("rows are ragged: every row needs the same number of values") from error
    if array.dtype.kind == "c":
        raise InvalidRows(f"Complex data not supported: rows must be real numbers, not {array.dtype}")
    if array.dtype.kind not in "iufO":
        raise InvalidRows(f"rows must be real numbers, not {array.dtype}")
    if array.dtype.kind == "O":
        array = _numbers(array)
    if array.ndim != 2:
        raise InvalidRows(f"expected a 2-D array, got a {array.ndim}-D array. Reshape your data to one row a sample")
    with np.errstate(over="ignore"):
        return np.ascontiguousarray(array, dtype=np.float32 if array.dtype == np.float32 else np.float64)


def _check_finite(rows: Floats) -> None:
    finite = np.isfinite(rows)
    if not finite.all():
        row, column = np.argwhere(~finite)[0]
        kind = "NaN" if np.isnan(rows[row, column]) else "an infinite value"
        raise InvalidRows(f"X contains {kind}", int(row), int(column))


def _numbers(array: np.ndarray[tuple[int, ...], np.dtype[np.object_]]) -> Floats:
    """An array of Python objects as floats, when each of them is a real number."""
    for index, value in np.ndenumerate(array):
        if isinstance(value, bool) or not isinstance(value, Real):
            place = [int(i) for i in index[:2]]
            words = "is not a real number: the argument must be free of strings and of all else but numbers"
            raise InvalidCell(f"{value!r:.40} {words}", *place)
    try:
        return array.astype(np.float64)
    except OverflowError as error:
        raise InvalidRows("an integer is too large for a float") from error


def check_sample_weight(sample_weight: ArrayLike | None, n_samples: int) -> Floats:
    """Weights of the rows, shape (n_samples,): finite, not negative, not all zero; ones for None."""
    if sample_weight is None:
        return np.ones(n_samples)
    weights = check_array("sample_weight", sample_weight, (n_samples,))
    if (weights < 0).any():
        row = int(np.argmax(weights < 0))
        raise InvalidParameter("sample_weight", float(weights[row]), f"must be at least 0 (row {row})")
    if not weights.any():
        raise InvalidParameter("sample_weight", sample_weight, "must not be zero for every row")
    with np.errstate(over="ignore"):
        total = weights.sum()
    if not np.isfinite(total):
        raise InvalidParameter("sample_weight", sample_weight, "must have a sum of at most 1.8e308")
    return weights


def check_labels(name: str, labels: ArrayLike, n_samples: int, n_labels: int | None = None) -> Ints:
    """Integer labels, shape (n_samples,); with `n_labels`, codes 0 … n_labels − 1, each of them in use."""
    try:
        array = np.asarray(labels)
    except ValueError as error:
        raise InvalidParameter(name, labels, "must be integers, one a row") from error
    if array.dtype.kind not in "iu":
        raise InvalidParameter(name, labels, "must be integers")
    if array.shape != (n_samples,):
        raise InvalidParameter(name, labels, f"must have shape ({n_samples},), not {array.shape}")
    codes = array.astype(np.int64)
    if n_labels is None:
        return codes
    outside = (codes < 0) | (codes >= n_labels)
    if outside.any():
        row = int(np.argmax(outside))
        raise InvalidParameter(name, int(codes[row]), f"must lie in 0 … {n_labels - 1} (row {row})")
    absent = np.flatnonzero(np.bincount(codes, minlength=n_labels) == 0)
    if absent.size:
        raise InvalidParameter(name, labels, f"has no row with label {absent[0]}: one component a label")
    return codes


def check_random_state(value: object) -> None:
    """None, an integer of at least 0, a Generator or a RandomState: nothing is drawn from it here."""
    if value is None or isinstance(value, np.random.Generator | np.random.RandomState):
        return
    if isinstance(value, bool | np.bool_) or not isinstance(value, Integral) or value < 0:
        raise InvalidParameter("random_state", value, "must be None, an integer, at least 0, or a numpy Generator")


def check_boolean(name: str, value: object) -> None:
    """True or False, nothing that merely counts as one."""
    if not isinstance(value, bool | np.bool_):
        raise InvalidParameter(name, value, "must be True or False")


def check_verbose(value: object) -> None:
    """True, False, or an integer of at least 0."""
    if not isinstance(value, bool | np.bool_):
        check_integer("verbose", value, 0)
