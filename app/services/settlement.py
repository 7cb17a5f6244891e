"""Ending a job: its outcome, version and alias in one transaction, the file in place before it."""

from typing import Any

from app.domain.errors import GivenUp
from app.domain.fits import FitRequest
from app.domain.jobs import Claim, Event, Failure
from app.domain.registry import Labels
from app.storage import files, jobs, registry
from app.storage.artifacts import ArtifactStore
from app.storage.database import Database

BY_FIT = "fit"


class SettlementService:
    """Settles claims. Each method tells whether the claim still held; a stale one changes nothing."""

    def __init__(self, database: Database, artifacts: ArtifactStore) -> None:
        self._database = database
        self._artifacts = artifacts

    def succeed(self, claim: Claim, outcome: dict[str, Any], progress: dict[str, Any]) -> bool:
        """Registers the next version of the model; `outcome` is what `run_fit` returned.

        Raises `NotReady` when the file cannot be written or the database does not answer. Whether the transaction was
        committed is then unknown, and the file stays: to ask again is safe, and finds out.
        """
        request = FitRequest.from_document(claim.job.request)
        fields = {name: value for name, value in outcome.items() if name != "artifact"}
        # The token is part of the name: no two claims ever write the same file.
        key = f"models/{claim.job.id}-{claim.token}.safetensors"
        held = self._announce(claim, request.model, key)
        if held is None:
            try:
                ref = self._artifacts.put(key, outcome["artifact"])
                held = self._register(claim, request, fields, ref, progress)  # cut short, it is for the janitor
            except GivenUp:
                self._artifacts.delete(key)
                raise
        if not held:
            self._artifacts.delete(key)
        return held

    def _announce(self, claim: Claim, model: str, key: str) -> bool | None:
        """None when the file may be written; else the claim is over, and whether it was by its own success."""
        with self._database.write() as tx:
            if jobs.lock_held(tx, claim) is None:
                return registry.has_artifact(tx, model, key)
            files.announce_again(tx, key)  # no row names it, or the claim would not hold
            return None

    def fail(self, claim: Claim, failure: Failure) -> bool:
        """The job has failed for good."""
        with self._database.write() as tx:
            job = jobs.lock_held(tx, claim)
            if job is None:
                return False
            jobs.settle(tx, job, Event.FAIL, failure=failure)
            return True

    def process_lost(self, claim: Claim, max_attempts: int) -> bool:
        """The process that ran the job died: once more, or `worker-lost` when it was the last attempt."""
        if claim.job.attempts >= max_attempts:
            return self.fail(claim, jobs.worker_lost(claim.job.attempts))
        with self._database.write() as tx:
            return jobs.requeue(tx, claim, Event.RETRY)

    def hand_back(self, claim: Claim) -> bool:
        """The worker stops before the job's end: another one may begin it."""
        with self._database.write() as tx:
            return jobs.requeue(tx, claim, Event.HAND_BACK)

    def _register(
        self, claim: Claim, request: FitRequest, outcome: dict[str, Any], ref: Any, progress: dict[str, Any]
    ) -> bool:
        with self._database.write() as tx:
            job = jobs.lock_held(tx, claim)
            name = request.model
            if job is None:  # it may be this very claim that ended the job, before the answer was lost
                return registry.has_artifact(tx, name, ref.key)
            facts = outcome | {"dataset_id": request.data.dataset, "job_id": job.id}
            labels = Labels(request.alias, request.tags, request.description)
            number = registry.register(tx, name, facts, ref, labels, BY_FIT)
            jobs.report(tx, claim, progress)
            result = {"model": name, "version": number, "metrics": outcome["metrics"]}
            jobs.settle(tx, job, Event.SUCCEED, result=result)
        return True
