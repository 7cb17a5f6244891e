"""A service that is told to stop keeps nobody waiting."""

import threading
import time
from pathlib import Path
from typing import Any

import pytest

from tests.app.api.geyser import fit_document
from tests.service import Service

SLOW = {"n_components": 8, "n_init": 5000, "tol": 0, "random_state": 0}


@pytest.mark.parametrize("arguments", [(), ("--workers", "2")])
def test_who_waits_is_answered_and_the_job_goes_on(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    service = Service(tmp_path / "data").start(*arguments)
    answers: dict[str, Any] = {}

    def ask(name: str, method: str, url: str, **options: Any) -> None:
        with service.client() as http:
            answers[name] = http.request(method, url, **options)

    try:
        with service.client() as http:
            job = http.post("/v1/fits", json=fit_document("m", params=SLOW)).json()["id"]
        wait = {"Prefer": "wait=60"}
        threads = [
            threading.Thread(target=ask, args=("look", "GET", f"/v1/jobs/{job}"), kwargs={"headers": wait}),
            threading.Thread(target=ask, args=("events", "GET", f"/v1/jobs/{job}/events")),
            threading.Thread(
                target=ask,
                args=("fit", "POST", "/v1/fits"),
                kwargs={"json": fit_document("m", params=SLOW), "headers": wait},
            ),
        ]
        for thread in threads:
            thread.start()
        time.sleep(1.5)
        began = time.monotonic()
        assert service.stop() == 0
        assert time.monotonic() - began < 6
        for thread in threads:
            thread.join(10)
        assert answers["look"].status_code == 200
        assert answers["fit"].status_code == 202
        assert answers["events"].status_code == 200
        assert "Traceback" not in service.log.read_text()
        service.start()
        with service.client() as http:
            for left in (job, answers["fit"].json()["id"]):
                found = http.get(f"/v1/jobs/{left}").json()
                assert found["status"] in ("queued", "running")
                assert found["progress"] is None or found["status"] == "running"
                http.post(f"/v1/jobs/{left}/cancel").raise_for_status()
    finally:
        service.stop()
