"""Stepwise EM: sufficient statistics that run along a stream of batches, and the parameters that they imply."""

__all__ = ["RunningStatistics", "Stepwise", "fold", "statistics_of_mixture", "step_size", "stepwise"]

from dataclasses import dataclass
from typing import Protocol, TypeVar

from core.covariance import Covariance
from core.mixture import Mixture, Statistics, combine
from core.rows import one_blas_thread

Parameters = TypeVar("Parameters")


@dataclass(frozen=True)
class RunningStatistics:
    """Statistics *per unit of weight* (`total` is 1) after `n_steps` steps, which saw `weight` altogether."""

    statistics: Statistics
    n_steps: int
    weight: float


class Stepwise(Protocol[Parameters]):
    """An algorithm whose iteration comes apart into statistics of rows, and parameters from statistics."""

    @property
    def structure(self) -> type[Covariance]:
        """That of the covariances."""

    def statistics(self, parameters: Parameters) -> Statistics:
        """Those of all its rows under the responsibilities that the parameters give them: the E-step."""

    def implied(self, running: RunningStatistics) -> Parameters:
        """The parameters that running statistics imply: the M-step."""


def step_size(step: int, decay: float, offset: float) -> float:
    """γₜ = (t + t₀)^−κ for t = `step`, κ = `decay` in (½, 1], t₀ = `offset` ≥ 0 (Liang & Klein 2009)."""
    return float((step + offset) ** -decay)


def fold(
    structure: type[Covariance],
    running: RunningStatistics | None,
    batch: Statistics,
    weight: float,
    decay: float,
    offset: float,
) -> RunningStatistics:
    """sₜ = (1 − γₜ) sₜ₋₁ + γₜ s̄ₜ, s̄ₜ the mean over the batch (Cappé & Moulines 2009); s₁ = s̄₁.

    Both sides are scatters about their own means, combined as those of two sets of rows: nothing cancels.
    """
    if running is None:
        return RunningStatistics(batch.times(1 / batch.total), 1, weight)
    step = running.n_steps + 1
    gain = step_size(step, decay, offset)
    kept, added = running.statistics.times(1 - gain), batch.times(gain / batch.total)
    # Their totals sum to 1 but for round-off, which a long stream must not pile up.
    joined = combine(structure, kept, added)
    return RunningStatistics(joined.times(1 / joined.total), step, running.weight + weight)


def statistics_of_mixture(mixture: Mixture, log_likelihood: float) -> RunningStatistics:
    """The statistics whose M-step, without regularisation, is this mixture: they count as a first step.

    `log_likelihood` is the mean of the rows it was fitted to. What `reg_covar` has added to the covariances stays in
    them, once.
    """
    scatter = type(mixture.covariance).scattered(mixture.weights, mixture.covariances)
    return RunningStatistics(Statistics(log_likelihood, 1.0, mixture.weights, mixture.means, scatter), 1, 0.0)


def stepwise(
    algorithm: Stepwise[Parameters],
    parameters: Parameters,
    running: RunningStatistics | None,
    weight: float,
    decay: float,
    offset: float,
) -> tuple[Parameters, RunningStatistics]:
    """One step: the batch of the algorithm is folded into the running statistics, and these become parameters.

    `weight` is that of the batch. Raises `CollapsedComponent` or `Diverged`; then nothing has changed.
    """
    with one_blas_thread():
        batch = algorithm.statistics(parameters)
        running = fold(algorithm.structure, running, batch, weight, decay, offset)
        return algorithm.implied(running), running
