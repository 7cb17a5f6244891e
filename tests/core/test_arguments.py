"""Every argument of every estimator: what it must not be is refused with its name and value, and nothing is fitted."""

import inspect

import numpy as np
import pytest
from scipy.sparse import csr_array

from core.errors import InvalidParameter, InvalidRows, NotFittedError
from core.estimators import BayesianGaussianMixture, GaussianMixture, KMeans, MiniBatchKMeans

ROWS = np.random.default_rng(0).normal(size=(10, 2))

NO_NUMBER = ("2", b"2", [2], {}, 1j, np.array([1, 2]))
SEEDS = (-1, 1.5, "0", True, [1])
FLAGS = (0, 1, "no", None, 1.0)


def integers(minimum, *others):
    """What no integer of at least `minimum` is."""
    return (True, np.True_, 2.5, 2.0, np.nan, None, minimum - 1, *NO_NUMBER, *others)


def reals(*others):
    """What no finite number of at least 0 is."""
    return (True, -1e-9, -1, np.nan, np.inf, -np.inf, None, *NO_NUMBER, *others)


def arrays(shape, *others):
    """What no finite array of this shape is."""
    last = np.zeros(shape)
    last[-1] = np.nan
    return (
        "even",
        np.zeros((3, *shape)),
        last,
        np.full(shape, np.inf),
        np.full(shape, "a"),
        [[1.0], [1.0, 2.0]],
        *others,
    )


MIXTURE = {
    "n_components": integers(1, 11),
    "covariance_type": ("Full", "", None, 3, ["full"]),
    "tol": reals(),
    "reg_covar": reals(),
    "max_iter": integers(0),
    "n_init": integers(1),
    "init_params": ("kmeans++", "", None, 1, ROWS),
    "random_state": SEEDS,
    "warm_start": FLAGS,
    "verbose": tuple(bad for bad in integers(0) if not isinstance(bad, bool | np.bool_)),
    "verbose_interval": integers(1),
    "patience": integers(1),
    "init_size": tuple(bad for bad in integers(2, "all") if bad is not None),
    "short_iter": tuple(bad for bad in integers(1) if bad is not None),
    "history": ("everything", None, True, 1),
    "step_decay": reals(0.5, 1.1, 0),
    "step_offset": reals(),
}
POSITIVE = tuple(bad for bad in reals(0) if bad is not None)
CLUSTERS = {
    "n_clusters": integers(1, 11),
    "init": arrays((2, 2), "kmeans", None, 3),
    "n_init": integers(1, "many"),
    "max_iter": integers(1),
    "tol": reals(),
    "verbose": MIXTURE["verbose"],
    "random_state": SEEDS,
}
ARGUMENTS = {
    GaussianMixture: MIXTURE
    | {
        "weights_init": arrays((2,), [1.0], [0.5, 0.6], [1.5, -0.5], [0.5, 0.5 + 1e-7]),
        "means_init": arrays((2, 2), [[0.0]], [[0.0, 0.0, 0.0]] * 2),
        "precisions_init": arrays(
            (2, 2, 2),
            np.eye(2),
            -np.ones((2, 2, 2)),
            [np.eye(2), [[1.0, 0.9], [0.1, 1.0]]],
            [np.eye(2), [[1.0, 2.0], [2.0, 1.0]]],
            np.zeros((2, 2, 2)),
        ),
    },
    KMeans: CLUSTERS
    | {
        "copy_x": FLAGS,
        "algorithm": ("full", "", None, 1),
        "history": MIXTURE["history"],
        "init_size": MIXTURE["init_size"],
    },
    MiniBatchKMeans: CLUSTERS
    | {
        "batch_size": integers(1),
        "compute_labels": FLAGS,
        "max_no_improvement": tuple(bad for bad in integers(0) if bad is not None),
        "init_size": tuple(bad for bad in integers(1, "auto") if bad is not None),
        "reassignment_ratio": reals(1.1),
    },
    BayesianGaussianMixture: MIXTURE
    | {
        "weight_concentration_prior_type": ("dirichlet", "", None, 1),
        "weight_concentration_prior": POSITIVE,
        "mean_precision_prior": POSITIVE,
        "mean_prior": arrays((2,), [1.0], 0.0),
        "degrees_of_freedom_prior": (*POSITIVE, 1.0),
        "covariance_prior": arrays((2, 2), 1.0, np.zeros((2, 2)), [[1.0, 2.0], [2.0, 1.0]], [[1.0, 0.9], [0.1, 1.0]]),
    },
}
KINDS = list(ARGUMENTS)
CASES = [
    pytest.param(kind, name, bad, id=f"{kind.__name__}-{name}-{' '.join(repr(bad).split())[:40]}")
    for kind, table in ARGUMENTS.items()
    for name, values in table.items()
    for bad in values
]


def fitted(kind):
    return kind(2, random_state=0).fit(ROWS)


def left(estimator):
    return [name for name in vars(estimator) if name.endswith("_")]


@pytest.mark.parametrize("kind", KINDS)
def test_no_argument_is_forgotten(kind):
    assert set(ARGUMENTS[kind]) == set(kind().get_params())


@pytest.mark.parametrize(("kind", "name", "bad"), CASES)
def test_an_argument_is_refused_by_name_and_value(kind, name, bad):
    estimator = kind(2).set_params(**{name: bad})
    for fit in (estimator.fit, estimator.fit_predict, estimator.fit_steps, getattr(estimator, "partial_fit", None)):
        if fit is None:
            continue
        with pytest.raises(InvalidParameter) as refused:
            fit(ROWS)
        assert refused.value.name == name
        value = refused.value.value
        assert value is bad or np.array_equal(value, np.asarray(bad))
        text = str(refused.value)
        shown = f"array of shape {value.shape}" if isinstance(value, np.ndarray) else repr(bad)
        assert text.startswith(f"{name} = {' '.join(shown.split())[:60]}")
        assert "must" in text
        assert "\n" not in text
        assert not text.endswith(".")
        assert left(estimator) == []
    with pytest.raises(InvalidParameter):
        estimator.check_parameters(10, 2)


@pytest.mark.parametrize("kind", KINDS)
def test_numbers_of_numpy_are_numbers(kind):
    count = "n_clusters" if "n_clusters" in ARGUMENTS[kind] else "n_components"
    numpys = {count: np.int32(2), "tol": np.float32(0.01), "max_iter": np.int64(50), "random_state": np.uint8(3)}
    plain = {count: 2, "tol": float(np.float32(0.01)), "max_iter": 50, "random_state": 3}
    X = np.vstack([ROWS, ROWS + 20])
    first, second = kind(**numpys).fit(X), kind(**plain).fit(X)
    np.testing.assert_array_equal(first.transform(X), second.transform(X))
    for rng in (np.random.default_rng(0), np.random.RandomState(0), None):
        kind(**(plain | {"random_state": rng})).fit(X)


BAD_ROWS = [
    ([[1.0, 2.0], [3.0, np.nan], [0.0, 0.0]], 1, 1, "NaN"),
    ([[1.0, 2.0], [3.0, 4.0], [-np.inf, 0.0]], 2, 0, "infinite"),
    (np.array([[1.0, np.inf], [-np.inf, 0.0]], dtype=np.float32), 0, 1, "infinite"),
    ([[1.0, 2.0], [3.0, None]], 1, 1, "not a real number"),
    ([[1.0, 2.0], ["a", 1.0]], None, None, "real numbers"),
    (np.array([[1.0, "a"]], dtype=object), 0, 1, "not a real number"),
    ([[1.0, 2.0], [3.0]], None, None, "ragged"),
    ([1.0, 2.0], None, None, "1-D"),
    (3.0, None, None, "0-D"),
    (None, None, None, "0-D|real number"),
    (np.zeros((2, 2, 2)), None, None, "3-D"),
    (np.zeros((0, 2)), None, None, "0 sample"),
    (np.zeros((3, 0)), None, None, "0 feature"),
    ([[True, False], [False, True]], None, None, "real numbers"),
    ([[1j, 0], [0, 1]], None, None, "real numbers"),
    ([[10**400, 0], [0, 1]], None, None, "too large"),
    (csr_array(np.eye(3)), None, None, "sparse input is not supported"),
]


# k-means takes sparse rows.
REFUSED = [
    (kind, *case) for kind in KINDS for case in BAD_ROWS if not issubclass(kind, KMeans) or "sparse" not in case[3]
]


@pytest.mark.parametrize(
    ("kind", "X", "row", "column", "words"), REFUSED, ids=[f"{c[4]}-{c[0].__name__}" for c in REFUSED]
)
def test_rows_are_refused_with_their_place(kind, X, row, column, words):
    estimator = kind(2)
    for fit in (estimator.fit, getattr(estimator, "partial_fit", estimator.fit_predict)):
        with pytest.raises(InvalidRows, match=words) as refused:
            fit(X)
        if row is not None:
            assert (refused.value.row, refused.value.column) == (row, column)
        assert left(estimator) == []
    model = fitted(kind)
    for verb in VERBS[kind]:
        with pytest.raises(InvalidRows, match=words):
            getattr(model, verb)(X)


def verbs(kind):
    """Public methods that answer from rows, or from nothing, after a fit."""
    apart = {"fit", "fit_predict", "fit_transform", "fit_steps", "partial_fit", "from_parameters", "check_parameters"}
    apart |= {"get_params", "set_params", "set_output"}
    return [
        name
        for name, method in inspect.getmembers(kind, inspect.isfunction)
        if not name.startswith("_") and name not in apart
    ]


WITHOUT_ROWS = {"sample", "get_feature_names_out"}
VERBS = {kind: [name for name in verbs(kind) if name not in WITHOUT_ROWS] for kind in KINDS}


@pytest.mark.parametrize("kind", KINDS)
def test_no_method_answers_before_a_fit(kind):
    assert len(verbs(kind)) >= 4
    for name in verbs(kind):
        with pytest.raises(NotFittedError, match=f"This {kind.__name__} instance is not fitted yet"):
            getattr(kind(), name)(*([] if name in WITHOUT_ROWS else [ROWS]))


@pytest.mark.parametrize("kind", KINDS)
def test_rows_of_another_width_are_refused_by_every_method(kind):
    model = fitted(kind)
    for name in [*VERBS[kind], *(["partial_fit"] if hasattr(kind, "partial_fit") else [])]:
        with pytest.raises(
            InvalidRows, match=f"X has 3 features, but {kind.__name__} is expecting 2 features as input"
        ):
            getattr(model, name)(np.zeros((4, 3)))


@pytest.mark.parametrize("kind", [kind for kind in KINDS if hasattr(kind, "sample")])
@pytest.mark.parametrize("bad", integers(1))
def test_a_number_of_samples_is_a_positive_integer(kind, bad):
    with pytest.raises(InvalidParameter, match=r"^n_samples = .*must be") as refused:
        fitted(kind).sample(bad)
    assert refused.value.value is bad


@pytest.mark.parametrize(
    "weight", [np.ones(9), np.ones((10, 1)), [1] * 9 + [-1], [1] * 9 + [np.nan], [0] * 10, "heavy", 1.0, [[1], [1, 2]]]
)
@pytest.mark.parametrize("kind", KINDS)
def test_weights_of_rows_are_checked(kind, weight):
    estimator, model = kind(2), fitted(kind)
    for use in (estimator.fit, estimator.fit_predict, getattr(estimator, "partial_fit", estimator.fit), model.score):
        if "sample_weight" not in inspect.signature(use).parameters:
            continue
        with pytest.raises(InvalidParameter, match=r"^sample_weight = .*must") as refused:
            use(ROWS, sample_weight=weight)
        assert refused.value.name == "sample_weight"
    assert left(estimator) == []


@pytest.mark.parametrize("kind", KINDS)
def test_labels_given_as_y_are_ignored(kind):
    plain, given = kind(2, random_state=0).fit(ROWS), kind(2, random_state=0).fit(ROWS, object())
    np.testing.assert_array_equal(given.transform(ROWS), plain.transform(ROWS))
    np.testing.assert_array_equal(kind(2, random_state=0).fit_predict(ROWS, "y"), plain.predict(ROWS))
    assert given.score(ROWS, [1, 2]) == plain.score(ROWS)


@pytest.mark.parametrize("kind", KINDS)
def test_a_name_that_is_no_argument_is_refused(kind):
    for name in ("k", "tolerance", "n_init__deep"):
        with pytest.raises(InvalidParameter, match=f"^{name} = 3: is not a parameter of {kind.__name__}"):
            kind().set_params(**{name: 3})


@pytest.mark.parametrize(
    "labels",
    [[0, 1, 2, 0], [0, 0, 0, 0], [0, -1, 1, 0], [0.0, 1.0, 1.0, 0.0], [0, 1], [True] * 4, [[0], [1, 1]], "0011"],
)
@pytest.mark.parametrize("kind", KINDS)
def test_labels_that_are_not_one_component_each_are_refused(kind, labels):
    with pytest.raises(InvalidParameter) as refused:
        kind(2).fit_steps(ROWS[:4], labels=labels)
    assert refused.value.name == "labels"


@pytest.mark.parametrize("kind", KINDS)
def test_good_labels_are_for_mixtures(kind):
    if "n_components" in ARGUMENTS[kind]:
        assert len(list(kind(2).fit_steps(ROWS, labels=[0, 1] * 5))) == 1
        return
    with pytest.raises(InvalidParameter, match=r"^labels = "):
        kind(2).fit_steps(ROWS, labels=[0, 1] * 5)
