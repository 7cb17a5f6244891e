"""`POST /v1/fits`."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from app.api import examples
from app.api.answers import accepts_json, json_response
from app.api.bodies import Body, Parsed, describe
from app.api.deps import IdempotencyHeader, Prefer, Services, Use, idempotency_key, is_stopping
from app.api.openapi import BODY, JOB_HEADERS, WAITED_HEADERS, problems
from app.api.prefer import wait_for_end, wait_seconds
from app.api.schemas.fits import AnyFit, FitRequest, place_rows, to_domain
from app.api.schemas.jobs import Job
from app.domain import jobs as domain

router = APIRouter(prefix="/v1/fits", tags=["fits"], dependencies=[Depends(accepts_json)])

fit_body: Body[AnyFit] = Body(FitRequest, place_rows, "/data/instances")


@router.post(
    "",
    status_code=202,
    summary="Fit a model",
    response_model=Job,
    responses=problems(
        404,
        503,
        *BODY,
        also={
            200: {"model": Job, "description": "The job has ended within `Prefer: wait`.", "headers": WAITED_HEADERS},
            202: {"headers": JOB_HEADERS},
        },
    ),
    openapi_extra=describe(
        fit_body,
        {"inline": examples.FIT, "dataset": examples.FIT_STORED, "kmeans": examples.FIT_KMEANS},
    ),
)
async def fit(
    request: Request,
    use: Use,
    body: Annotated[Parsed[AnyFit], Depends(fit_body)],
    prefer: Prefer,
    key: IdempotencyHeader = None,
) -> Response:
    """Accepts the fit and answers with its job; success adds the model's next version.

    What is invalid is refused before it is accepted. With `text/csv` the options come as query parameters:
    `?model=geyser&algorithm=gaussian_mixture&params.n_components=2`, and `sample_weight` and `labels` name columns.
    """
    draft, inline = await run_in_threadpool(to_domain, body.value, request.state.trace_id)
    accepted = await run_in_threadpool(use.training.submit, draft, inline, idempotency_key(request, key, body))
    headers = {"Idempotency-Replayed": "true"} if accepted.replayed else {}
    return await job_response(request, use, accepted.job, prefer, headers)


async def job_response(
    request: Request, use: Services, job: domain.Job, prefer: str | None, headers: dict[str, str]
) -> Response:
    """202 with the job, or 200 when it ended within the time that the caller would wait."""
    seconds = wait_seconds(prefer)
    if seconds is not None:
        job = await wait_for_end(job, seconds, use.jobs.get, lambda: is_stopping(request))
    document = Job.of(job).model_dump(mode="json")
    if job.ended and seconds is not None:
        return json_response(document, 200, headers | {"Preference-Applied": f"wait={seconds}"})
    return json_response(document, 202, headers | {"Location": f"/v1/jobs/{job.id}", "Retry-After": "1"})
