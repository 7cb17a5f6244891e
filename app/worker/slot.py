"""One slot of a worker: claim, run, watch, settle, and again."""

import logging
import time
from dataclasses import asdict
from typing import Any

from app.compute.process import Checkpoint, Done, Failed, Progress, TaskProcess
from app.compute.process import ProcessLost as Lost
from app.domain.errors import DatasetNotFound, NotReady
from app.domain.jobs import Claim, Failure, FailureCode
from app.services.settlement import SettlementService
from app.services.training import TrainingService
from app.settings import Settings
from app.storage import jobs
from app.storage.database import Database
from app.worker.signals import Signals

log = logging.getLogger(__name__)

IDLE_S = 0.25  # how often an idle slot looks for work nobody announced
WATCH_S = 0.2  # how often a running job is looked after: cancelled, timed out, lease due


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
            except NotReady as error:  # what was running is started again when its lease has run out
                log.warning("waiting: %s", error.detail)
                self._process.restart()
                self._signals.stopping.wait(1.0)

    def _claim(self) -> Claim | None:
        with self._database.write() as tx:
            return jobs.claim(tx, self._worker, self._settings.job_lease_s, self._settings.job_max_attempts)

    def _serve(self, claim: Claim) -> None:
        log.info("job %s: attempt %d", claim.job.id, claim.job.attempts, extra=_trace(claim))
        try:
            self._process.start(asdict(self._training.task(claim.job)), self._kept(claim))
            self._watch(claim)
        except DatasetNotFound as error:
            self._settlement.fail(claim, Failure(FailureCode.INVALID_REQUEST, error.detail))
        except Lost:
            log.warning("job %s: its process was lost", claim.job.id, extra=_trace(claim))
            self._process.restart()
            self._settlement.process_lost(claim, self._settings.job_max_attempts)

    def _watch(self, claim: Claim) -> None:
        limit = min(claim.job.timeout_s or self._settings.job_timeout_s, self._settings.job_timeout_s)
        now = time.monotonic()
        deadline, renew_at = now + limit, now + self._settings.job_lease_s / 3
        last: dict[str, Any] = {}
        while True:
            match self._process.poll(WATCH_S):
                case Progress(document):
                    last = document
                    held = self._report(claim, document)
                case Checkpoint(content):
                    held = self._keep(claim, content)
                case Done(document, content):
                    self._settlement.succeed(claim, document | {"artifact": content}, last)
                    return
                case Failed(document):
                    failure = Failure(FailureCode(document["code"]), document["detail"])
                    if failure.code is FailureCode.INTERNAL:
                        log.error("job %s failed:\n%s", claim.job.id, document["trace"], extra=_trace(claim))
                    self._settlement.fail(claim, failure)
                    return
                case None:
                    held = self._holds(claim)
            if not held:  # cancelled, or another worker has it
                self._process.restart()
                return
            if self._signals.stopping.is_set():
                self._process.restart()
                self._settlement.hand_back(claim)
                return
            if time.monotonic() > deadline:
                self._process.restart()
                self._settlement.fail(claim, Failure(FailureCode.TIMEOUT, f"The job ran longer than {limit:g} s."))
                return
            if time.monotonic() > renew_at:
                self._renew(claim)
                renew_at = time.monotonic() + self._settings.job_lease_s / 3

    def _report(self, claim: Claim, progress: dict[str, Any]) -> bool:
        with self._database.write() as tx:
            return jobs.report(tx, claim, progress)

    def _keep(self, claim: Claim, content: bytes) -> bool:
        with self._database.write() as tx:
            return jobs.keep_checkpoint(tx, claim, content)

    def _kept(self, claim: Claim) -> bytes:
        with self._database.read() as tx:
            return jobs.checkpoint(tx, claim.job.id) or b""

    def _renew(self, claim: Claim) -> bool:
        with self._database.write() as tx:
            return jobs.renew(tx, claim, self._settings.job_lease_s)

    def _holds(self, claim: Claim) -> bool:
        with self._database.read() as tx:
            return jobs.holds(tx, claim)


def _trace(claim: Claim) -> dict[str, Any]:
    return {"job_id": claim.job.id, "trace_id": claim.job.request.get("trace_id")}
