"""Where a fit stands: all that the rest of it depends on, and what it went through."""

__all__ = ["History", "Packed", "State", "Trajectory", "bits_of", "set_bits", "stacked"]

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from core.types import Floats

MASK = 2**64 - 1

# Parameters as an algorithm packs them: arrays by name.
Packed = Mapping[str, Floats]


@dataclass(frozen=True)
class History:
    """What a fit went through.

    `objectives` has an array (n_iter,) for each run, in their order: `Info.objective` of each iteration. The run that
    takes the best of short ones to its end begins with theirs. `best` is
    the index of the run that was kept. `parameters` are that run's after each iteration, arrays (n_iter, …) by name
    in float64; there are none unless they were asked for.
    """

    objectives: tuple[Floats, ...]
    best: int
    parameters: Packed = field(default_factory=dict)


@dataclass(frozen=True)
class State:
    """All that the rest of a fit depends on, after an iteration: integers and arrays only.

    `rng` (6,) uint64 is the generator's state; `quiet` the successive quiet iterations of the current run,
    `parameters` its own; `trajectories` the objectives of each run so far, the current one last; `best`… those of
    the best finished run, if there is one: `best_init` says which (1-based), `best_quiet` how quiet it ended.
    `passed` and `best_passed` are the parameters after each iteration, where they are recorded.
    """

    rng: NDArray[np.uint64]
    quiet: int
    parameters: Packed
    trajectories: tuple[Floats, ...]
    best: Packed | None = None
    best_init: int = 0
    best_objective: float = float("nan")
    best_quiet: int = 0
    passed: tuple[Packed, ...] = ()
    best_passed: tuple[Packed, ...] = ()

    @property
    def init(self) -> int:
        """The current run (1-based)."""
        return len(self.trajectories)

    def to_arrays(self) -> dict[str, NDArray[np.generic]]:
        """The state as named arrays, to be stored anywhere."""
        arrays: dict[str, NDArray[np.generic]] = {
            "rng": self.rng,
            "counters": np.array([self.quiet, self.best_init, self.best_quiet], dtype=np.int64),
            "lengths": np.array([run.size for run in self.trajectories], dtype=np.int64),
            "trajectories": np.concatenate(self.trajectories),
            "best_objective": np.array([self.best_objective]),
        }
        parts = {
            "current": self.parameters,
            "best": self.best or {},
            "passed": stacked(self.passed),
            "best_passed": stacked(self.best_passed),
        }
        return arrays | {f"{part}.{name}": array for part, named in parts.items() for name, array in named.items()}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[np.generic]]) -> "State":
        """The inverse of `to_arrays`."""
        parts: dict[str, dict[str, Floats]] = {"current": {}, "best": {}, "passed": {}, "best_passed": {}}
        for name, array in arrays.items():
            part, dot, rest = name.partition(".")
            if dot:
                parts[part][rest] = np.asarray(array, dtype=np.float64)
        quiet, best_init, best_quiet = (int(value) for value in np.asarray(arrays["counters"], dtype=np.int64))
        ends = np.cumsum(np.asarray(arrays["lengths"], dtype=np.int64))
        return cls(
            np.asarray(arrays["rng"], dtype=np.uint64),
            quiet,
            parts["current"],
            tuple(np.split(np.asarray(arrays["trajectories"], dtype=np.float64), ends[:-1])),
            parts["best"] or None,
            best_init,
            float(np.asarray(arrays["best_objective"], dtype=np.float64)[0]),
            best_quiet,
            _unstacked(parts["passed"]),
            _unstacked(parts["best_passed"]),
        )


class Trajectory:
    """Objectives of a run, one an iteration: what was given out of them is never changed, and never copied."""

    def __init__(self, values: Floats | Sequence[float] = ()) -> None:
        self._room: Floats = np.array(values, dtype=np.float64)
        self._size = self._room.size

    def append(self, objective: float) -> None:
        """One more iteration."""
        if self._size == self._room.size:
            self._room = np.concatenate([self._room, np.empty(self._size + 16)])
        self._room[self._size] = objective
        self._size += 1

    def __len__(self) -> int:
        return self._size

    @property
    def last(self) -> float:
        """The objective of the last iteration."""
        return float(self._room[self._size - 1])

    @property
    def values(self) -> Floats:
        """All so far, shape (n_iter,), read-only."""
        view = self._room[: self._size]
        view.flags.writeable = False
        return view


def stacked(passed: Sequence[Packed]) -> dict[str, Floats]:
    """Parameters after each iteration as arrays (n_iter, …) by name."""
    return {name: np.stack([one[name] for one in passed]) for name in passed[0]} if passed else {}


def _unstacked(arrays: Packed) -> tuple[Packed, ...]:
    n_iter = len(next(iter(arrays.values()))) if arrays else 0
    return tuple({name: array[iteration] for name, array in arrays.items()} for iteration in range(n_iter))


def bits_of(rng: np.random.Generator) -> NDArray[np.uint64]:
    """The state of a PCG64 generator, shape (6,)."""
    state = rng.bit_generator.state
    inner = state["state"]
    words = [inner["state"] & MASK, inner["state"] >> 64, inner["inc"] & MASK, inner["inc"] >> 64]
    return np.array([*words, state["has_uint32"], state["uinteger"]], dtype=np.uint64)


def set_bits(rng: np.random.Generator, bits: NDArray[np.uint64]) -> None:
    """The inverse of `bits_of`."""
    low, high, inc_low, inc_high, has_uint32, uinteger = (int(word) for word in bits)
    rng.bit_generator.state = {
        "bit_generator": "PCG64",
        "state": {"state": low | high << 64, "inc": inc_low | inc_high << 64},
        "has_uint32": has_uint32,
        "uinteger": uinteger,
    }
