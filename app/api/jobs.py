"""`/v1/jobs`."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Annotated, get_args

import orjson
from fastapi import APIRouter, Depends, Header, Path, Query, Request
from pydantic import Field, ValidationInfo, field_validator
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response, StreamingResponse

from app.api.answers import Accepts, accepts_json, json_response
from app.api.deps import Prefer, Services, Use, is_stopping
from app.api.openapi import PAGE_HEADERS, READ, problems
from app.api.paging import ListQuery, page_response
from app.api.prefer import wait_for_end, wait_seconds
from app.api.schemas.jobs import Job, JobPage, KindName, StatusName
from app.domain import jobs as domain

router = APIRouter(prefix="/v1/jobs", tags=["jobs"])

JobId = Annotated[
    str,
    Path(
        max_length=64,
        description="Id of a job.",
        openapi_examples={"id": {"value": "01a1fd5c-64b3-77b4-9f09-d5bbb2e3a715"}},
    ),
]

PROGRESS = "progress"
EVENTS_EVERY_S = 0.1
KEEP_ALIVE_S = 15.0
EVENT_SCHEMA = {
    "description": "One event; the stream is a sequence of them.",
    "type": "object",
    "properties": {
        "id": {"type": "string"},
        "event": {"enum": ["progress", "succeeded", "failed", "cancelled"]},
        "data": {"type": "string", "description": "JSON: the progress, or the job once it has ended."},
    },
    "required": ["id", "event", "data"],
}


def _allowed(literal: object) -> tuple[str, ...]:
    return get_args(literal)


class JobQuery(ListQuery):
    """Filters of the list; commas are OR."""

    status: Annotated[str | None, Field(description=f"Of {', '.join(_allowed(StatusName))}.")] = None
    kind: Annotated[str | None, Field(description=f"Of {', '.join(_allowed(KindName))}.")] = None
    model: Annotated[str | None, Field(pattern=r"^[A-Za-z0-9._, -]{1,4096}$", description="Names of models.")] = None

    @field_validator("status", "kind")
    @classmethod
    def _known(cls, value: str | None, info: ValidationInfo) -> str | None:
        allowed = _allowed(StatusName if info.field_name == "status" else KindName)
        for name in split(value):
            if name not in allowed:
                raise ValueError(f"{name!r} is not one of {', '.join(allowed)}")
        return value


def split(value: str | None) -> list[str]:
    """The values of a filter."""
    return [] if value is None else [part.strip() for part in value.split(",")]


@router.get(
    "",
    summary="List jobs",
    response_model=JobPage,
    responses=problems(*READ, also={200: {"headers": PAGE_HEADERS}}),
    dependencies=[Depends(accepts_json)],
)
def list_jobs(request: Request, use: Use, query: Annotated[JobQuery, Query()]) -> Response:
    """Newest first."""
    page = use.jobs.page(query.page, split(query.status), split(query.kind), split(query.model))
    return page_response(request, page, Job.of)


@router.get(
    "/{job}",
    summary="Look at a job",
    response_model=Job,
    responses=problems(404, *READ),
    dependencies=[Depends(accepts_json)],
)
async def get_job(request: Request, use: Use, job: JobId, prefer: Prefer) -> Response:
    """As it stands; with `Prefer: wait=N` once it has ended, or after N seconds."""
    found = await run_in_threadpool(use.jobs.get, job)
    seconds = wait_seconds(prefer)
    headers = {}
    if seconds is not None:
        found = await wait_for_end(found, seconds, use.jobs.get, lambda: is_stopping(request))
        headers["Preference-Applied"] = f"wait={seconds}"
    return json_response(Job.of(found).model_dump(mode="json"), headers=headers)


@router.post(
    "/{job}/cancel",
    summary="Cancel a job",
    responses=problems(404, 409, *READ),
    dependencies=[Depends(accepts_json)],
)
def cancel_job(use: Use, job: JobId) -> Job:
    """Idempotent; 409 when the job ended otherwise."""
    return Job.of(use.jobs.cancel(job))


@router.get(
    "/{job}/events",
    summary="Follow a job",
    response_class=StreamingResponse,
    responses=problems(404, *READ, also={200: {"content": {"text/event-stream": {"schema": EVENT_SCHEMA}}}}),
    dependencies=[Depends(Accepts("text/event-stream"))],
)
async def follow_job(
    request: Request,
    use: Use,
    job: JobId,
    last_event_id: Annotated[
        str | None, Header(alias="Last-Event-ID", description="Resume after the event with this id.")
    ] = None,
) -> Response:
    """Server-sent events: `progress`, and one closing `succeeded`, `failed` or `cancelled` with the job."""
    found = await run_in_threadpool(use.jobs.get, job)
    since = int(last_event_id) if last_event_id and last_event_id.isascii() and last_event_id.isdigit() else 0
    events = _events(request, use, found.id, min(since, 2**31 - 1))
    return StreamingResponse(events, media_type="text/event-stream", headers={"Cache-Control": "no-store"})


async def _events(request: Request, use: Services, job_id: str, since: int) -> AsyncIterator[bytes]:
    spoken = time.monotonic()
    while not await request.is_disconnected() and not is_stopping(request):
        job = await run_in_threadpool(use.jobs.get, job_id)  # before its events, so that none of them is missed
        events = await run_in_threadpool(use.jobs.events_after, job_id, since)
        for event in events:
            since, spoken = event.seq, time.monotonic()
            if event.name != PROGRESS:
                ended = await run_in_threadpool(use.jobs.get, job_id)
                yield _line(event, Job.of(ended).model_dump(mode="json"))
                return
            yield _line(event, event.data)
        if events:
            continue  # there may be more of them
        if job.ended:
            return
        if time.monotonic() - spoken > KEEP_ALIVE_S:
            spoken = time.monotonic()
            yield b": still there\n\n"
        await asyncio.sleep(EVENTS_EVERY_S)


def _line(event: domain.JobEvent, data: object) -> bytes:
    return f"id: {event.seq}\nevent: {event.name}\ndata: {orjson.dumps(data).decode()}\n\n".encode()
