"""One slot of a worker: claim, run, watch, settle, and again."""

import logging
import time
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from typing import Any, TypeVar

from app.compute.process import Checkpoint, Done, Failed, Progress, TaskProcess
from app.compute.process import ProcessLost as Lost
from app.domain.errors import DatasetNotFound, NotReady
from app.domain.jobs import Claim, Failure, FailureCode
from app.services.fitting import OUT_OF_MEMORY
from app.services.settlement import SettlementService
from app.services.training import TrainingService
from app.settings import Settings
from app.storage import jobs
from app.storage.database import Database
from app.worker.signals import Signals

log = logging.getLogger(__name__)

IDLE_S = 0.25  # how often an idle slot looks for work nobody announced
WATCH_S = 0.2  # how often a running job is looked after: cancelled, timed out, lease due
RETRY_S = 1.0  # how soon what database or files did not let happen is tried again

Result = TypeVar("Result")


class Slot:
    """Runs one job at a time in its `TaskProcess`."""

    def __init__(
        self,
        worker: str,
        settings: Settings,
        database: Database,
        training: TrainingService,
        settlement: SettlementService,
        process: TaskProcess,
        signals: Signals,
    ) -> None:
        self._worker = worker
        self._settings = settings
        self._database = database
        self._training = training
        self._settlement = settlement
        self._process = process
        self._signals = signals

    def run(self) -> None:
        """Until the worker stops; should a slot end for any other reason, so does its worker."""
        try:
            self._run()
        finally:
            self._process.end()
            self._signals.stop()

    def _run(self) -> None:
        while not self._signals.stopping.is_set():
            since = self._signals.announced
            try:
                claim = self._claim()
                if claim is None:
                    self._signals.wait_for_work(since, IDLE_S)
                else:
                    self._serve(claim)
            except NotReady as error:
                log.warning("waiting: %s", error.detail)
                self._signals.stopping.wait(RETRY_S)

    def _claim(self) -> Claim | None:
        with self._database.write() as tx:
            return jobs.claim(tx, self._worker, self._settings.job_lease_s, self._settings.job_max_attempts)

    def _serve(self, claim: Claim) -> None:
        log.info("job %s: attempt %d", claim.job.id, claim.job.attempts, extra=_trace(claim))
        try:
            task = self._insist(claim, lambda: asdict(self._training.task(claim.job)))
            self._process.start(task, self._insist(claim, lambda: self._kept(claim)))
            self._watch(claim)
        except DatasetNotFound as error:
            self._fail(claim, Failure(FailureCode.INVALID_REQUEST, error.detail))
        except Lost as lost:
            if self._signals.stopping.is_set():
                self._settlement.hand_back(claim)
                return
            log.warning("job %s: its process was lost", claim.job.id, extra=_trace(claim))
            self._process.restart()
            if lost.gave_up:
                self._fail(claim, OUT_OF_MEMORY)
                return
            self._insist(claim, lambda: self._settlement.process_lost(claim, self._settings.job_max_attempts))

    def _watch(self, claim: Claim) -> None:
        limit = min(claim.job.timeout_s or self._settings.job_timeout_s, self._settings.job_timeout_s)
        now = time.monotonic()
        deadline, renew_at = now + limit, now + self._settings.job_lease_s / 3
        last: dict[str, Any] = {}
        while True:
            said = self._process.poll(WATCH_S)
            match said:
                case Progress(document):
                    last = document
                case Done(document, content):
                    outcome = document | {"artifact": content}
                    self._insist(claim, partial(self._settlement.succeed, claim, outcome, last))
                    return
                case Failed(document):
                    failure = Failure(FailureCode(document["code"]), document["detail"])
                    if failure.code is FailureCode.INTERNAL:
                        log.error("job %s failed:\n%s", claim.job.id, document["trace"], extra=_trace(claim))
                    self._fail(claim, failure)
                    return
            if not self._note(claim, said):  # cancelled, or another worker has it
                self._process.restart()
                return
            if self._signals.stopping.is_set():
                self._process.end()
                self._settlement.hand_back(claim)
                return
            if time.monotonic() > deadline:
                self._process.restart()
                self._fail(claim, Failure(FailureCode.TIMEOUT, f"The job ran longer than {limit:g} s."))
                return
            if time.monotonic() > renew_at:
                self._renew(claim)
                renew_at = time.monotonic() + self._settings.job_lease_s / 3

    def _note(self, claim: Claim, said: Any) -> bool:
        """Writes what the process said; whether the claim still holds.

        While the database is away the fit goes on. Should the claim be lost meanwhile, nothing is written by it later.
        """
        try:
            match said:
                case Progress(document):
                    with self._database.write() as tx:
                        return jobs.report(tx, claim, document)
                case Checkpoint(content):
                    with self._database.write() as tx:
                        return jobs.keep_checkpoint(tx, claim, content)
                case _:
                    with self._database.read() as tx:
                        return jobs.holds(tx, claim)
        except NotReady as error:
            log.warning("job %s goes on alone: %s", claim.job.id, error.detail, extra=_trace(claim))
            return True

    def _insist(self, claim: Claim, act: Callable[[], Result]) -> Result:
        """What `act` returns once database and files are there for it; `NotReady` when the worker stops first."""
        while True:
            try:
                return act()
            except NotReady as error:
                log.warning("job %s waits: %s", claim.job.id, error.detail, extra=_trace(claim))
                if self._signals.stopping.wait(RETRY_S):
                    raise
                self._renew(claim)

    def _fail(self, claim: Claim, failure: Failure) -> None:
        self._insist(claim, lambda: self._settlement.fail(claim, failure))

    def _kept(self, claim: Claim) -> bytes:
        with self._database.read() as tx:
            return jobs.checkpoint(tx, claim.job.id) or b""

    def _renew(self, claim: Claim) -> None:
        try:
            with self._database.write() as tx:
                jobs.renew(tx, claim, self._settings.job_lease_s)
        except NotReady as error:
            log.warning("job %s: its lease was not renewed: %s", claim.job.id, error.detail, extra=_trace(claim))


def _trace(claim: Claim) -> dict[str, Any]:
    return {"job_id": claim.job.id, "trace_id": claim.job.request.get("trace_id")}
