import multiprocessing
import pickle
import threading
import time

import numpy as np
import psutil
import pytest

from core.covariance import COVARIANCES
from core.errors import CollapsedComponent
from core.estimators import BayesianGaussianMixture, GaussianMixture, KMeans
from core.threads import thread_map, usable_cores


@pytest.fixture
def many_cores(monkeypatch):
    monkeypatch.setattr("core.threads.usable_cores", lambda: 4)


def gone(count):
    """Whether the process is back to so many threads, soon."""
    ends = time.monotonic() + 5
    while psutil.Process().num_threads() > count and time.monotonic() < ends:
        time.sleep(0.01)
    return psutil.Process().num_threads() <= count


def test_results_come_in_order_and_threads_go(many_cores):
    before = psutil.Process().num_threads()
    met = threading.Barrier(4, timeout=10)

    def square(i):
        if i < 4:
            met.wait()  # for three others: each item has a thread of its own
        return i * i

    assert list(thread_map(square, range(50))) == [i * i for i in range(50)]
    assert gone(before)


def test_threads_wait_for_the_next_call_but_not_for_ever(monkeypatch):
    monkeypatch.setattr("core.threads.usable_cores", lambda: 3)
    monkeypatch.setattr("core.threads.PATIENCE", 0.3)
    before = psutil.Process().num_threads()
    met = threading.Barrier(3, timeout=10)

    def where(_):
        met.wait()
        return threading.get_ident()

    calls = [set(thread_map(where, range(3))) for _ in range(20)]
    assert all(len(threads) == 3 for threads in calls)
    assert len(set.union(*calls)) < 3 + 20
    assert gone(before)


def test_calls_in_several_threads_do_not_wait_for_each_other(monkeypatch):
    monkeypatch.setattr("core.threads.usable_cores", lambda: 2)
    met = threading.Barrier(8, timeout=10)
    found = []
    callers = [
        threading.Thread(target=lambda: found.append(list(thread_map(lambda i: met.wait() >= 0 and i, range(2)))))
        for _ in range(4)
    ]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert found == [[0, 1]] * 4


def test_a_call_within_a_call_has_its_own_threads(monkeypatch):
    monkeypatch.setattr("core.threads.usable_cores", lambda: 2)
    inner = lambda i: sum(thread_map(lambda j: i * j, range(4)))  # noqa: E731
    for _ in range(50):
        assert list(thread_map(inner, range(4))) == [0, 6, 12, 18]


def test_a_single_item_needs_no_thread(many_cores):
    assert list(thread_map(lambda _: threading.current_thread(), [0])) == [threading.current_thread()]


def test_an_error_in_a_chunk_is_the_callers(many_cores):
    def fail(i):
        raise CollapsedComponent(i, None, 0.0, 1e-300)

    before = psutil.Process().num_threads()
    with pytest.raises(CollapsedComponent) as collapsed:
        thread_map(fail, range(8))
    assert collapsed.value.component == 0
    assert gone(before)


def test_after_an_error_no_further_item_is_begun(monkeypatch):
    monkeypatch.setattr("core.threads.usable_cores", lambda: 2)
    begun = []

    def fail(i):
        begun.append(i)
        raise ValueError(i)

    with pytest.raises(ValueError, match=r"[01]"):
        thread_map(fail, range(1000))
    assert len(begun) <= 2


@pytest.mark.parametrize(("limit", "expected"), [("", 8), ("3", 3), ("100", 8), ("0", 1), ("many", 8)])
def test_the_environment_limits_the_threads(limit, expected, monkeypatch):
    monkeypatch.setattr("core.threads._shared_cores", lambda: 8)
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(8)), raising=False)
    monkeypatch.setenv("OMP_NUM_THREADS", limit)
    assert usable_cores() == expected


def test_a_process_bound_to_fewer_cores_uses_those(monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr("core.threads._shared_cores", lambda: 8)
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {1, 5, 6}, raising=False)
    assert usable_cores() == 3


ESTIMATORS = [GaussianMixture(4, covariance_type=name, random_state=0, max_iter=4, tol=0) for name in COVARIANCES]
ESTIMATORS += [
    BayesianGaussianMixture(4, covariance_type=name, random_state=0, max_iter=4, tol=0) for name in COVARIANCES
]
ESTIMATORS.append(KMeans(4, random_state=0))


def fitted_arrays(estimator, X, **options):
    for _ in estimator.fit_steps(X, **options):
        pass
    return {name: value for name, value in vars(estimator).items() if isinstance(value, np.ndarray | float)}


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=str)
def test_fits_have_the_same_bits_with_any_number_of_threads(estimator, rng, monkeypatch):
    X = rng.normal(size=(20_000, 6)) + np.repeat(np.eye(4, 6) * 3, 5_000, axis=0)
    monkeypatch.setattr("core.rows.CHUNK_ROWS_MAX", 1_500)
    plain = fitted_arrays(estimator, X, chunk_map=map)
    for cores in (1, 2, 5):
        monkeypatch.setattr("core.threads.usable_cores", lambda cores=cores: cores)
        threaded = fitted_arrays(estimator, X)
        assert threaded.keys() == plain.keys()
        assert all(np.array_equal(threaded[name], plain[name]) for name in plain)


def fit_in_a_child(X, answers):
    answers.put(GaussianMixture(2, random_state=0).fit(X).lower_bound_)


# Python warns of any fork of a process with threads, and BLAS has its own.
@pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")
def test_a_fit_goes_on_in_a_forked_child_and_from_a_pickle(rng, many_cores, monkeypatch):
    X = rng.normal(size=(4_000, 3))
    monkeypatch.setattr("core.rows.CHUNK_ROWS_MAX", 500)
    estimator = GaussianMixture(2, random_state=0).fit(X)
    context = multiprocessing.get_context("fork")
    answers = context.Queue()
    child = context.Process(target=fit_in_a_child, args=(X, answers))
    child.start()
    assert answers.get(timeout=60) == estimator.lower_bound_
    child.join()
    again = pickle.loads(pickle.dumps(estimator))
    assert again.fit(X).lower_bound_ == estimator.lower_bound_
