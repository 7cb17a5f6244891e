from dataclasses import dataclass

import numpy as np
import pytest

from core.errors import CollapsedComponent, Diverged, FitFailure, InvalidParameter
from core.estimators import GaussianMixture, KMeans
from core.fit import State, Step, fit_steps, generator_from


@dataclass
class Scripted:
    """An algorithm whose objectives are written down, one list a run; an exception in the list is raised."""

    runs: list[list[float | Exception]]
    sign: int = 1
    tol: float = 0.1
    begun: int = 0

    def start(self, rng):
        self.begun += 1
        return {"run": self.begun - 1, "at": 0}

    def step(self, parameters):
        value = self.runs[parameters["run"]][parameters["at"]]
        if isinstance(value, Exception):
            raise value
        return Step({**parameters, "at": parameters["at"] + 1}, value)

    def quiet(self, step, change):
        return abs(change) < self.tol

    def slack(self, objective):
        return 1e-9

    def finish(self, parameters, objective):
        return objective

    def pack(self, parameters):
        return {name: np.array([float(value)]) for name, value in parameters.items()}

    def unpack(self, arrays):
        return {name: int(array[0]) for name, array in arrays.items()}


def outcome_of(steps):
    while True:
        try:
            next(steps)
        except StopIteration as stop:
            return stop.value


def run(algorithm, **options):
    options = {"n_init": len(algorithm.runs), "max_iter": 10} | options
    steps = fit_steps(algorithm, generator_from(0), **options)
    infos = []
    while True:
        try:
            infos.append(next(steps)[1])
        except StopIteration as stop:
            return infos, stop.value


def test_a_run_stops_at_the_first_quiet_iteration():
    infos, outcome = run(Scripted([[1.0, 2.0, 2.05, 9.0]]))
    assert [info.objective for info in infos] == [1.0, 2.0, 2.05]
    assert [info.converged for info in infos] == [False, False, True]
    assert [info.iteration for info in infos] == [1, 2, 3]
    assert infos[0].change == np.inf
    assert outcome.converged
    assert outcome.n_iter == 3


def test_patience_counts_successive_quiet_iterations():
    infos, outcome = run(Scripted([[1.0, 1.01, 5.0, 5.01, 5.02, 5.03]]), patience=3)
    assert [info.converged for info in infos] == [False] * 5 + [True]
    assert outcome.n_iter == 6


def test_max_iter_ends_a_run_that_has_not_converged():
    infos, outcome = run(Scripted([[1.0, 2.0, 3.0, 4.0]]), max_iter=3)
    assert len(infos) == 3
    assert not outcome.converged


@pytest.mark.parametrize(("sign", "best"), [(1, 5.0), (-1, 2.0)])
def test_the_best_of_the_runs_is_returned(sign, best):
    infos, outcome = run(Scripted([[3.0, 3.0], [5.0, 5.0], [2.0, 2.0]], sign))
    assert outcome.objective == best
    assert [(info.init, info.n_init) for info in infos] == [(i, 3) for i in (1, 1, 2, 2, 3, 3)]


def test_a_fall_is_reported_with_its_sign():
    assert [info.fell for info in run(Scripted([[2.0, 1.0, 1.0]]))[0]] == [False, True, False]
    assert [info.fell for info in run(Scripted([[2.0, 1.0, 3.0, 3.0]], sign=-1))[0]] == [False, False, True, False]


def test_a_failed_run_gives_way_to_the_others():
    infos, outcome = run(Scripted([[1.0, CollapsedComponent(0, None, 0.0, 1e-300)], [4.0, 4.0]]))
    assert outcome.objective == 4.0
    assert [info.init for info in infos] == [1, 2, 2]


def test_when_all_runs_fail_the_last_failure_says_when():
    with pytest.raises(CollapsedComponent, match=r"component 2 .*feature 1.*start 2, iteration 3") as failed:
        run(Scripted([[Diverged("x")], [1.0, 2.0, CollapsedComponent(2, 1, 0.0, 1e-300)]]))
    assert (failed.value.init, failed.value.iteration) == (2, 3)


def test_a_non_finite_objective_is_divergence():
    with pytest.raises(Diverged, match=r"nan \(start 1, iteration 2\)"):
        run(Scripted([[1.0, float("nan")]]))


def test_failures_survive_pickling():
    import pickle

    failure = CollapsedComponent(2, 1, 0.0, 1e-300)
    failure.init, failure.iteration = 3, 4
    again = pickle.loads(pickle.dumps(failure))
    assert str(again) == str(failure)
    assert isinstance(again, FitFailure)
    refused = pickle.loads(pickle.dumps(InvalidParameter("tol", -1.0, "must be at least 0")))
    assert (refused.name, refused.value, refused.detail) == ("tol", -1.0, "must be at least 0")


def state_arrays(state):
    return {name: np.asarray(array) for name, array in state.to_arrays().items()}


def fitted(estimator):
    """All that a fit leaves, as arrays by name."""
    left = {name: value for name, value in vars(estimator).items() if name.endswith("_")}
    history = left.pop("history_")
    left |= {f"objectives {init}": objectives for init, objectives in enumerate(history.objectives)}
    left |= {"best": history.best, **history.parameters}
    if isinstance(estimator, GaussianMixture):
        mixture = left.pop("mixture_")
        left |= {name: getattr(mixture, name) for name in ("weights", "means", "covariances")}
    else:
        left.pop("centroids_")
    return {name: np.asarray(value) for name, value in left.items()}


ESTIMATORS = {
    "full": lambda: GaussianMixture(3, n_init=3, random_state=5, init_params="random", max_iter=8, tol=1e-5),
    "recorded": lambda: GaussianMixture(
        3, n_init=3, random_state=5, init_params="random", max_iter=8, tol=1e-5, history="parameters"
    ),
    "short runs": lambda: GaussianMixture(
        3, n_init=3, random_state=5, init_params="random", max_iter=9, tol=1e-5, short_iter=2, history="parameters"
    ),
    "diag": lambda: GaussianMixture(
        3, covariance_type="diag", n_init=2, random_state=5, patience=2, max_iter=12, tol=1e-2
    ),
    "kmeans": lambda: KMeans(4, init="random", n_init=3, random_state=5),
    "recorded kmeans": lambda: KMeans(4, init="random", n_init=3, random_state=5, history="parameters"),
}


@pytest.mark.filterwarnings("ignore::core.errors.ConvergenceWarning")
@pytest.mark.parametrize("name", ESTIMATORS)
def test_resuming_anywhere_gives_the_same_bits(name, blobs):
    X, _ = blobs(n=150)
    weight = np.random.default_rng(1).uniform(0.5, 2, 150)
    make = ESTIMATORS[name]
    whole = make()
    infos, states = [], []
    for info in whole.fit_steps(X, weight):
        infos.append(info)
        states.append(state_arrays(whole.state_))
    assert len({info.init for info in infos}) > 1
    for cut in range(len(infos)):
        resumed = make().set_params(random_state=99)  # the state brings its own generator
        rest = list(resumed.fit_steps(X, weight, state=State.from_arrays(states[cut])))
        assert rest == infos[cut + 1 :]
        expected, actual = fitted(whole), fitted(resumed)
        assert expected.keys() == actual.keys()
        for attribute, value in expected.items():
            np.testing.assert_array_equal(actual[attribute], value, err_msg=attribute)


def test_the_state_is_gone_when_the_fit_is_done(blobs):
    mixture = GaussianMixture(2, random_state=0)
    steps = mixture.fit_steps(blobs()[0])
    next(steps)
    assert isinstance(mixture.state_, State)
    for _ in steps:
        pass
    assert not hasattr(mixture, "state_")


def test_state_is_not_changed_by_what_follows(blobs):
    mixture = GaussianMixture(3, random_state=0, init_params="random", tol=1e-6)
    steps = mixture.fit_steps(blobs()[0])
    next(steps)
    state = mixture.state_
    before = {name: array.copy() for name, array in state_arrays(state).items()}
    next(steps)
    for name, array in state_arrays(state).items():
        np.testing.assert_array_equal(array, before[name])


@pytest.mark.parametrize("seed", [3, np.int64(3), "generator", "legacy"])
def test_seeds_make_reproducible_generators(seed):
    make = {"generator": lambda: np.random.default_rng(1), "legacy": lambda: np.random.RandomState(1)}
    first, second = (generator_from(make[seed]() if isinstance(seed, str) else seed) for _ in range(2))
    np.testing.assert_array_equal(first.random(4), second.random(4))


def test_a_given_generator_moves_on():
    shared = np.random.default_rng(1)
    assert generator_from(shared).random() != generator_from(shared).random()


@pytest.mark.parametrize("bad", [True, -1, 1.5, "0"])
def test_other_seeds_are_refused(bad):
    with pytest.raises(InvalidParameter) as refused:
        generator_from(bad)
    assert refused.value.name == "random_state"


def test_a_state_without_a_best_run_round_trips(blobs):
    mixture = GaussianMixture(2, random_state=0)
    next(mixture.fit_steps(blobs()[0]))
    again = State.from_arrays(mixture.state_.to_arrays())
    assert again.best is None
    assert again.init == 1
    np.testing.assert_array_equal(again.rng, mixture.state_.rng)


def test_the_history_has_every_run_and_the_parameters_of_the_best():
    runs = [[3.0, 3.01], [1.0, Diverged("x")], [5.0, 6.0, 6.01], [2.0, 2.01]]
    outcome = outcome_of(fit_steps(Scripted(runs), generator_from(0), n_init=4, max_iter=10, record=True))
    history = outcome.history
    assert [objectives.tolist() for objectives in history.objectives] == [
        [3.0, 3.01],
        [1.0],
        [5.0, 6.0, 6.01],
        [2.0, 2.01],
    ]
    assert history.best == 2
    assert {name: array.tolist() for name, array in history.parameters.items()} == {
        "run": [[2.0]] * 3,
        "at": [[1.0], [2.0], [3.0]],
    }
    plain = outcome_of(fit_steps(Scripted(runs), generator_from(0), n_init=4, max_iter=10))
    assert plain.history.parameters == {}


def test_a_fit_that_goes_on_is_compared_with_the_objective_before_it():
    steps = fit_steps(Scripted([[1.0, 2.0]]), generator_from(0), n_init=1, max_iter=10, previous=0.95)
    _, info = next(steps)
    assert info.change == pytest.approx(0.05)
    assert info.converged


def test_the_best_of_short_runs_goes_on():
    runs = [[1.0, 2.0, 3.0, 3.01], [4.0, 4.5, 5.0, 6.0, 6.01], [0.0, 1.0, 2.0]]
    infos, outcome = run(Scripted(runs), short_iter=2)
    assert [(info.init, info.iteration) for info in infos] == [
        *((init, iteration) for init in (1, 2, 3) for iteration in (1, 2)),
        *((4, iteration) for iteration in (3, 4, 5)),
    ]
    assert {info.n_init for info in infos} == {4}
    assert outcome.trajectory.tolist() == runs[1]
    assert outcome.converged
    assert [objectives.size for objectives in outcome.history.objectives] == [2, 2, 2, 5]
    assert outcome.history.best == 3


def test_a_short_run_that_has_converged_does_not_go_on():
    infos, outcome = run(Scripted([[1.0, 2.0], [3.0, 3.01]]), short_iter=2)
    assert len(infos) == 4
    assert outcome.history.best == 1
    assert outcome.converged


def test_when_the_best_of_short_runs_fails_what_it_was_stays():
    _, outcome = run(Scripted([[1.0, 2.0], [3.0, 4.0, Diverged("x")]]), short_iter=2)
    assert outcome.objective == 4.0
    assert not outcome.converged
    with pytest.raises(Diverged, match="start 2, iteration 1"):
        run(Scripted([[Diverged("x")], [Diverged("y")]]), short_iter=2)


def test_one_run_is_never_short():
    infos, _ = run(Scripted([[1.0, 2.0, 3.0, 3.01]]), short_iter=2)
    assert len(infos) == 4
