from fractions import Fraction

import numpy as np
import pytest

from core.sums import Quanta, sum_changes


@pytest.mark.parametrize(("n", "k"), [(200, 5), (9_000, 7)])
def test_sums_of_words_are_exact_in_any_order(n, k, rng):
    values = rng.normal(size=(n, 3))
    values /= np.abs(values).max()
    labels = rng.integers(0, k, n)
    quanta = Quanta.of(1.0, 0.3, n)
    words = quanta.split(values.copy())
    together = sum_changes(words, labels, None, k)
    order = rng.permutation(n)
    np.testing.assert_array_equal(sum_changes([word[order] for word in words], labels[order], None, k), together)
    for cluster in range(k):
        for column in range(3):
            exact = sum(Fraction(value) for value in values[labels == cluster, column].tolist())
            assert together[:, cluster, column].sum() == pytest.approx(float(exact), rel=1e-15, abs=2.0**-50)


@pytest.mark.parametrize("n", [100, 20_000])
def test_changes_lead_from_one_sum_to_the_other(n, rng):
    values = rng.uniform(-1, 1, size=(n, 2))
    words = Quanta.of(1.0, 1e-9, n).split(values)
    before, after = rng.integers(0, 4, (2, n))
    changes = sum_changes(words, after, before, 4)
    np.testing.assert_array_equal(sum_changes(words, before, None, 4) + changes, sum_changes(words, after, None, 4))


@pytest.mark.parametrize("usual", [1.0, 1e-5, 1e-100])
def test_words_hold_the_digits_of_usual_values(usual, rng):
    values = np.concatenate([[1.0], usual * rng.uniform(0.5, 1, 50)])
    words = Quanta.of(1.0, usual, 51).split(values.copy())
    total = np.sum([[Fraction(part) for part in word.tolist()] for word in words], axis=0)
    for value, kept in zip(values.tolist(), total, strict=True):
        assert abs(kept - Fraction(value)) <= Fraction(usual) / 2**49
