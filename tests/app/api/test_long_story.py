"""A job with more events than are read at once."""

from pathlib import Path

from app.domain.fits import DataRef, FitRequest
from app.domain.ids import new_id
from app.domain.jobs import Event
from app.storage import jobs
from app.storage.database import Database
from app.storage.migrate import upgrade
from tests.service import running

PROGRESS = {"phase": "fitting", "init": 1, "n_init": 1, "iteration": 1, "max_iter": 9, "inertia": 1.0}


def test_every_event_is_told_and_then_the_end(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/data/mixtura.db")
    upgrade(database)
    with database.write() as tx:
        job = jobs.add(tx, new_id(), "fit", FitRequest(model="m", algorithm="kmeans", data=DataRef("d")))
        claim = jobs.claim(tx, "w", 60, 3)
        assert claim is not None
        for step in range(2 * jobs.EVENTS_AT_ONCE):
            jobs.report(tx, claim, {**PROGRESS, "fraction": step / 1e4})
        held = jobs.lock_held(tx, claim)
        assert held is not None
        jobs.settle(tx, held, Event.CANCEL)
    database.close()
    with running(tmp_path / "data", "--no-worker") as service, service.client() as http:
        story = http.get(f"/v1/jobs/{job.id}/events").text
    assert story.count("event: progress") == 2 * jobs.EVENTS_AT_ONCE
    assert story.rstrip().rsplit("\n\n", 1)[-1].splitlines()[1] == "event: cancelled"
