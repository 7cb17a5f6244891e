"""Our estimators among scikit-learn's tools: its own checks, pipelines, searches, names of features."""

import pickle
import sys
import types
import warnings
from dataclasses import dataclass

import numpy as np
import pytest
import sklearn.base
import sklearn.exceptions
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_estimator

from core.errors import ConvergenceWarning, InvalidParameter, InvalidRows, NotFittedError
from core.estimators import BayesianGaussianMixture, GaussianMixture, KMeans, MiniBatchKMeans

# Scikit-learn's own KMeans is excused too: rows drawn at random depend on how many there are.
NOT_OURS = {
    f"check_sample_weight_equivalence_on_{kind}_data": "k-means++ draws other rows when rows are repeated and shuffled"
    for kind in ("dense", "sparse")
}


@pytest.mark.parametrize(
    "estimator",
    [
        GaussianMixture(),
        GaussianMixture(2, covariance_type="diag", max_iter=3),
        GaussianMixture(2, covariance_type="tied", init_params="random_from_data"),
        BayesianGaussianMixture(),
        BayesianGaussianMixture(2, covariance_type="diag", weight_concentration_prior_type="dirichlet_distribution"),
        BayesianGaussianMixture(2, covariance_type="tied", init_params="random", max_iter=5),
        KMeans(),
        KMeans(2, init="random", n_init=2, max_iter=5),
        MiniBatchKMeans(),
        MiniBatchKMeans(2, init="random", batch_size=10, max_iter=5, max_no_improvement=None),
    ],
    ids=repr,
)
def test_scikit_learns_own_checks_pass(estimator):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        checks = check_estimator(estimator, on_skip=None, on_fail=None, expected_failed_checks=NOT_OURS)
    failed = {check["check_name"]: check["exception"] for check in checks if check["status"] == "failed"}
    assert not failed
    assert sum(check["status"] == "passed" for check in checks) >= 45


def test_a_pipeline_and_a_search_take_them(blobs):
    X, _ = blobs(n=200)
    pipeline = make_pipeline(StandardScaler(), GaussianMixture(2, random_state=0))
    assert pipeline.fit(X).score_samples(X).shape == (200,)
    search = GridSearchCV(GaussianMixture(random_state=0, max_iter=300), {"n_components": [1, 3]}, cv=3).fit(X)
    assert search.best_params_ == {"n_components": 3}
    assert make_pipeline(StandardScaler(), KMeans(3, random_state=0)).fit_transform(X).shape == (200, 3)


@dataclass
class Frame:
    """As much of a data frame as matters here."""

    rows: np.ndarray
    columns: list[object]

    def __array__(self, dtype=None, copy=None):
        return np.asarray(self.rows, dtype)


@pytest.mark.parametrize("estimator", [GaussianMixture(2, random_state=0), KMeans(2, random_state=0)], ids=repr)
def test_names_of_features_are_kept_and_compared(estimator, blobs):
    X, _ = blobs(n=50, d=2)
    estimator.fit(Frame(X, ["height", "width"]))
    assert list(estimator.feature_names_in_) == ["height", "width"]
    np.testing.assert_array_equal(estimator.predict(Frame(X, ["height", "width"])), estimator.predict(X))
    with pytest.raises(InvalidRows, match=r"column 0 is 'width' and must be 'height'"):
        estimator.predict(Frame(X, ["width", "height"]))
    assert not hasattr(estimator.fit(Frame(X, [0, 1])), "feature_names_in_")
    assert not hasattr(estimator.fit(X), "feature_names_in_")


def test_an_estimator_not_fitted_is_told_by_both_names():
    for kind in (NotFittedError, sklearn.exceptions.NotFittedError):
        with pytest.raises(kind, match="This KMeans instance is not fitted yet"):
            KMeans().predict([[0.0]])


def test_errors_and_warnings_that_are_theirs_too_pickle_as_ours():
    with pytest.raises(NotFittedError) as refused:
        KMeans().predict([[0.0]])
    again = pickle.loads(pickle.dumps(refused.value))
    assert type(again) is NotFittedError
    assert str(again) == str(refused.value)
    with pytest.warns(sklearn.exceptions.ConvergenceWarning) as warned:
        GaussianMixture(2, max_iter=1, init_params="random").fit(np.arange(10.0)[:, None])
    assert isinstance(warned[0].message, ConvergenceWarning)


@pytest.mark.parametrize("estimator", [GaussianMixture(2, random_state=0), KMeans(2, random_state=0)], ids=repr)
def test_distances_come_as_the_container_that_is_asked_for(estimator, blobs, monkeypatch):
    X, _ = blobs(n=30, d=2)
    names = [f"{type(estimator).__name__.lower()}{group}" for group in range(2)]
    plain = estimator.fit_transform(X)
    assert estimator.get_feature_names_out().tolist() == names

    @dataclass
    class Table:
        """What both packages' frames are made with."""

        values: np.ndarray
        index: object = None
        columns: object = None
        copy: bool = True
        schema: object = None

    for package in ("pandas", "polars"):
        monkeypatch.setitem(sys.modules, package, types.SimpleNamespace(DataFrame=Table))
        framed = estimator.set_output(transform=package).transform(X)
        np.testing.assert_array_equal(framed.values, plain)
        assert list(framed.columns if package == "pandas" else framed.schema) == names
        twin = sklearn.base.clone(estimator).set_output().fit(X)
        assert isinstance(twin.transform(X), Table)
        assert isinstance(estimator.set_output(transform="default").transform(X), np.ndarray)
        unasked = sklearn.base.clone(estimator).set_params(n_init=1)
        del unasked._sklearn_output_config
        with sklearn.config_context(transform_output=package):
            assert isinstance(estimator.transform(X), np.ndarray)
            assert isinstance(unasked.fit(X).transform(X), Table)
            assert isinstance(unasked.predict(X), np.ndarray)
    rows = Frame(X, ["a", "b"])
    rows.index = [f"row {n}" for n in range(30)]
    assert estimator.fit(rows).set_output(transform="pandas").transform(rows).index == rows.index
    with pytest.raises(InvalidParameter, match="transform = 'numpy': must be one of"):
        estimator.set_output(transform="numpy")


def test_a_fit_that_is_refused_forgets_nothing(blobs):
    X, _ = blobs(n=50, d=2)
    for estimator in (GaussianMixture(2, random_state=0), KMeans(2, random_state=0)):
        estimator.fit(Frame(X, ["height", "width"]))
        before = pickle.dumps(estimator)
        with pytest.raises(InvalidParameter):
            estimator.fit(Frame(X[:1], ["a", "b"]))
        with pytest.raises(InvalidRows):
            estimator.fit(Frame(X * np.nan, ["a", "b"]))
        assert pickle.dumps(estimator) == before
