"""The database goes away and comes back: callers are told to wait, and the worker lives on."""

import time
from collections.abc import Callable
from pathlib import Path

import httpx
from sqlalchemy import create_engine, make_url, text

from tests.app.api.geyser import fit, fit_document
from tests.app.api.test_bad_input import assert_problem
from tests.postgres import postgres_database, server_url
from tests.service import Service


def eventually(holds: Callable[[], bool], timeout: float = 30) -> None:
    until = time.monotonic() + timeout
    while not holds():
        assert time.monotonic() < until
        time.sleep(0.1)


def test_an_outage_is_survived(tmp_path: Path) -> None:
    with postgres_database() as url:
        name = make_url(url).database
        admin = create_engine(server_url(), isolation_level="AUTOCOMMIT")

        def allow(yes: bool) -> None:
            with admin.connect() as connection:
                connection.execute(text(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS {yes}'))
                if not yes:
                    kill = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = :name"
                    connection.execute(text(kill), {"name": name})

        service = Service(tmp_path / "data", MIXTURA_DATABASE_URL=url, MIXTURA_JOB_LEASE_S="2").start()
        try:
            (worker,) = service.workers()
            with service.client() as http:
                fit(http, "before")
                allow(False)
                for method, path in (("GET", "/v1/models"), ("POST", "/v1/fits"), ("GET", "/readyz")):
                    answer = http.request(method, path, json=fit_document("during") if method == "POST" else None)
                    assert answer.status_code == 503
                    assert assert_problem(answer)["type"] == "/problems/not-ready"
                    assert int(answer.headers["retry-after"]) > 0
                time.sleep(7)  # longer than a heartbeat
                assert http.get("/livez").status_code == 200
                allow(True)
                eventually(lambda: httpx.get(f"{service.url}/readyz").status_code == 200)
                fit(http, "after")
                assert [process.pid for process in service.workers()] == [worker.pid]
            assert service.stop() == 0
        finally:
            service.stop()
            admin.dispose()
