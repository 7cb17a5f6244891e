"""Accepting fits: all that can be refused is refused here; what is accepted is on disk."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection

from app.domain.datasets import Dataset
from app.domain.errors import FieldError, InvalidRequest, QueueFull, UnsupportedOperation
from app.domain.fits import DataRef, FitRequest, Preprocess
from app.domain.idempotency import IdempotencyKey
from app.domain.ids import new_id
from app.domain.jobs import Job, Status
from app.domain.rows import check_names, refuse_missing
from app.services.algorithms import Algorithm, algorithm
from app.services.datasets import DatasetService, InlineData, check_size, column_names, not_found
from app.services.fitting import FitTask, TrainingData, build_estimator, load_training_data
from app.storage import datasets as dataset_table
from app.storage import idempotency, jobs, registry
from app.storage.artifacts import ArtifactStore
from app.storage.database import Database
from core.errors import InvalidParameter


@dataclass(frozen=True)
class Accepted:
    """The job, and whether it is the answer to an earlier request with the same key."""

    job: Job
    replayed: bool


class TrainingService:
    """Takes fits in. `wake` tells the workers of this machine that there is something to do."""

    def __init__(
        self,
        database: Database,
        artifacts: ArtifactStore,
        datasets: DatasetService,
        max_queued_jobs: int,
        wake: Callable[[], None],
    ) -> None:
        self._database = database
        self._artifacts = artifacts
        self._datasets = datasets
        self._max_queued_jobs = max_queued_jobs
        self._wake = wake

    def submit(self, draft: FitRequest, inline: InlineData | None, key: IdempotencyKey | None) -> Accepted:
        """Checks the fit and queues it. With `inline`, those rows are stored and the draft made to refer to them.

        Raises `InvalidRequest` with pointers, `DatasetNotFound`, `QueueFull`, `IdempotencyKeyReused`.
        """
        if key is not None:
            with self._database.read() as tx:
                earlier = idempotency.find(tx, key)
            if earlier is not None:
                return self._replay(earlier)
        kind = algorithm(draft.algorithm)
        if inline is None:
            dataset = self._datasets.find(draft.data.dataset)
            _check_columns(draft.data, dataset)
            draft = replace(draft, data=replace(draft.data, dataset=dataset.id))
            data = load_training_data(self._task(draft, dataset), draft)
            _refuse_gaps(data)
        else:
            _check_inline(inline)
            data = inline.training_data()
            refuse_missing(data.X, inline.rows, data.names, "/data/instances", "a fit")
        check_size(data.X, "/data/features" if inline is None else "/data/instances")
        _check_weights(data.sample_weight, per_row=inline is not None)
        if data.label_names is not None:
            draft = _check_labels(kind, draft, data.label_names)
        check_parameters(kind, draft, data)
        with self._database.read() as tx:
            self._check_room(tx)
        if inline is not None:  # only what passed is stored
            draft = replace(draft, data=self._datasets.keep_inline(inline))
        accepted = self._enqueue(draft, key)
        self._wake()
        return accepted

    def task(self, job: Job) -> FitTask:
        """What a worker hands to the process that fits; raises `DatasetNotFound`."""
        request = FitRequest.from_document(job.request)
        return self._task(request, self._datasets.find(request.data.dataset))

    def _task(self, request: FitRequest, dataset: Dataset) -> FitTask:
        path = str(self._artifacts.path(dataset.key))
        return FitTask(request.to_document(), path, dataset.feature_names, dataset.categories, dataset.sha256)

    def _enqueue(self, request: FitRequest, key: IdempotencyKey | None) -> Accepted:
        job_id = new_id()
        with self._database.write() as tx:
            if key is not None and (earlier := idempotency.reserve(tx, key)) is not None:
                return self._replay(earlier)
            self._check_room(tx)
            if dataset_table.find(tx, request.data.dataset, lock=True) is None:
                raise not_found(request.data.dataset)
            registry.ensure_model(tx, request.model, request.description, request.tags)
            job = jobs.add(tx, job_id, "fit", request)
            if key is not None:
                idempotency.keep(tx, key, {"job": job.id})
        return Accepted(job, replayed=False)

    def _check_room(self, tx: Connection) -> None:
        if jobs.count_queued(tx) >= self._max_queued_jobs:
            raise QueueFull(f"{self._max_queued_jobs} jobs wait already, as many as may (MIXTURA_MAX_QUEUED_JOBS).")

    def _replay(self, answer: dict[str, Any]) -> Accepted:
        with self._database.read() as tx:
            job = jobs.get(tx, answer["job"])
        assert job is not None
        return Accepted(as_accepted(job), replayed=True)


def as_accepted(job: Job) -> Job:
    """The job as it stood when it was accepted: what the first answer said."""
    return replace(
        job,
        status=Status.QUEUED,
        progress=None,
        result=None,
        error=None,
        attempts=0,
        started_at=None,
        finished_at=None,
    )


def check_parameters(kind: Algorithm, request: FitRequest, data: TrainingData) -> None:
    """Raises `InvalidRequest` where parameters and rows do not go together."""
    n_samples, n_features = data.X.shape
    most, pca = min(n_samples, n_features), request.preprocess.pca
    if isinstance(pca, int) and pca > most:
        raise InvalidRequest.at(
            "/preprocess/pca",
            f"pca={pca} asks for more components than {most}, the smaller of {n_samples} rows and "
            f"{n_features} features.",
        )
    if request.preprocess.scale != "none":
        with np.errstate(over="ignore", invalid="ignore"):
            beyond = np.flatnonzero(~np.isfinite(data.X.std(axis=0)))
        if len(beyond):
            name = data.names[beyond[0]]
            detail = f"The standard deviation of {name!r} is no finite number; its values cannot be scaled."
            raise InvalidRequest.at("/preprocess/scale", detail)
    if request.preprocess != Preprocess() and request.params.get("precisions_init") is not None:
        raise InvalidRequest.at("/params/precisions_init", "precisions_init cannot be combined with preprocess.")
    try:  # starts are given in original features, so they are checked there
        estimator = build_estimator(kind, request, None, data.label_names)
        estimator.check_parameters(n_samples, n_features)
    except InvalidParameter as error:
        raise InvalidRequest.at(f"/params/{error.name}", f"{error}.") from error


def _check_inline(inline: InlineData) -> None:
    rows = inline.rows
    check_size(rows.X, "/data/instances")
    check_names(column_names(rows), "/data/feature_names")
    for name, values in (("sample_weight", inline.sample_weight), ("labels", inline.labels)):
        if values is not None and len(values) != rows.n_rows:
            raise InvalidRequest.at(f"/data/{name}", f"{name} has {len(values)} entries for {rows.n_rows} rows.")


def _check_columns(data: DataRef, dataset: Dataset) -> None:
    known = set(dataset.feature_names)
    if data.features is not None:
        check_names(data.features, "/data/features")
    asked = [(f"/data/features/{j}", name) for j, name in enumerate(data.features or ())]
    asked += [(f"/data/{role}", name) for role in ("sample_weight", "labels") if (name := getattr(data, role))]
    errors = [
        FieldError(pointer, f"{name!r} is not a column of the dataset.") for pointer, name in asked if name not in known
    ]
    if errors:
        raise InvalidRequest(errors[0].detail, errors)
    if data.features is not None:
        for role in ("sample_weight", "labels"):
            if getattr(data, role) in data.features:
                raise InvalidRequest.at(f"/data/{role}", f"{getattr(data, role)!r} is among the features as well.")


def _refuse_gaps(data: TrainingData) -> None:
    missing = np.isnan(data.X)
    if missing.any():
        i, j = (int(k) for k in np.argwhere(missing)[0])
        raise InvalidRequest.at(
            "/data/dataset",
            f"{int(missing.sum())} values are missing, the first is {data.names[j]!r} in row {i}; a fit needs "
            "numbers. Leave the feature out with data.features, or send a dataset without gaps.",
        )


def _check_weights(weight: NDArray[np.float64] | None, *, per_row: bool) -> None:
    if weight is None:
        return
    bad = np.flatnonzero(~(weight >= 0))
    if len(bad):
        i = int(bad[0])
        pointer = f"/data/sample_weight/{i}" if per_row else "/data/sample_weight"
        raise InvalidRequest.at(pointer, f"The weight of row {i} is {weight[i]:g}, not ≥ 0.")
    if not weight.sum() > 0:
        raise InvalidRequest.at("/data/sample_weight", "The weights sum to 0.")


def _check_labels(kind: Algorithm, request: FitRequest, label_names: list[str]) -> FitRequest:
    if not kind.supervised:
        raise UnsupportedOperation.at("/data/labels", f"{kind.name} learns without labels.")
    asked = request.params.get(kind.count)
    if asked not in (None, 1, len(label_names)):
        raise InvalidRequest.at(
            f"/params/{kind.count}",
            f"{kind.count}={asked}, but there are {len(label_names)} distinct labels.",
        )
    return replace(request, params=request.params | {kind.count: len(label_names)})
