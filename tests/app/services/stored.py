"""Datasets, jobs and versions as the services store them, for tests without processes."""

from typing import Any

import numpy as np

from app.domain.fits import DataRef, FitRequest
from app.domain.ids import new_id
from app.domain.jobs import Claim, Event
from app.domain.rows import Rows
from app.services.datasets import DatasetService, Upload
from app.services.settlement import SettlementService
from app.storage import jobs
from app.storage.artifacts import ArtifactStore
from app.storage.database import Database

METRICS = {"log_likelihood": -1.5, "weights": [0.1, 0.9]}


def upload(database: Database, artifacts: ArtifactStore, seed: int = 0, name: str | None = None) -> str:
    """The id of a dataset of random rows."""
    X = np.random.default_rng(seed).normal(size=(20, 2))
    sent = Upload(Rows(X, None), f"rows:{seed}", "0" * 64, X.nbytes)
    return DatasetService(database, artifacts).create(sent, name, None)[0].id


def claimed(database: Database, dataset: str, model: str = "m", alias: str | None = None) -> Claim:
    """A job on the dataset, which a worker has just taken."""
    with database.write() as tx:
        jobs.add(tx, new_id(), "fit", FitRequest(model, "kmeans", DataRef(dataset), alias=alias))
    with database.write() as tx:
        claim = jobs.claim(tx, "w", 15.0, 3)
    assert claim is not None
    return claim


def outcome(content: bytes = b"a model") -> dict[str, Any]:
    """What a fit comes to, as far as storage cares."""
    nothing: dict[str, Any] = {}
    return {
        "algorithm": "kmeans",
        "params": nothing,
        "feature_names": ["x0", "x1"],
        "n_samples": 20,
        "metrics": METRICS,
        "anomaly": nothing,
        "preprocess": nothing,
        "artifact": content,
    }


def fitted(
    database: Database, artifacts: ArtifactStore, dataset: str, model: str = "m", alias: str | None = None
) -> Claim:
    """A job that has become a version."""
    claim = claimed(database, dataset, model, alias)
    with database.write() as tx:
        assert jobs.report(tx, claim, {"phase": "fitting"})
    content = f"model of {claim.job.id}".encode()
    assert SettlementService(database, artifacts).succeed(claim, outcome(content), {"phase": "evaluating"})
    return claim


def cancelled(database: Database, dataset: str) -> str:
    """The id of a job that was cancelled."""
    claim = claimed(database, dataset)
    with database.write() as tx:
        locked = jobs.lock(tx, claim.job.id)
        assert locked is not None
        jobs.settle(tx, locked, Event.CANCEL)
    return claim.job.id
