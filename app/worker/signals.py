"""What a worker listens to: the wish to stop, and the news that there is work."""

import os
import sys
import threading


class Signals:
    """`stopping` once set stays; `wait_for_work` returns early when work was announced."""

    def __init__(self) -> None:
        self._work = threading.Condition()
        self._announced = 0
        self.stopping = threading.Event()

    def stop(self) -> None:
        """Asks the worker to end in good order."""
        self.stopping.set()
        self.announce()

    def announce(self) -> None:
        """There may be something to claim."""
        with self._work:
            self._announced += 1
            self._work.notify_all()

    @property
    def announced(self) -> int:
        """How often work was announced; read it before looking, so that no announcement is lost."""
        return self._announced

    def wait_for_work(self, since: int, timeout: float) -> None:
        """Returns when something was announced after `since`, or after `timeout` seconds."""
        with self._work:
            self._work.wait_for(lambda: self._announced > since or self.stopping.is_set(), timeout)

    def follow_stdin(self) -> None:
        """A byte on standard input announces work; its end means that the supervisor has died."""

        def follow() -> None:
            while os.read(sys.stdin.fileno(), 4096):
                self.announce()
            self.stop()

        threading.Thread(target=follow, name="mixtura-supervised", daemon=True).start()
