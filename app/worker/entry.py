"""A worker process, from its wiring to its end."""

import logging
import os
import signal
import socket
import sys
import threading
import time
from _thread import start_new_thread
from types import FrameType

from app.compute.process import TaskProcess
from app.domain.errors import CannotStart, NotReady
from app.domain.ids import new_id
from app.observability.logs import configure_logging
from app.services.datasets import DatasetService
from app.services.settlement import SettlementService
from app.services.training import TrainingService
from app.services.upkeep import UpkeepService
from app.settings import Settings
from app.storage import jobs, workers
from app.storage.artifacts import ArtifactStore
from app.storage.database import Database
from app.storage.opening import open_storage
from app.worker.janitor import start_janitor
from app.worker.signals import Signals
from app.worker.slot import Slot
from app.worker.tasks import explain, fit

log = logging.getLogger(__name__)

HEARTBEAT_S = 5.0
FORGOTTEN_S = 3600.0
JANITOR_STOP_S = 1.0  # what it has not done by then, another will
STOP_S = 4.5  # how long the jobs have to be handed back once the worker is told to stop


def run_worker(concurrency: int, supervised: bool, worker_id: str | None) -> int:
    """Works until SIGTERM, SIGINT or the end of its supervisor, and hands its jobs back; the exit code.

    A second signal ends it at once: its jobs are taken over when their leases have run out.
    """
    try:
        settings = Settings.load()
        database, artifacts = open_storage(settings.resolved_database_url, settings.resolved_artifacts_url)
    except CannotStart as error:
        print(f"mixtura: {error}.", file=sys.stderr)
        return 2
    configure_logging(settings.log_format)
    signals = Signals()
    _stop_on_signals(signals)
    if supervised:
        signals.follow_stdin()
    worker = worker_id or new_id()
    slots = [_slot(worker, settings, database, artifacts, signals) for _ in range(concurrency)]
    threads = [threading.Thread(target=slot.run, name=f"slot-{i}") for i, slot in enumerate(slots)]
    heart = threading.Thread(target=_keep_showing_life, args=(database, worker, concurrency, signals), name="heart")
    for thread in (*threads, heart):
        thread.start()
    upkeep = UpkeepService(database, artifacts, settings.job_retention_days, settings.job_lease_s)
    janitor = start_janitor(upkeep, signals.stopping)
    log.info("worker %s: %d slots", worker, concurrency)
    signals.stopping.wait()
    threading.Thread(target=_end_in_time, daemon=True).start()
    for thread in (*threads, heart):
        thread.join()
    janitor.join(JANITOR_STOP_S)
    try:
        retire(database, worker)
    except NotReady as error:  # its row ends by silence, its leases by time
        log.warning("not struck off: %s", error.detail)
    database.close()
    return 0


def _stop_on_signals(signals: Signals) -> None:
    told: list[int] = []

    def stop(number: int, _frame: FrameType | None) -> None:
        if told:
            os._exit(128 + number)
        told.append(number)
        # Not here: this thread may have been interrupted while it held the very lock that is needed.
        start_new_thread(signals.stop, ())

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)


def _end_in_time() -> None:
    """Whatever a slot waits for, a database or a lock: its leases run out without it as well."""
    time.sleep(STOP_S)
    log.error("not everything could be handed back within %g s", STOP_S)
    os._exit(1)


def _keep_showing_life(database: Database, worker: str, concurrency: int, signals: Signals) -> None:
    while not signals.stopping.is_set():
        _show_life(database, worker, concurrency)
        signals.stopping.wait(HEARTBEAT_S)


def _show_life(database: Database, worker: str, concurrency: int) -> None:
    try:
        with database.write() as tx:
            workers.show_life(tx, worker, socket.gethostname(), os.getpid(), concurrency)
            workers.forget_silent(tx, FORGOTTEN_S)
    except NotReady as error:
        log.warning("no sign of life given: %s", error.detail)


def retire(database: Database, worker: str) -> None:
    """Strikes a worker off and frees whatever it still held."""
    with database.write() as tx:
        jobs.expire_leases(tx, worker)
        workers.forget(tx, worker)


def _slot(worker: str, settings: Settings, database: Database, artifacts: ArtifactStore, signals: Signals) -> Slot:
    datasets = DatasetService(database, artifacts)
    training = TrainingService(database, artifacts, datasets, settings.max_queued_jobs, signals.announce)
    settlement = SettlementService(database, artifacts)
    process = TaskProcess(fit, explain, settings.job_memory_bytes)
    return Slot(worker, settings, database, training, settlement, process, signals)
