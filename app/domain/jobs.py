"""A job and its life: one pure table of transitions, drawn in docs/jobs.md."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any


class Status(StrEnum):
    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


ENDED = frozenset({Status.SUCCEEDED, Status.FAILED, Status.CANCELLED})


class Event(StrEnum):
    CLAIM = "claim"  # a worker takes it
    RECLAIM = "reclaim"  # its lease ran out and a worker takes it again
    HAND_BACK = "hand-back"  # its worker stops in good order: the attempt does not count
    RETRY = "retry"  # its process died: the attempt counts
    SUCCEED = "succeed"
    FAIL = "fail"
    CANCEL = "cancel"


TRANSITIONS: dict[tuple[Status, Event], Status] = {
    (Status.QUEUED, Event.CLAIM): Status.RUNNING,
    (Status.QUEUED, Event.CANCEL): Status.CANCELLED,
    (Status.RUNNING, Event.RECLAIM): Status.RUNNING,
    (Status.RUNNING, Event.HAND_BACK): Status.QUEUED,
    (Status.RUNNING, Event.RETRY): Status.QUEUED,
    (Status.RUNNING, Event.SUCCEED): Status.SUCCEEDED,
    (Status.RUNNING, Event.FAIL): Status.FAILED,
    (Status.RUNNING, Event.CANCEL): Status.CANCELLED,
}


class IllegalTransition(Exception):
    """The table has no such move."""

    def __init__(self, status: Status, event: Event) -> None:
        super().__init__(f"a job that is {status} cannot {event}")
        self.status, self.event = status, event


def next_status(status: Status, event: Event) -> Status:
    """Where `event` takes a job that is `status`; raises `IllegalTransition` where it takes it nowhere."""
    try:
        return TRANSITIONS[status, event]
    except KeyError:
        raise IllegalTransition(status, event) from None


class FailureCode(StrEnum):
    """The `type` of a failed job's error."""

    COLLAPSED_COMPONENT = "collapsed-component"
    DIVERGED = "diverged"
    INVALID_REQUEST = "invalid-request"
    TIMEOUT = "timeout"
    OUT_OF_MEMORY = "out-of-memory"
    WORKER_LOST = "worker-lost"
    ARTIFACT_CORRUPT = "artifact-corrupt"
    INTERNAL = "internal"


@dataclass(frozen=True)
class Failure:
    """Why a job failed."""

    code: FailureCode
    detail: str


@dataclass(frozen=True)
class Job:
    """One accepted piece of long work, as it stands."""

    id: str
    kind: str
    status: Status
    model: str
    priority: int
    timeout_s: float | None
    progress: dict[str, Any] | None
    result: dict[str, Any] | None
    error: Failure | None
    attempts: int
    request: dict[str, Any]
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None

    @property
    def ended(self) -> bool:
        return self.status in ENDED


@dataclass(frozen=True)
class Claim:
    """A worker's hold on a job. `token` fences: it grows with every claim, and only the newest may settle."""

    job: Job
    token: int
    worker: str


@dataclass(frozen=True)
class JobEvent:
    """One line of a job's story, in order of `seq`."""

    seq: int
    name: str
    data: dict[str, Any]
