"""The loop that every iterative fit runs in: restarts, convergence, best-of, failure, resume."""

__all__ = ["Algorithm", "Info", "Outcome", "State", "Step", "fit_steps", "generator_from"]

from collections.abc import Generator, Mapping
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from core.checks import check_random_state
from core.errors import Diverged, FitFailure
from core.rows import one_blas_thread
from core.types import Floats

Parameters = TypeVar("Parameters")

MASK = 2**64 - 1


@dataclass(frozen=True)
class Info:
    """Diagnostics of one iteration.

    `objective` is the mean log-likelihood (nats a unit of weight) for a mixture, the inertia for k-means, of the
    parameters *before* this iteration's update; `change` is signed (infinite at the first iteration). `fell` says
    that the objective went the wrong way by more than round-off.
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
    """A finished run: its parameters, final objective, the objective an iteration, and whether it converged."""

    parameters: Parameters
    objective: float
    trajectory: Floats
    converged: bool

    @property
    def n_iter(self) -> int:
        """Iterations made."""
        return len(self.trajectory)


@dataclass(frozen=True)
class State:
    """All that the rest of a fit depends on, after an iteration: integers and arrays only.

    `rng` (6,) uint64 is the generator's state; `init` the current run (1-based), `quiet` its successive quiet
    iterations, `parameters` and `trajectory` its own; `best`… those of the best finished run, if there is one.
    """

    rng: NDArray[np.uint64]
    init: int
    quiet: int
    parameters: Mapping[str, Floats]
    trajectory: Floats
    best: Mapping[str, Floats] | None = None
    best_objective: float = float("nan")
    best_trajectory: Floats | None = None
    best_converged: bool = False

    def to_arrays(self) -> dict[str, NDArray[np.generic]]:
        """The state as named arrays, to be stored anywhere."""
        arrays: dict[str, NDArray[np.generic]] = {
            "rng": self.rng,
            "counters": np.array([self.init, self.quiet, self.best_converged], dtype=np.int64),
            "trajectory": self.trajectory,
        }
        arrays |= {f"current.{name}": array for name, array in self.parameters.items()}
        if self.best is not None and self.best_trajectory is not None:
            arrays |= {f"best.{name}": array for name, array in self.best.items()}
            arrays["best_trajectory"] = self.best_trajectory
            arrays["best_objective"] = np.array([self.best_objective])
        return arrays

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[np.generic]]) -> "State":
        """The inverse of `to_arrays`."""
        parts: dict[str, dict[str, Floats]] = {"current": {}, "best": {}}
        for name, array in arrays.items():
            part, dot, rest = name.partition(".")
            if dot:
                parts[part][rest] = np.asarray(array, dtype=np.float64)
        init, quiet, best_converged = (int(value) for value in np.asarray(arrays["counters"], dtype=np.int64))
        state = cls(
            rng=np.asarray(arrays["rng"], dtype=np.uint64),
            init=init,
            quiet=quiet,
            parameters=parts["current"],
            trajectory=np.asarray(arrays["trajectory"], dtype=np.float64),
        )
        if not parts["best"]:
            return state
        return cls(
            state.rng,
            state.init,
            state.quiet,
            state.parameters,
            state.trajectory,
            parts["best"],
            float(np.asarray(arrays["best_objective"], dtype=np.float64)[0]),
            np.asarray(arrays["best_trajectory"], dtype=np.float64),
            bool(best_converged),
        )


def fit_steps(
    algorithm: Algorithm[Parameters],
    rng: np.random.Generator,
    *,
    n_init: int,
    max_iter: int,
    patience: int = 1,
    state: State | None = None,
) -> Generator[tuple[State, Info], None, Outcome[Parameters]]:
    """Runs an algorithm `n_init` times and returns the best run, yielding after every iteration.

    A run ends after `patience` successive quiet iterations or `max_iter` of them. A run that fails gives way to
    the next; when none succeeds, the last failure is raised, with its run and iteration. Given a `state` (and a
    generator of the kind of `generator_from`), goes on after it, to the very bits of an uninterrupted fit.
    """
    best: Outcome[Parameters] | None = None
    failure: FitFailure | None = None
    first = 1
    if state is not None:
        first = state.init
        _set_bits(rng, state.rng)
        if state.best is not None and state.best_trajectory is not None:
            parameters = algorithm.unpack(state.best)
            best = Outcome(parameters, state.best_objective, state.best_trajectory, state.best_converged)
    for init in range(first, n_init + 1):
        trajectory: list[float] = []
        quiet = 0
        try:
            if state is not None and init == first:
                parameters, quiet = algorithm.unpack(state.parameters), state.quiet
                trajectory = [float(value) for value in state.trajectory]
            else:
                with one_blas_thread():
                    parameters = algorithm.start(rng)
            while quiet < patience and len(trajectory) < max_iter:
                with one_blas_thread():
                    step = algorithm.step(parameters)
                parameters = step.parameters
                previous = trajectory[-1] if trajectory else -algorithm.sign * np.inf
                change = step.objective - previous
                if not np.isfinite(step.objective):
                    raise Diverged(f"the objective became {step.objective}")
                trajectory.append(step.objective)
                quiet = quiet + 1 if algorithm.quiet(step, change) else 0
                yield (
                    _state(algorithm, rng, init, quiet, parameters, trajectory, best),
                    Info(
                        init,
                        n_init,
                        len(trajectory),
                        max_iter,
                        step.objective,
                        change,
                        converged=quiet >= patience,
                        fell=algorithm.sign * change < -algorithm.slack(step.objective),
                    ),
                )
            with one_blas_thread():
                objective = algorithm.finish(parameters, trajectory[-1] if trajectory else -algorithm.sign * np.inf)
        except FitFailure as error:
            error.init, error.iteration = init, len(trajectory) + 1
            failure = error
            continue
        if best is None or algorithm.sign * (objective - best.objective) > 0:
            best = Outcome(parameters, objective, np.array(trajectory), quiet >= patience)
    if best is not None:
        return best
    assert failure is not None  # n_init is at least 1: a run either became the best, or failed
    raise failure


def _state(
    algorithm: Algorithm[Parameters],
    rng: np.random.Generator,
    init: int,
    quiet: int,
    parameters: Parameters,
    trajectory: list[float],
    best: Outcome[Parameters] | None,
) -> State:
    current = algorithm.pack(parameters)
    if best is None:
        return State(_bits(rng), init, quiet, current, np.array(trajectory))
    return State(
        _bits(rng),
        init,
        quiet,
        current,
        np.array(trajectory),
        algorithm.pack(best.parameters),
        best.objective,
        best.trajectory,
        best.converged,
    )


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


def _bits(rng: np.random.Generator) -> NDArray[np.uint64]:
    state = rng.bit_generator.state
    inner = state["state"]
    words = [inner["state"] & MASK, inner["state"] >> 64, inner["inc"] & MASK, inner["inc"] >> 64]
    return np.array([*words, state["has_uint32"], state["uinteger"]], dtype=np.uint64)


def _set_bits(rng: np.random.Generator, bits: NDArray[np.uint64]) -> None:
    low, high, inc_low, inc_high, has_uint32, uinteger = (int(word) for word in bits)
    rng.bit_generator.state = {
        "bit_generator": "PCG64",
        "state": {"state": low | high << 64, "inc": inc_low | inc_high << 64},
        "has_uint32": has_uint32,
        "uinteger": uinteger,
    }
