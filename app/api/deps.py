"""What handlers are given."""

import hashlib
import threading
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Depends, Header, Request

from app.api.bodies import Parsed
from app.domain.idempotency import IdempotencyKey
from app.services.datasets import DatasetService
from app.services.health import HealthService
from app.services.imports import ImportService
from app.services.jobs import JobService
from app.services.loading import ModelLoader
from app.services.registry import RegistryService
from app.services.training import TrainingService


@dataclass(frozen=True)
class Services:
    """All that the handlers call."""

    datasets: DatasetService
    training: TrainingService
    jobs: JobService
    registry: RegistryService
    imports: ImportService
    models: ModelLoader
    health: HealthService


def services(request: Request) -> Services:
    """The application's services."""
    found: Services = request.app.state.services
    return found


Use = Annotated[Services, Depends(services)]
IdempotencyHeader = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=255,
        description="The same key with the same request gives the first answer again, for 24 hours.",
    ),
]
IfMatch = Annotated[
    str | None, Header(alias="If-Match", description="Do it only while the ETag is still this one (else 412).")
]


def prefer(
    request: Request,
    _: Annotated[
        str | None,
        Header(
            alias="Prefer", description="`wait=N`: hold the answer until the job has ended, at most N ≤ 60 seconds."
        ),
    ] = None,
) -> str | None:
    """What the caller prefers, of all lines of the header."""
    return ", ".join(request.headers.getlist("prefer")) or None


Prefer = Annotated[str | None, Depends(prefer)]


def is_stopping(request: Request) -> bool:
    """Whether the service has been told to stop: nobody should be kept waiting."""
    stopping: threading.Event = request.app.state.stopping
    return stopping.is_set()


def idempotency_key(request: Request, header: str | None, body: Parsed[Any]) -> IdempotencyKey | None:
    """The key and a fingerprint of all that the request says."""
    if header is None:
        return None
    said = "\n".join([str(request.url.query), body.media_type, body.sha256])
    scope = f"{request.method} {request.url.path}"
    return IdempotencyKey(scope, header, hashlib.sha256(said.encode()).hexdigest())


def caller(request: Request) -> str:
    """Who asks, for the history."""
    return str(request.state.caller)
