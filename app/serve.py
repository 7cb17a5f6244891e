"""`mixtura serve`: the API and its embedded worker."""

import ipaddress
import os
import signal
import socket
import sys
from pathlib import Path

import uvicorn

from app.domain.errors import CannotStart
from app.main import create_app, nobody
from app.observability.logs import configure_logging
from app.settings import Settings
from app.storage.opening import open_storage
from app.worker.supervisor import WorkerSupervisor

GRACE_S = 4


def serve(host: str, port: int, data_dir: Path | None, workers: int, worker: bool, insecure: bool) -> int:
    """Serves until SIGTERM or SIGINT; the exit code."""
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
            uvicorn.run(create_app(settings, wake, expects_worker=worker), **options)  # type: ignore[arg-type]
        else:
            uvicorn.run("app.serve:from_environment", factory=True, workers=workers, **options)  # type: ignore[arg-type]
    finally:
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
