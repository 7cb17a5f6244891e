"""Jobs: what the service does while the caller goes on."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Self

from app.client.errors import JobCancelled, JobFailed, Problem, WaitTimeout
from app.client.events import ENDINGS, Event, follow
from app.client.http import Http
from app.client.models import Version, model_path
from app.client.records import Progress, read

__all__ = ["Job"]

HOLD_S = 30  # the longest that one request asks the service to hold its answer


@dataclass(frozen=True)
class Job:
    """A job as the service had it at one moment; `refresh` gives it as it is now."""

    id: str
    kind: str
    status: str
    model: str | None
    progress: Progress | None
    result: Mapping[str, Any] | None
    error: Problem | None
    attempts: int
    request: Mapping[str, Any]
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    _http: Http = field(repr=False, compare=False)

    @classmethod
    def of(cls, payload: Mapping[str, Any], http: Http) -> Self:
        progress, error = payload.get("progress"), payload.get("error")
        values = {
            **payload,
            "progress": None if progress is None else read(Progress, progress),
            "error": None if error is None else Problem.of(error),
        }
        return read(cls, values, _http=http)

    @property
    def ended(self) -> bool:
        return self.status in ENDINGS

    def refresh(self) -> Job:
        """The job as it is now."""
        return Job.of(self._http.json("GET", self._path), self._http)

    def cancel(self) -> Job:
        """Asks for the job's end; raises Conflict when it has already ended otherwise."""
        return Job.of(self._http.json("POST", f"{self._path}/cancel"), self._http)

    def events(self, last_event_id: str | None = None) -> Iterator[Event]:
        """The job's events behind `last_event_id` up to the closing one, over broken connections too."""
        return follow(self._http, f"{self._path}/events", last_event_id)

    def wait(self, timeout: float | None = None, on_progress: Callable[[Progress], object] | None = None) -> Version:
        """The version that the job has made, once it has ended.

        `on_progress` is called with each report of the fit. Raises JobFailed or JobCancelled when the job
        ended so, WaitTimeout when it had not ended after `timeout` seconds; it goes on then.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        job = self._held(deadline) if on_progress is None else self._watched(deadline, on_progress)
        if job.status == "succeeded":
            result = job.result or {}
            path = f"{model_path(result['model'])}/versions/{result['version']}"
            return read(Version, self._http.json("GET", path), _http=self._http)
        kind = JobCancelled if job.status == "cancelled" else JobFailed
        raise kind(job, job.error or Problem(0, title=job.status, detail=f"The job was {job.status}."))

    @property
    def _path(self) -> str:
        return f"/v1/jobs/{self.id}"

    def _held(self, deadline: float | None) -> Job:
        """Asks for the job with answers held back until it ends, as often as it takes."""
        job = self
        while not job.ended:
            left = HOLD_S if deadline is None else deadline - time.monotonic()
            if left <= 0:
                raise WaitTimeout(f"job {self.id} is still {job.status}")
            hold = math.ceil(min(left, HOLD_S))
            asked = time.monotonic()
            response = self._http.send("GET", self._path, headers={"Prefer": f"wait={hold}"}, patience=hold)
            job = Job.of(response.json(), self._http)
            if not job.ended and time.monotonic() - asked < 0.5:  # the answer was not held
                time.sleep(min(left, 0.5))
        return job

    def _watched(self, deadline: float | None, on_progress: Callable[[Progress], object]) -> Job:
        for event in follow(self._http, f"{self._path}/events", deadline=deadline):
            if event.type == "progress":
                on_progress(read(Progress, event.data))
        return self.refresh()
