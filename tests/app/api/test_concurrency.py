"""Many at once."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from app.storage.artifacts import ArtifactStore
from tests.app.api.geyser import GEYSER, fit, fit_document
from tests.app.api.test_bad_input import assert_problem
from tests.service import Service, running


def test_fifty_equal_posts_are_one_job(service: Service, model_name: str) -> None:
    headers = {"Idempotency-Key": model_name}

    def post(_: int) -> httpx.Response:
        return httpx.post(f"{service.url}/v1/fits", json=fit_document(model_name), headers=headers, timeout=60)

    with ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(post, range(50)))
    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.text for answer in answers}) == 1
    assert sum("idempotency-replayed" in answer.headers for answer in answers) == 49
    assert len(httpx.get(f"{service.url}/v1/jobs?model={model_name}").json()["items"]) == 1


def test_concurrent_fits_of_one_model_get_gapless_versions(service: Service, model_name: str) -> None:
    def post(_: int) -> int:
        headers = {"Prefer": "wait=50"}
        answer = httpx.post(f"{service.url}/v1/fits", json=fit_document(model_name), headers=headers, timeout=60)
        version: int = answer.json()["result"]["version"]
        return version

    with ThreadPoolExecutor(16) as pool:
        assert sorted(pool.map(post, range(16))) == list(range(1, 17))


def test_equal_moves_under_if_match_have_one_winner(http: httpx.Client, service: Service, model_name: str) -> None:
    for _ in range(2):
        fit(http, model_name)
    path = f"{service.url}/v1/models/{model_name}/aliases/champion"
    tag = httpx.put(path, json={"version": 1}).headers["etag"]

    def move(_: int) -> int:
        return httpx.put(path, json={"version": 2}, headers={"If-Match": tag}, timeout=60).status_code

    with ThreadPoolExecutor(10) as pool:
        statuses = sorted(pool.map(move, range(10)))
    assert statuses == [200] + [412] * 9


def test_a_full_queue_says_when_to_come_back(tmp_path: Path) -> None:
    with running(tmp_path / "data", "--no-worker", MIXTURA_MAX_QUEUED_JOBS="2") as service, service.client() as http:
        for _ in range(2):
            assert http.post("/v1/fits", json=fit_document("m")).status_code == 202
        answer = http.post("/v1/fits", json=fit_document("m"))
        assert answer.status_code == 503
        assert assert_problem(answer)["type"] == "/problems/queue-full"
        assert int(answer.headers["retry-after"]) > 0
        (first, *_) = http.get("/v1/jobs").json()["items"]
        assert http.post(f"/v1/jobs/{first['id']}/cancel").json()["status"] == "cancelled"
        assert http.post("/v1/fits", json=fit_document("m")).status_code == 202


def test_a_damaged_file_fails_its_version_alone(tmp_path: Path) -> None:
    rows = {"instances": GEYSER[:3].tolist()}
    data = tmp_path / "data"
    with running(data) as service, service.client() as http:
        for _ in range(2):
            fit(http, "m")
    files = sorted(ArtifactStore(data / "artifacts").path("models").iterdir())
    content = bytearray(files[0].read_bytes())
    content[-5] ^= 1
    files[0].write_bytes(content)
    with running(data) as service, service.client() as http:
        answer = http.post("/v1/models/m/versions/1/predict", json=rows)
        assert answer.status_code == 503
        assert assert_problem(answer)["type"] == "/problems/artifact-corrupt"
        assert http.get("/v1/models/m/versions/1/artifact").status_code == 503
        assert http.post("/v1/models/m/versions/2/predict", json=rows).status_code == 200


@pytest.mark.parametrize("arguments", [("--workers", "2")])
def test_several_api_processes_are_one_service(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    with running(tmp_path / "data", *arguments) as service:

        def post(i: int) -> str:
            with service.client() as http:
                return str(fit(http, f"m{i % 2}")["status"])

        with ThreadPoolExecutor(6) as pool:
            assert set(pool.map(post, range(12))) == {"succeeded"}
