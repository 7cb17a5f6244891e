"""The verbs of a model, and what each of them answers."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.client.http import Http
from app.client.records import read
from app.client.rows import Source, file_body, instances, json_body

__all__ = [
    "Anomalies",
    "Density",
    "Distances",
    "Evaluation",
    "Prediction",
    "Probabilities",
    "Sample",
    "Verbs",
]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Answer:
    """`model` and `version` tell which version answered."""

    model: str
    version: int


@dataclass(frozen=True, eq=False)
class Prediction(Answer):
    """`labels` (n,): the component or cluster of each row."""

    labels: Integers


@dataclass(frozen=True, eq=False)
class Probabilities(Answer):
    """`probabilities` (n, k), rows sum to 1; `ambiguity` (n,): their entropy over ln k."""

    probabilities: Floats
    ambiguity: Floats


@dataclass(frozen=True, eq=False)
class Density(Answer):
    """`log_density` (n,) and `density` (n,)."""

    log_density: Floats
    density: Floats


@dataclass(frozen=True, eq=False)
class Distances(Answer):
    """`distances` (n, k): Euclidean to the centres, Mahalanobis to a mixture's components."""

    distances: Floats


@dataclass(frozen=True, eq=False)
class Anomalies(Answer):
    """`score` (n,) against `threshold`; `p_value` (n,) where the model was calibrated."""

    score: Floats
    is_anomaly: NDArray[np.bool_]
    threshold: float | None
    p_value: Floats | None
    n_flagged: int
    warnings: list[Any]
    explanations: list[Any] | None


@dataclass(frozen=True, eq=False)
class Sample(Answer):
    """`instances` (n, d) drawn from the model, and the component `labels` (n,) they were drawn from."""

    instances: Floats
    labels: Integers


@dataclass(frozen=True, eq=False)
class Evaluation(Answer):
    """How well the model describes the rows: what its algorithm has; the last four with labels only."""

    n_samples: int
    mean_log_likelihood: float | None = None
    aic: float | None = None
    bic: float | None = None
    inertia: float | None = None
    silhouette: float | None = None
    adjusted_rand: float | None = None
    normalized_mutual_info: float | None = None
    error_rate: float | None = None
    mapping: Any = None


class Verbs(ABC):
    """The verbs, over the path of a model or of one of its versions.

    Rows are an array (n, d), a list of lists, a list of mappings keyed by feature name, the path of a CSV
    file or its bytes. A refused request raises InvalidRequest, as does a verb that the algorithm lacks.
    """

    _http: Http

    @property
    @abstractmethod
    def _path(self) -> str: ...

    def predict(self, rows: Source) -> Prediction:
        """The component or cluster of each row."""
        answer, served = self._verb("predict", rows)
        return Prediction(**served, labels=_integers(answer["labels"]))

    def predict_proba(self, rows: Source) -> Probabilities:
        """The posterior probability of each component, given each row."""
        answer, served = self._verb("predict_proba", rows)
        return Probabilities(
            **served,
            probabilities=_floats(answer["probabilities"]),
            ambiguity=_floats(answer["ambiguity"]),
        )

    def density(self, rows: Source) -> Density:
        """The mixture's density at each row."""
        answer, served = self._verb("density", rows)
        return Density(**served, log_density=_floats(answer["log_density"]), density=_floats(answer["density"]))

    def transform(self, rows: Source) -> Distances:
        """The distance of each row to each centre."""
        answer, served = self._verb("transform", rows)
        return Distances(**served, distances=_floats(answer["distances"]))

    def anomaly(self, rows: Source, *, contamination: float | None = None, threshold: float | None = None) -> Anomalies:
        """How unlikely each row is, and whether that is beyond a threshold.

        The threshold is `threshold` itself, or the one that flags a fraction `contamination` of the training
        rows; without either it is the one that the model was fitted with.
        """
        answer, served = self._verb("anomaly", rows, contamination=contamination, threshold=threshold)
        p_value = answer.get("p_value")
        return Anomalies(
            **served,
            score=_floats(answer["score"]),
            is_anomaly=np.array(answer["is_anomaly"], dtype=np.bool_),
            threshold=answer["threshold"],
            p_value=None if p_value is None else _floats(p_value),
            n_flagged=answer["n_flagged"],
            warnings=answer.get("warnings") or [],
            explanations=answer.get("explanations"),
        )

    def sample(self, n_samples: int, *, random_state: int | None = None) -> Sample:
        """Rows drawn from the mixture, in original features."""
        answer, served = self._verb("sample", None, n_samples=n_samples, random_state=random_state)
        return Sample(**served, instances=_floats(answer["instances"]), labels=_integers(answer["labels"]))

    def evaluate(self, rows: Source, *, labels: Sequence[Any] | NDArray[Any] | None = None) -> Evaluation:
        """Criteria of the model on these rows, and its agreement with `labels` where they are given."""
        given = None if labels is None else list(np.asarray(labels).tolist())
        answer, served = self._verb("evaluate", rows, labels=given)
        return read(Evaluation, answer | served)

    def _verb(self, verb: str, rows: Source | None, **options: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        options = {name: value for name, value in options.items() if value is not None}
        path = f"{self._path}/{verb}"
        if isinstance(rows, bytes | str | os.PathLike):
            answer = self._http.json("POST", path, params=options, body=file_body(rows))
        else:
            given: Mapping[str, Any] = {} if rows is None else {"instances": instances(rows)}
            answer = self._http.json("POST", path, body=json_body({**given, **options}))
        return answer, {"model": answer["model"]["name"], "version": answer["model"]["version"]}


def _floats(values: Any) -> Floats:
    """Numbers as an array; null, which stands for what is not finite, becomes NaN."""
    return np.array(values, dtype=np.float64)


def _integers(values: Any) -> Integers:
    return np.array(values, dtype=np.int64)
