"""What is accepted from outside, and as what it comes in."""

import numpy as np
import pytest

from core.checks import check_rows, check_verbose, check_weights
from core.errors import InvalidParameter, InvalidRows

ROWS = np.arange(12.0).reshape(4, 3)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_rows_that_are_right_are_not_copied(dtype):
    rows = ROWS.astype(dtype)
    assert check_rows(rows) is rows
    assert check_rows(rows, 3) is rows


@pytest.mark.parametrize(
    ("given", "dtype"),
    [
        (ROWS.tolist(), np.float64),
        (ROWS.astype(np.int32), np.float64),
        (ROWS.astype(np.float16), np.float64),
        (ROWS.astype(np.longdouble), np.float64),
        (ROWS.astype(object), np.float64),
        (ROWS.astype(">f8"), np.float64),
        (ROWS.astype(">f4"), np.float64),
        (np.asfortranarray(ROWS), np.float64),
        (np.asfortranarray(ROWS.astype(np.float32)), np.float32),
        (np.repeat(ROWS, 2, axis=1)[:, ::2], np.float64),
        (np.ma.masked_array(ROWS), np.float64),
    ],
)
def test_all_else_that_is_rows_becomes_floats_in_order(given, dtype):
    rows = check_rows(given)
    np.testing.assert_array_equal(rows, ROWS)
    assert rows.dtype == dtype
    assert rows.dtype.isnative
    assert rows.flags.c_contiguous


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_rows_whose_squares_overflow_are_rows(dtype):
    huge = np.full((3, 2), np.finfo(dtype).max, dtype=dtype)
    assert check_rows(huge) is huge
    huge[2, 1] = np.nan
    with pytest.raises(InvalidRows, match=r"X contains NaN \(row 2, column 1\)"):
        check_rows(huge)
    huge[1, 0] = -np.inf
    with pytest.raises(InvalidRows, match=r"an infinite value \(row 1, column 0\)"):
        check_rows(huge)


def test_a_number_too_large_for_a_float_is_infinite():
    with pytest.raises(InvalidRows, match="infinite"):
        check_rows(np.array([[np.longdouble("1e4000")]]))


def test_weights_in_float32_sum_to_one_within_its_digits():
    weights = np.full(3, 1 / 3, dtype=np.float32) + np.float32(1e-7)
    assert check_weights("weights", weights, 3).dtype == np.float64
    with pytest.raises(InvalidParameter, match="must sum to 1 within 1e-08"):
        check_weights("weights", weights.astype(np.float64), 3)
    with pytest.raises(InvalidParameter, match="must sum to 1 within 1e-06"):
        check_weights("weights", weights + np.float32(1e-5), 3)


def test_verbose_is_a_flag_or_a_level():
    for good in (True, False, np.True_, 0, 3, np.int8(2)):
        check_verbose(good)
    with pytest.raises(InvalidParameter, match="verbose = -1: must be at least 0"):
        check_verbose(-1)
