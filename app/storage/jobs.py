"""The queue's table: insert, look, claim, renew, settle. Every move goes by `app.domain.jobs.next_status`."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row, Select, and_, delete, func, insert, or_, select, update

from app.domain.fits import FitRequest
from app.domain.jobs import (
    ENDED,
    Claim,
    Event,
    Failure,
    FailureCode,
    Job,
    JobEvent,
    Status,
    next_status,
)
from app.domain.paging import Page, PageRequest
from app.storage.database import MICROSECONDS, Clock, insert_ignore, maybe_moment, moment
from app.storage.paging import newest_first
from app.storage.tables import checkpoints, job_events, jobs

EVENTS_AT_ONCE = 500


def add(tx: Connection, job_id: str, kind: str, request: FitRequest) -> Job:
    """A new job, queued."""
    tx.execute(
        insert(jobs).values(
            id=job_id,
            kind=kind,
            status=Status.QUEUED,
            model=request.model,
            dataset_id=request.data.dataset,
            priority=request.priority,
            timeout_s=request.timeout_s,
            request=request.to_document(),
            attempts=0,
            token=0,
            last_event=0,
            created_at=Clock(),
        )
    )
    job = get(tx, job_id)
    assert job is not None
    return job


def get(tx: Connection, job_id: str) -> Job | None:
    """The job, or None."""
    row = tx.execute(select(jobs).where(jobs.c.id == job_id)).one_or_none()
    return None if row is None else _job(row)


def page(
    tx: Connection,
    request: PageRequest,
    statuses: Sequence[str] = (),
    kinds: Sequence[str] = (),
    models: Sequence[str] = (),
) -> Page[Job]:
    """Jobs, newest first; within a filter any of the values, all filters together."""
    query = select(jobs)
    for column, values in ((jobs.c.status, statuses), (jobs.c.kind, kinds), (jobs.c.model, models)):
        if values:
            query = query.where(column.in_(values))
    return newest_first(tx, query, jobs.c.id, request, _job)


def count_queued(tx: Connection) -> int:
    """How many jobs wait."""
    return tx.execute(select(func.count()).where(jobs.c.status == Status.QUEUED)).scalar_one()


def unfinished_on_dataset(tx: Connection, dataset_id: str) -> str | None:
    """The id of a job that has not ended and uses the dataset, or None."""
    query = select(jobs.c.id).where(jobs.c.dataset_id == dataset_id, jobs.c.status.not_in(ENDED))
    return tx.execute(query.limit(1)).scalar_one_or_none()


def claim(tx: Connection, worker: str, lease_s: float, max_attempts: int) -> Claim | None:
    """Takes the most urgent job that waits, or whose lease ran out; None when there is none.

    By priority, then age. A job whose lease ran out `max_attempts` times is failed here, `worker-lost`.
    """
    while (row := tx.execute(_due()).first()) is not None:
        job = _job(row)
        if job.status is Status.RUNNING and job.attempts >= max_attempts:
            settle(tx, job, Event.FAIL, failure=worker_lost(job.attempts))
            continue
        event = Event.CLAIM if job.status is Status.QUEUED else Event.RECLAIM
        taken = _move(
            tx,
            job,
            event,
            attempts=jobs.c.attempts + 1,
            worker=worker,
            lease_until=Clock() + int(lease_s * MICROSECONDS),
            started_at=func.coalesce(jobs.c.started_at, Clock()),
        )
        return Claim(taken, row.token + 1, worker)
    return None


def worker_lost(attempts: int) -> Failure:
    """The failure of a job that its worker did not survive."""
    return Failure(
        FailureCode.WORKER_LOST,
        f"The process that ran this job was lost {attempts} times, the most that is tried.",
    )


def renew(tx: Connection, claim: Claim, lease_s: float) -> bool:
    """Extends the lease; False when the claim is no longer the job's newest or the job has ended."""
    statement = update(jobs).where(_held(claim)).values(lease_until=Clock() + int(lease_s * MICROSECONDS))
    return tx.execute(statement).rowcount == 1


def holds(tx: Connection, claim: Claim) -> bool:
    """Whether the claim is the job's newest and the job has not ended."""
    return tx.execute(select(jobs.c.id).where(_held(claim))).one_or_none() is not None


def report(tx: Connection, claim: Claim, progress: dict[str, Any]) -> bool:
    """Writes progress and its event; False as for `renew`."""
    statement = update(jobs).where(_held(claim)).values(progress=progress)
    if tx.execute(statement).rowcount != 1:
        return False
    append_event(tx, claim.job.id, "progress", progress)
    return True


def keep_checkpoint(tx: Connection, claim: Claim, content: bytes) -> bool:
    """Writes where the job stands, in place of what was written before; False as for `renew`."""
    if lock_held(tx, claim) is None:
        return False
    kept = {"content": content, "kept_at": Clock()}
    if not insert_ignore(tx, checkpoints, {"job_id": claim.job.id, **kept}):
        tx.execute(update(checkpoints).where(checkpoints.c.job_id == claim.job.id).values(kept))
    return True


def checkpoint(tx: Connection, job_id: str) -> bytes | None:
    """Where the job last stood; None when it has not begun, or has ended."""
    query = select(checkpoints.c.content).where(checkpoints.c.job_id == job_id)
    content: bytes | None = tx.execute(query).scalar_one_or_none()
    return content


def lock_held(tx: Connection, claim: Claim) -> Job | None:
    """The claimed job, locked for settling; None when the claim is stale."""
    row = tx.execute(select(jobs).where(_held(claim)).with_for_update()).one_or_none()
    return None if row is None else _job(row)


def lock(tx: Connection, job_id: str) -> Job | None:
    """The job, locked until the transaction ends."""
    row = tx.execute(select(jobs).where(jobs.c.id == job_id).with_for_update()).one_or_none()
    return None if row is None else _job(row)


def settle(
    tx: Connection,
    job: Job,
    event: Event,
    *,
    result: dict[str, Any] | None = None,
    failure: Failure | None = None,
) -> Job:
    """Ends a job that is locked, so that whoever still holds a claim holds nothing; `IllegalTransition` otherwise."""
    error = None if failure is None else {"code": failure.code, "detail": failure.detail}
    ended = _move(tx, job, event, result=result, error=error, lease_until=None, finished_at=Clock())
    tx.execute(delete(checkpoints).where(checkpoints.c.job_id == job.id))
    append_event(tx, job.id, ended.status, {})
    return ended


def requeue(tx: Connection, claim: Claim, event: Event) -> bool:
    """Gives a claimed job back to the queue: `HAND_BACK` forgets the attempt, `RETRY` counts it."""
    job = lock_held(tx, claim)
    if job is None:
        return False
    attempts = job.attempts - (1 if event is Event.HAND_BACK else 0)
    _move(tx, job, event, attempts=attempts, progress=None, lease_until=None)
    return True


def expire_leases(tx: Connection, worker: str) -> int:
    """Ends the leases of a worker that is known to be dead, so that its jobs need not wait for them."""
    statement = (
        update(jobs).where(jobs.c.worker == worker, jobs.c.status == Status.RUNNING).values(lease_until=Clock() - 1)
    )
    return tx.execute(statement).rowcount


def append_event(tx: Connection, job_id: str, name: str, data: dict[str, Any]) -> None:
    """The next line of the job's story."""
    seq = tx.execute(
        update(jobs).where(jobs.c.id == job_id).values(last_event=jobs.c.last_event + 1).returning(jobs.c.last_event)
    ).scalar_one()
    tx.execute(insert(job_events).values(job_id=job_id, seq=seq, name=name, data=data))


def events_after(tx: Connection, job_id: str, seq: int) -> list[JobEvent]:
    """The lines that follow `seq`, in order, at most `EVENTS_AT_ONCE`."""
    query = (
        select(job_events)
        .where(job_events.c.job_id == job_id, job_events.c.seq > seq)
        .order_by(job_events.c.seq)
        .limit(EVENTS_AT_ONCE)
    )
    return [JobEvent(row.seq, row.name, row.data) for row in tx.execute(query)]


def _move(tx: Connection, job: Job, event: Event, **values: Any) -> Job:
    """The one place where a job's status changes: a locked job goes where the table says, and its token grows."""
    moved = update(jobs).where(jobs.c.id == job.id).values(status=next_status(job.status, event), **values)
    row = tx.execute(moved.values(token=jobs.c.token + 1).returning(jobs)).one()
    return _job(row)


def _due() -> Select[Any]:
    expired = and_(jobs.c.status == Status.RUNNING, jobs.c.lease_until < Clock())
    return (
        select(jobs)
        .where(or_(jobs.c.status == Status.QUEUED, expired))
        .order_by(jobs.c.priority.desc(), jobs.c.id)
        .limit(1)
        .with_for_update(skip_locked=True)
    )


def _held(claim: Claim) -> Any:
    return and_(jobs.c.id == claim.job.id, jobs.c.token == claim.token, jobs.c.status == Status.RUNNING)


def _job(row: Row[Any]) -> Job:
    error = None if row.error is None else Failure(FailureCode(row.error["code"]), row.error["detail"])
    return Job(
        id=row.id,
        kind=row.kind,
        status=Status(row.status),
        model=row.model,
        priority=row.priority,
        timeout_s=row.timeout_s,
        progress=row.progress,
        result=row.result,
        error=error,
        attempts=row.attempts,
        request=row.request,
        created_at=moment(row.created_at),
        started_at=maybe_moment(row.started_at),
        finished_at=maybe_moment(row.finished_at),
    )
