"""`mixtura serve`: the API and its embedded worker."""

import contextlib
import ipaddress
import os
import signal
import socket
import sys
from _thread import start_new_thread
from pathlib import Path
from types import FrameType

import uvicorn

from app.domain.errors import CannotStart
from app.main import create_app, nobody
from app.observability.logs import configure_logging
from app.settings import Settings
from app.storage.opening import open_storage
from app.worker.supervisor import WorkerSupervisor

GRACE_S = 4


class Server(uvicorn.Server):
    """Tells the worker to stop together with the API; a second signal ends this process at once.

    The worker then finds its standard input closed, and hands its jobs back by itself.
    """

    def __init__(self, config: uvicorn.Config, supervisor: WorkerSupervisor | None) -> None:
        super().__init__(config)
        self._supervisor = supervisor

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if self.should_exit:
            os._exit(128 + sig)
        super().handle_exit(sig, frame)
        if self._supervisor is not None:
            start_new_thread(self._supervisor.begin_to_stop, ())


def serve(host: str, port: int, data_dir: Path | None, workers: int, worker: bool, insecure: bool) -> int:
    """Serves until SIGTERM or SIGINT, a second of which ends it at once; the exit code."""
    if data_dir is not None:
        os.environ["MIXTURA_DATA_DIR"] = str(data_dir)  # child processes read the same settings
    try:
        settings = Settings.load()
        if settings.admin_key is None and not insecure and not is_loopback(host):
            raise CannotStart(
                f"refusing to serve on {host} without a key: anyone who reaches it could use it. "
                "Set MIXTURA_ADMIN_KEY, or say --insecure if that is meant"
            )
        database, _ = open_storage(settings.resolved_database_url, settings.resolved_artifacts_url)
    except CannotStart as error:
        print(f"mixtura: {error}.", file=sys.stderr)
        return 2
    configure_logging(settings.log_format)
    os.environ["MIXTURA_EXPECTS_WORKER"] = "1" if worker else ""
    supervisor = WorkerSupervisor(database) if worker else None
    if supervisor is not None:
        supervisor.start()
    options = {"host": host, "port": port, "log_config": None, "access_log": False}
    options |= {"timeout_graceful_shutdown": GRACE_S, "server_header": False}
    # uvicorn answers the signal, then raises it again: the worker is still to be stopped.
    signal.signal(signal.SIGTERM, lambda *_: None)
    try:
        if workers == 1:
            wake = supervisor.wake if supervisor else nobody
            application = create_app(settings, wake, expects_worker=worker)
            server = Server(uvicorn.Config(application, **options), supervisor)  # type: ignore[arg-type]
            with contextlib.suppress(KeyboardInterrupt):
                server.run()
            if not server.started:
                return 3
        else:
            uvicorn.run("app.serve:from_environment", factory=True, workers=workers, **options)  # type: ignore[arg-type]
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda number, _: os._exit(128 + number))
        if supervisor is not None:
            supervisor.stop()
    return 0


def from_environment() -> object:
    """The application of one of several API processes: its worker is woken by nobody and looks by itself."""
    settings = Settings()
    configure_logging(settings.log_format)
    return create_app(settings, expects_worker=bool(os.environ.get("MIXTURA_EXPECTS_WORKER")))


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach the host's addresses."""
    try:
        addresses = {info[4][0] for info in socket.getaddrinfo(host, None)}
        return all(ipaddress.ip_address(address).is_loopback for address in addresses)
    except (OSError, ValueError):
        return False
