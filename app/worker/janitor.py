"""The worker's upkeep: once at its start, and again every few minutes."""

import logging
import threading

from app.domain.errors import NotReady
from app.services.upkeep import UpkeepService

log = logging.getLogger(__name__)

EVERY_S = 600.0


def start_janitor(upkeep: UpkeepService, stopping: threading.Event) -> threading.Thread:
    """A thread of its own, so that a long sweep delays no heartbeat."""

    def keep() -> None:
        while not stopping.is_set():
            try:
                removed = upkeep.run()
                if removed.jobs or removed.datasets or removed.files:
                    log.info("removed %d jobs, %d datasets, %d files", removed.jobs, removed.datasets, removed.files)
            except NotReady as error:
                log.warning("no upkeep: %s", error.detail)
            stopping.wait(EVERY_S)

    thread = threading.Thread(target=keep, name="mixtura-janitor", daemon=True)
    thread.start()
    return thread
