"""The fit itself, from stored rows to a model file: what runs in a process of its own."""

import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.domain.errors import ArtifactCorrupt, InvalidRequest, MixturaError
from app.domain.fits import FitRequest
from app.domain.jobs import Failure, FailureCode
from app.domain.labels import text_of
from app.services import checkpoint
from app.services.algorithms import Algorithm, algorithm
from app.services.lineage import lineage_of_fit
from app.services.model_file import FittedModel, to_bytes
from core.affine import AffineMap
from core.anomaly import ScoreQuantiles
from core.errors import CollapsedComponent, Diverged, FitFailure, InvalidParameter, InvalidRows
from core.fit import Info
from core.preprocess import fit_preprocess

REPORT_EVERY_S = 0.2
# Where a fit stands is kept every second, and when a restart ends: a restart that was quicker than a report is not
# worth a write of its own. Large states are kept less often, so that no more than this is written a second, and those
# that a database would refuse are not kept.
KEEP_EVERY_S = 1.0
KEPT_BYTES = 2**28
KEPT_BYTES_PER_S = 8 * 2**20
STARTS = ("weights_init", "means_init", "precisions_init", "init")

OUT_OF_MEMORY = Failure(FailureCode.OUT_OF_MEMORY, "The fit needed more memory than it may have.")

Progress = dict[str, Any]


@dataclass(frozen=True)
class FitTask:
    """A fit and where its rows are: a matrix file whose columns are `columns`; `sha256` is the dataset's."""

    request: dict[str, Any]
    path: str
    columns: list[str]
    categories: dict[str, list[str]]
    sha256: str


@dataclass(frozen=True)
class TrainingData:
    """`X` (n, d), with `sample_weight` (n,) and label codes (n,) where asked for."""

    X: NDArray[np.float64]
    names: list[str]
    sample_weight: NDArray[np.float64] | None
    labels: NDArray[np.int64] | None
    label_names: list[str] | None


def load_training_data(task: FitTask, request: FitRequest) -> TrainingData:
    """The columns that the request names, out of the stored matrix."""
    try:
        matrix = np.load(task.path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise ArtifactCorrupt("The dataset's stored file cannot be read.") from error
    data = request.data
    at = {name: j for j, name in enumerate(task.columns)}
    aside = {data.sample_weight, data.labels}
    names = list(data.features or (name for name in task.columns if name not in aside))
    X = np.ascontiguousarray(matrix[:, [at[name] for name in names]], dtype=np.float64)
    weight = None if data.sample_weight is None else np.array(matrix[:, at[data.sample_weight]])
    labels, label_names = None, None
    if data.labels is not None:
        column = np.asarray(matrix[:, at[data.labels]])
        refuse_gap(column, "/data/labels", data.labels)
        values, labels = np.unique(column, return_inverse=True)
        texts = task.categories.get(data.labels)
        label_names = [texts[int(value)] if texts else text_of(value) for value in values.tolist()]
    return TrainingData(X, names, weight, labels, label_names)


def refuse_gap(column: NDArray[np.float64], pointer: str, name: str) -> None:
    """Raises `InvalidRequest` when a row of the column has no value."""
    gaps = np.flatnonzero(np.isnan(column))
    if len(gaps):
        raise InvalidRequest.at(pointer, f"Column {name!r} has no value in row {gaps[0]}.")


def run_fit(task: FitTask, kept: bytes = b"") -> Generator[Progress | bytes, None, dict[str, Any]]:
    """Fits, yielding progress and, as bytes, where it stands; returns the version's fields, the file under `artifact`.

    Given the bytes that an earlier run of the same task yielded it goes on from there, to the same bits.
    """
    request = FitRequest.from_document(task.request)
    kind = algorithm(request.algorithm)
    yield _progress(kind, "preparing", 0.0)
    data = load_training_data(task, request)
    preprocess = fit_preprocess(
        data.X, request.preprocess.scale, request.preprocess.pca, sample_weight=data.sample_weight
    )
    Z = preprocess.transform(data.X)
    estimator = build_estimator(kind, request, preprocess, data.label_names)
    if data.labels is not None:
        last = yield from _told(kind, estimator.fit_steps(Z, sample_weight=data.sample_weight, labels=data.labels))
    else:
        state = checkpoint.from_bytes(kept) if kept else None
        steps = estimator.fit_steps(Z, sample_weight=data.sample_weight, state=state)
        last = yield from _told(kind, steps, lambda: checkpoint.to_bytes(estimator.state_))
    yield last | {"phase": "evaluating", "fraction": 1.0}
    fitted = kind.fitted(estimator)
    metrics = kind.metrics(estimator, Z, preprocess.log_abs_det, data.sample_weight)
    if data.label_names is not None:
        metrics["component_labels"] = data.label_names
    quantiles = ScoreQuantiles.from_scores(kind.scores(fitted, Z, preprocess.log_abs_det))
    contamination = request.anomaly.contamination
    model = FittedModel(kind.name, tuple(data.names), fitted, preprocess, quantiles, contamination)
    facts = {
        "params": request.params,
        "n_samples": len(Z),
        "metrics": metrics,
        "anomaly": asdict(request.anomaly) | {"threshold": quantiles.threshold(contamination)},
        "preprocess": asdict(request.preprocess) | {"n_features_out": preprocess.n_features_out},
        "lineage": lineage_of_fit(request.data, task.sha256),
    }
    names = {"algorithm": kind.name, "feature_names": data.names}
    return names | facts | {"artifact": to_bytes(model, facts)}


def build_estimator(
    kind: Algorithm, request: FitRequest, preprocess: AffineMap | None, label_names: list[str] | None
) -> Any:
    """The estimator of the request; means and centres, given in original features, go through `preprocess`.

    Raises `InvalidParameter` for a start that is not an array.
    """
    params = dict(request.params)
    for name in STARTS:
        if isinstance(params.get(name), list):
            params[name] = _array(name, params[name])
    for name in ("means_init", "init"):
        if preprocess is not None and isinstance(params.get(name), np.ndarray):
            params[name] = preprocess.transform(params[name])
    if label_names is not None:
        params[kind.count] = len(label_names)
    return kind.estimator(**params)


def _array(name: str, value: list[Any]) -> NDArray[np.float64]:
    try:
        return np.asarray(value, dtype=np.float64)
    except (ValueError, TypeError):
        raise InvalidParameter(name, value, "must be an array of numbers, all its rows of one length") from None


def failure_of(error: BaseException) -> Failure:
    """Why a fit failed, by name."""
    match error:
        case CollapsedComponent():
            return Failure(FailureCode.COLLAPSED_COMPONENT, f"{error}.")
        case Diverged() | FitFailure():
            return Failure(FailureCode.DIVERGED, f"{error}.")
        case OverflowError() | FloatingPointError():
            detail = "The rows are so large that their squares are no finite numbers; scale them first."
            return Failure(FailureCode.DIVERGED, detail)
        case MemoryError():
            return OUT_OF_MEMORY
        case RuntimeError() if "start new thread" in str(error):  # there is no room for its stack
            return OUT_OF_MEMORY
        case ArtifactCorrupt():
            return Failure(FailureCode.ARTIFACT_CORRUPT, error.detail)
        case InvalidParameter() | InvalidRows():
            return Failure(FailureCode.INVALID_REQUEST, f"{error}.")
        case InvalidRequest():
            return Failure(FailureCode.INVALID_REQUEST, error.detail)
        case MixturaError():
            return Failure(FailureCode.INTERNAL, error.detail)
        case _:
            return Failure(FailureCode.INTERNAL, f"The fit ended by an unforeseen {type(error).__name__}.")


def _told(
    kind: Algorithm, steps: Iterator[Info], keep: Callable[[], bytes] | None = None
) -> Generator[Progress | bytes, None, Progress]:
    """Passes on an iteration, and what `keep` returns, as often as is worth it; returns the last one's progress."""
    progress, said, kept, wait = _progress(kind, "fitting", 0.0), 0.0, time.monotonic(), 0.0
    for info in steps:
        ended = info.converged or info.iteration == info.max_iter
        done = 1.0 if ended else info.iteration / info.max_iter
        progress = _progress(kind, "fitting", (info.init - 1 + done) / info.n_init, info)
        if time.monotonic() - said >= REPORT_EVERY_S:
            yield progress
            said = time.monotonic()
        if keep is not None and time.monotonic() - kept >= max(REPORT_EVERY_S if ended else KEEP_EVERY_S, wait):
            content = keep()
            if len(content) <= KEPT_BYTES:
                yield content
            kept, wait = time.monotonic(), len(content) / KEPT_BYTES_PER_S
    return progress


def _progress(kind: Algorithm, phase: str, fraction: float, info: Info | None = None) -> Progress:
    return {
        "phase": phase,
        "fraction": fraction,
        "init": info.init if info else None,
        "n_init": info.n_init if info else None,
        "iteration": info.iteration if info else None,
        "max_iter": info.max_iter if info else None,
        kind.objective: info.objective if info else None,
    }
