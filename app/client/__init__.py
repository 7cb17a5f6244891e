"""The Python client of the service, synchronous and typed, over httpx."""

from app.client.client import Client
from app.client.errors import (
    Conflict,
    ConnectionFailed,
    InvalidRequest,
    JobCancelled,
    JobFailed,
    MixturaError,
    NotFound,
    Problem,
    ProblemError,
    Unauthorized,
    Unavailable,
    WaitTimeout,
)
from app.client.events import Event
from app.client.jobs import Job
from app.client.models import Model, ModelInfo, Parameters, Version
from app.client.records import Alias, AliasMove, Dataset, DatasetSummary, FeatureSummary, Progress
from app.client.serving import Anomalies, Density, Distances, Evaluation, Prediction, Probabilities, Sample

__all__ = [
    "Alias",
    "AliasMove",
    "Anomalies",
    "Client",
    "Conflict",
    "ConnectionFailed",
    "Dataset",
    "DatasetSummary",
    "Density",
    "Distances",
    "Evaluation",
    "Event",
    "FeatureSummary",
    "InvalidRequest",
    "Job",
    "JobCancelled",
    "JobFailed",
    "MixturaError",
    "Model",
    "ModelInfo",
    "NotFound",
    "Parameters",
    "Prediction",
    "Probabilities",
    "Problem",
    "ProblemError",
    "Progress",
    "Sample",
    "Unauthorized",
    "Unavailable",
    "Version",
    "WaitTimeout",
]
