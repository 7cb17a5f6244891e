"""The queue, on both databases."""

import itertools
import threading
from collections.abc import Iterator

import pytest
from sqlalchemy import select, update

from app.domain.errors import Conflict
from app.domain.fits import DataRef, FitRequest
from app.domain.ids import new_id
from app.domain.jobs import TRANSITIONS, Claim, Event, Failure, FailureCode, IllegalTransition, Job, Status
from app.domain.paging import PageRequest
from app.services.jobs import JobService
from app.storage import jobs
from app.storage.database import Clock, Database
from app.storage.tables import jobs as table

LEASE_S = 15.0


def request(model: str = "m", priority: int = 0) -> FitRequest:
    return FitRequest(model=model, algorithm="kmeans", data=DataRef("d"), priority=priority)


def add(database: Database, model: str = "m", priority: int = 0) -> Job:
    with database.write() as tx:
        return jobs.add(tx, new_id(), "fit", request(model, priority))


def claim(database: Database, worker: str = "w1", max_attempts: int = 3) -> Claim | None:
    with database.write() as tx:
        return jobs.claim(tx, worker, LEASE_S, max_attempts)


def look(database: Database, job: Job) -> Job:
    with database.read() as tx:
        found = jobs.get(tx, job.id)
    assert found is not None
    return found


def expire(database: Database, job: Job) -> None:
    with database.write() as tx:
        tx.execute(update(table).where(table.c.id == job.id).values(lease_until=Clock() - 1))


def settle(database: Database, held: Claim, event: Event) -> bool:
    with database.write() as tx:
        job = jobs.lock_held(tx, held)
        if job is None:
            return False
        jobs.settle(tx, job, event)
        return True


def test_a_job_comes_back_as_it_went_in(database: Database) -> None:
    job = add(database)
    assert (job.status, job.attempts, job.progress, job.result, job.error) == (Status.QUEUED, 0, None, None, None)
    assert FitRequest.from_document(job.request) == request()
    assert look(database, job) == job


def test_claims_go_by_priority_then_age(database: Database) -> None:
    first, urgent, second = add(database), add(database, priority=5), add(database)
    late = add(database, priority=-10)
    order = [held.job.id for held in iter(lambda: claim(database), None)]
    assert order == [urgent.id, first.id, second.id, late.id]


def test_a_claim_is_exclusive_while_its_lease_lasts(database: Database) -> None:
    job = add(database)
    held = claim(database)
    assert held is not None
    assert held.job.status is Status.RUNNING
    assert held.job.attempts == 1
    assert held.job.started_at is not None
    assert claim(database, "w2") is None
    expire(database, job)
    again = claim(database, "w2")
    assert again is not None
    assert again.token > held.token
    assert again.job.attempts == 2


def test_a_stale_claim_changes_nothing(database: Database) -> None:
    job = add(database)
    stale = claim(database)
    expire(database, job)
    fresh = claim(database, "w2")
    assert stale is not None
    assert fresh is not None
    with database.write() as tx:
        assert not jobs.renew(tx, stale, LEASE_S)
        assert not jobs.report(tx, stale, {"phase": "fitting"})
        assert not jobs.requeue(tx, stale, Event.RETRY)
    assert not settle(database, stale, Event.SUCCEED)
    assert look(database, job).status is Status.RUNNING
    assert settle(database, fresh, Event.SUCCEED)
    assert not settle(database, fresh, Event.SUCCEED)
    assert look(database, job).status is Status.SUCCEEDED


def test_renewing_keeps_a_claim(database: Database) -> None:
    job = add(database)
    held = claim(database)
    assert held is not None
    expire(database, job)
    with database.write() as tx:
        assert jobs.renew(tx, held, LEASE_S)
    assert claim(database, "w2") is None


def test_a_job_that_kills_its_process_each_time_is_worker_lost(database: Database) -> None:
    job = add(database)
    for attempt in (1, 2, 3):
        held = claim(database)
        assert held is not None
        assert held.job.attempts == attempt
        expire(database, job)
    assert claim(database) is None
    ended = look(database, job)
    assert ended.status is Status.FAILED
    assert ended.error is not None
    assert ended.error.code is FailureCode.WORKER_LOST
    assert ended.finished_at is not None


def test_handing_back_forgets_the_attempt_and_a_retry_counts_it(database: Database) -> None:
    job = add(database)
    for event, attempts in ((Event.HAND_BACK, 0), (Event.RETRY, 1)):
        held = claim(database)
        assert held is not None
        with database.write() as tx:
            assert jobs.requeue(tx, held, event)
        found = look(database, job)
        assert (found.status, found.attempts) == (Status.QUEUED, attempts)


def test_a_dead_workers_leases_can_be_ended_at_once(database: Database) -> None:
    add(database)
    assert claim(database, "dead") is not None
    with database.write() as tx:
        assert jobs.expire_leases(tx, "dead") == 1
    assert claim(database, "w2") is not None


def test_events_tell_the_story_in_order(database: Database) -> None:
    job = add(database)
    held = claim(database)
    assert held is not None
    for fraction in (0.1, 0.5):
        with database.write() as tx:
            assert jobs.report(tx, held, {"fraction": fraction})
    settle(database, held, Event.SUCCEED)
    with database.read() as tx:
        story = jobs.events_after(tx, job.id, 0)
        assert [(event.seq, event.name) for event in story] == [(1, "progress"), (2, "progress"), (3, "succeeded")]
        assert [event.data for event in story[:2]] == [{"fraction": 0.1}, {"fraction": 0.5}]
        assert [event.seq for event in jobs.events_after(tx, job.id, 1)] == [2, 3]


def test_an_ended_job_cannot_be_settled_again(database: Database) -> None:
    job = add(database)
    with database.write() as tx:
        locked = jobs.lock(tx, job.id)
        assert locked is not None
        jobs.settle(tx, locked, Event.CANCEL)
    with database.write() as tx:
        ended = jobs.lock(tx, job.id)
        assert ended is not None
        with pytest.raises(IllegalTransition):
            jobs.settle(tx, ended, Event.FAIL, failure=Failure(FailureCode.INTERNAL, "no"))


def held_claim(database: Database) -> Claim:
    held = claim(database)
    assert held is not None
    return held


def bring_to(database: Database, status: Status) -> Claim:
    """A job of that status, and the newest claim that it ever had (one that it never had, while it is queued)."""
    if status is Status.QUEUED:
        return Claim(add(database), 0, "w1")
    add(database)
    held = held_claim(database)
    ends = {Status.SUCCEEDED: Event.SUCCEED, Status.FAILED: Event.FAIL, Status.CANCELLED: Event.CANCEL}
    if status in ends:
        assert settle(database, held, ends[status])
    return held


def whole_row(database: Database, job: Job) -> dict[str, object]:
    with database.read() as tx:
        row = tx.execute(select(table).where(table.c.id == job.id)).one()
    return dict(row._mapping)


def apply(database: Database, status: Status, event: Event, held: Claim) -> bool:
    """The event, as whoever may cause it does it; False where the storage refuses."""
    match event:
        case Event.CLAIM:
            return claim(database, "w2") is not None
        case Event.RECLAIM:
            expire(database, held.job)
            return status is not Status.QUEUED and claim(database, "w2") is not None
        case Event.HAND_BACK | Event.RETRY:
            with database.write() as tx:
                return jobs.requeue(tx, held, event)
        case Event.CANCEL:
            try:
                return JobService(database).cancel(held.job.id).status is not status
            except Conflict:
                return False
        case _:
            return settle(database, held, event)


@pytest.mark.parametrize(("status", "event"), list(itertools.product(Status, Event)))
def test_storage_moves_a_job_by_the_table_and_in_no_other_way(database: Database, status: Status, event: Event) -> None:
    held = bring_to(database, status)
    before = whole_row(database, held.job)
    moved = apply(database, status, event, held)
    after = whole_row(database, held.job)
    if (status, event) in TRANSITIONS:
        assert moved
        assert after["status"] == TRANSITIONS[status, event]
        assert after["token"] > before["token"]  # type: ignore[operator]
        return
    assert not moved
    if event is Event.RECLAIM:  # the lease was ended by the test itself
        before["lease_until"] = after["lease_until"]
    assert after == before


def test_what_a_stale_claim_tries_leaves_the_row_as_it_is(database: Database) -> None:
    add(database)
    stale = held_claim(database)
    expire(database, stale.job)
    fresh = held_claim(database)
    for end in (None, Event.SUCCEED):
        if end is not None:
            assert settle(database, fresh, end)
        before = whole_row(database, stale.job)
        with database.write() as tx:
            assert not jobs.renew(tx, stale, LEASE_S)
            assert not jobs.report(tx, stale, {"phase": "fitting"})
            assert not jobs.requeue(tx, stale, Event.RETRY)
            assert not jobs.requeue(tx, stale, Event.HAND_BACK)
        for event in (Event.SUCCEED, Event.FAIL):
            assert not settle(database, stale, event)
        assert whole_row(database, stale.job) == before


def checkpoint_of(database: Database, job: Job) -> bytes | None:
    with database.read() as tx:
        return jobs.checkpoint(tx, job.id)


def keep(database: Database, held: Claim, content: bytes) -> bool:
    with database.write() as tx:
        return jobs.keep_checkpoint(tx, held, content)


def test_a_checkpoint_outlives_its_claim_and_ends_with_the_job(database: Database) -> None:
    job = add(database)
    stale = held_claim(database)
    assert checkpoint_of(database, job) is None
    assert keep(database, stale, b"\x00one")
    assert keep(database, stale, b"\xfftwo")
    for event in (Event.RETRY, Event.HAND_BACK):
        with database.write() as tx:
            assert jobs.requeue(tx, stale, event)
        fresh = held_claim(database)
        assert not keep(database, stale, b"late")
        assert checkpoint_of(database, job) == b"\xfftwo"
        stale = fresh
    assert settle(database, fresh, Event.FAIL)
    assert checkpoint_of(database, job) is None
    assert not keep(database, fresh, b"late")
    assert checkpoint_of(database, job) is None


def test_pages_stay_whole_while_jobs_are_added(database: Database) -> None:
    added = [add(database, model=f"m{i % 2}").id for i in range(7)]

    def pages() -> Iterator[str]:
        request = PageRequest(limit=3)
        while True:
            with database.read() as tx:
                page = jobs.page(tx, request)
            yield from (job.id for job in page.items)
            add(database)
            if page.next is None:
                return
            request = PageRequest(3, page.next)

    assert list(pages()) == added[::-1]


def test_filters_are_or_within_and_and_between(database: Database) -> None:
    running = add(database, "a")
    assert claim(database) is not None
    queued, other = add(database, "a"), add(database, "b")
    with database.read() as tx:

        def ids(*filters: list[str]) -> list[str]:
            return [job.id for job in jobs.page(tx, PageRequest(), *filters).items]

        assert ids(["queued", "running"], [], ["a"]) == [queued.id, running.id]
        assert ids(["queued"]) == [other.id, queued.id]
        assert ids([], ["scoring"]) == []
        assert jobs.count_queued(tx) == 2


def test_many_workers_never_claim_the_same_job(database: Database) -> None:
    wanted = {add(database).id for _ in range(40)}
    taken: list[str] = []

    def work(name: str) -> None:
        while (held := claim(database, name)) is not None:
            taken.append(held.job.id)

    threads = [threading.Thread(target=work, args=(f"w{i}",)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(taken) == 40
    assert set(taken) == wanted
