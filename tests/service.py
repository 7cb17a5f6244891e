"""A real service for tests: `mixtura serve` as a process of its own, on a free port."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import psutil

from app.storage.database import Database

FAITHFUL = Path(__file__).parent.parent / "examples" / "old_faithful.csv"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Service:
    """A running service; `start` again after `kill`."""

    def __init__(self, data_dir: Path, **environment: str) -> None:
        self.data_dir = data_dir
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = data_dir.parent / f"{data_dir.name}.log"
        self._environment = {**os.environ, "MIXTURA_DATA_DIR": str(data_dir), **environment}
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, *arguments: str) -> "Service":
        command = [sys.executable, "-m", "app.cli", "serve", "--port", str(self.port), *arguments]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(command, env=self._environment, stdout=log, stderr=log)
        self.wait_until_ready()
        return self

    def wait_until_ready(self, timeout: float = 40) -> None:
        assert self._process is not None
        until = time.monotonic() + timeout
        while time.monotonic() < until:
            if self._process.poll() is not None:
                break
            try:
                if httpx.get(f"{self.url}/readyz", timeout=5).status_code == 200:
                    return
            except httpx.TransportError:
                pass
            time.sleep(0.05)
        raise AssertionError(f"the service is not ready:\n{self.log.read_text()}")

    @property
    def api(self) -> psutil.Process:
        assert self._process is not None
        return psutil.Process(self._process.pid)

    def workers(self) -> list[psutil.Process]:
        """The embedded worker (there is one, unless it is just being replaced)."""
        return [child for child in self.api.children() if "worker" in child.cmdline()]

    def kill(self) -> None:
        """SIGKILL to the API process alone."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def wait(self, timeout: float) -> int:
        """The exit code, once it has ended."""
        assert self._process is not None
        return self._process.wait(timeout)

    def stop(self) -> int:
        """SIGTERM; the exit code. Fails when the service does not end within ten seconds."""
        if self._process is None or self._process.poll() is not None:
            return 0
        self._process.send_signal(signal.SIGTERM)
        try:
            return self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            raise

    def database(self) -> Database:
        """Its database, to look into past the API."""
        return Database(self._environment.get("MIXTURA_DATABASE_URL") or f"sqlite:///{self.data_dir}/mixtura.db")

    def client(self, **options: Any) -> httpx.Client:
        return httpx.Client(base_url=self.url, timeout=60, **options)


@contextmanager
def running(data_dir: Path, *arguments: str, **environment: str) -> Iterator[Service]:
    service = Service(data_dir, **environment)
    try:
        yield service.start(*arguments)
    finally:
        service.stop()
