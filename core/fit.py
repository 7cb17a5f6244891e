"""The loop that every iterative fit runs in: restarts, convergence, best-of, failure, resume."""

__all__ = ["HISTORIES", "Algorithm", "History", "Info", "Outcome", "State", "Step", "fit_steps", "generator_from"]

from collections.abc import Generator, Mapping
from dataclasses import dataclass, replace
from math import inf, isfinite
from typing import Generic, Protocol, TypeVar, cast

import numpy as np

from core.checks import check_random_state
from core.errors import Diverged, FitFailure
from core.rows import one_blas_thread
from core.state import History, Packed, State, Trajectory, bits_of, set_bits, stacked
from core.types import Floats

Parameters = TypeVar("Parameters")

# What an estimator may be asked to keep of its fit.
HISTORIES = ("objectives", "parameters")


@dataclass(frozen=True)
class Info:
    """Diagnostics of one iteration.

    `objective` is the mean log-likelihood (nats a unit of weight) for a mixture, the inertia for k-means, of the
    parameters *before* this iteration's update; for a Bayesian mixture the bound (nats) *after* it. `change` is
    signed (infinite at the first iteration). `fell` says that the objective went the wrong way by more than round-off.
    """

    init: int
    n_init: int
    iteration: int
    max_iter: int
    objective: float
    change: float
    converged: bool
    fell: bool = False


@dataclass(frozen=True)
class Step(Generic[Parameters]):
    """One iteration's result: new parameters, the objective of the old ones, how far the parameters moved."""

    parameters: Parameters
    objective: float
    shift: float = 0.0


class Algorithm(Protocol[Parameters]):
    """What the loop needs to know of a method; all else is the method's own."""

    @property
    def sign(self) -> int:
        """+1 when the objective is to be maximised, −1 when minimised."""

    def start(self, rng: np.random.Generator) -> Parameters:
        """Initial parameters of one run."""

    def step(self, parameters: Parameters) -> Step[Parameters]:
        """One iteration."""

    def quiet(self, step: Step[Parameters], change: float) -> bool:
        """Whether this iteration is small enough to stop after."""

    def slack(self, objective: float) -> float:
        """How much of a fall is round-off."""

    def finish(self, parameters: Parameters, objective: float) -> float:
        """The objective by which a finished run is compared with the others."""

    def pack(self, parameters: Parameters) -> dict[str, Floats]:
        """Parameters as named arrays, with every derived array whose bits matter."""

    def unpack(self, arrays: Mapping[str, Floats]) -> Parameters:
        """The inverse of `pack`."""


@dataclass(frozen=True)
class Outcome(Generic[Parameters]):
    """A finished run: its parameters, final objective, the objective an iteration, whether it converged, its past."""

    parameters: Parameters
    objective: float
    trajectory: Floats
    converged: bool
    history: History

    @property
    def n_iter(self) -> int:
        """Iterations made."""
        return len(self.trajectory)


@dataclass
class _Run(Generic[Parameters]):
    """A run: `init` (1-based) is which, `quiet` its last quiet iterations, `passed` what is recorded of them."""

    init: int
    parameters: Parameters
    trajectory: Trajectory
    quiet: int = 0
    passed: tuple[Packed, ...] = ()
    objective: float = float("nan")


def fit_steps(
    algorithm: Algorithm[Parameters],
    rng: np.random.Generator,
    *,
    n_init: int,
    max_iter: int,
    patience: int = 1,
    state: State | None = None,
    record: bool = False,
    previous: float | None = None,
    short_iter: int | None = None,
) -> Generator[tuple[State, Info], None, Outcome[Parameters]]:
    """Runs an algorithm `n_init` times and returns the best run, yielding after every iteration.

    A run ends after `patience` successive quiet iterations or `max_iter` of them. A run that fails gives way to
    the next; when none succeeds, the last failure is raised, with its run and iteration. Given a `state` (and a
    generator of the kind of `generator_from`), goes on after it, to the very bits of an uninterrupted fit. With
    `record` the parameters after each iteration are kept. `previous` is the objective with which the first iteration
    of a run is compared: that of a fit which this one goes on from. With `short_iter` several runs are short ones, of
    so many iterations, and one more takes the best of them to its end (Biernacki, Celeux & Govaert 2003).
    """
    best: _Run[Parameters] | None = None
    failure: FitFailure | None = None
    finished: list[Floats] = []
    if state is not None:
        set_bits(rng, state.rng)
        finished = list(state.trajectories[:-1])
        best = _best_of(algorithm, state)
    short = short_iter is not None and n_init > 1
    n_runs = n_init + short
    for init in range(len(finished) + 1, n_runs + 1):
        last = short and init == n_runs
        limit = max_iter if last or short_iter is None or not short else min(short_iter, max_iter)
        trajectory = Trajectory()
        try:
            if state is not None and init == state.init:
                trajectory = Trajectory(state.trajectories[-1])
                run = _Run(init, algorithm.unpack(state.parameters), trajectory, state.quiet, state.passed)
            elif last:
                if best is None or best.quiet >= patience or len(best.trajectory) >= max_iter:
                    break
                trajectory = Trajectory(best.trajectory.values)
                run = replace(best, init=init, trajectory=trajectory)
            else:
                with one_blas_thread():
                    run = _Run(init, algorithm.start(rng), trajectory)
            # Only a start draws: during a run the generator stands still.
            bits = bits_of(rng)
            while run.quiet < patience and len(trajectory) < limit:
                change = _advance(algorithm, run, previous, record)
                current = State(
                    bits,
                    run.quiet,
                    algorithm.pack(run.parameters),
                    (*finished, trajectory.values),
                    passed=run.passed,
                )
                fell = algorithm.sign * change < -algorithm.slack(trajectory.last)
                counts = (init, n_runs, len(trajectory), limit)
                yield (
                    current if best is None else _beside(algorithm, current, best),
                    Info(*counts, trajectory.last, change, converged=run.quiet >= patience, fell=fell),
                )
            with one_blas_thread():
                run.objective = algorithm.finish(run.parameters, _last(algorithm, run, None))
            if best is None or last or algorithm.sign * (run.objective - best.objective) > 0:
                best = run
        except FitFailure as error:
            error.init, error.iteration = init, len(trajectory) + 1
            failure = error
        finished.append(trajectory.values)
    if best is None:
        assert failure is not None  # n_init is at least 1: a run either became the best, or failed
        raise failure
    history = History(tuple(finished), best.init - 1, stacked(best.passed))
    return Outcome(best.parameters, best.objective, finished[best.init - 1], best.quiet >= patience, history)


def _advance(algorithm: Algorithm[Parameters], run: _Run[Parameters], previous: float | None, record: bool) -> float:
    """One iteration of a run; returns the signed change of its objective."""
    with one_blas_thread():
        step = algorithm.step(run.parameters)
    run.parameters = step.parameters
    change = step.objective - _last(algorithm, run, previous)
    if not isfinite(step.objective):
        raise Diverged(f"the objective became {step.objective}")
    run.trajectory.append(step.objective)
    run.quiet = run.quiet + 1 if algorithm.quiet(step, change) else 0
    if record:
        run.passed = (*run.passed, algorithm.pack(run.parameters))
    return change


def _last(algorithm: Algorithm[Parameters], run: _Run[Parameters], previous: float | None) -> float:
    """The objective before the next one; infinitely bad where there is none."""
    if len(run.trajectory):
        return run.trajectory.last
    return -algorithm.sign * inf if previous is None else previous


def _beside(algorithm: Algorithm[Parameters], current: State, best: _Run[Parameters]) -> State:
    """The state of a run, with the best finished one."""
    return replace(
        current,
        best=algorithm.pack(best.parameters),
        best_init=best.init,
        best_objective=best.objective,
        best_quiet=best.quiet,
        best_passed=best.passed,
    )


def _best_of(algorithm: Algorithm[Parameters], state: State) -> _Run[Parameters] | None:
    """The inverse of `_beside`."""
    if state.best is None:
        return None
    trajectory = Trajectory(state.trajectories[state.best_init - 1])
    parameters = algorithm.unpack(state.best)
    return _Run(state.best_init, parameters, trajectory, state.best_quiet, state.best_passed, state.best_objective)


def generator_from(random_state: object) -> np.random.Generator:
    """A PCG64 generator of the fit's own from None, an integer, a Generator or a RandomState.

    A given generator is drawn from, once, for a seed: the fit's own then has a state of known form. Raises
    `InvalidParameter` for anything else.
    """
    check_random_state(random_state)
    if isinstance(random_state, np.random.Generator):
        seed = random_state.integers(0, 2**32, size=4, dtype=np.uint64)
        return np.random.Generator(np.random.PCG64([int(word) for word in seed]))
    if isinstance(random_state, np.random.RandomState):
        words = random_state.randint(0, 2**32, size=4, dtype=np.uint64)
        return np.random.Generator(np.random.PCG64([int(word) for word in words]))
    if random_state is None:
        return np.random.Generator(np.random.PCG64())
    return np.random.Generator(np.random.PCG64(cast(int, random_state)))
