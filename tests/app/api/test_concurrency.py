"""Many at once."""

import hashlib
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from app.storage import registry
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


GIVEN = {"algorithm": "kmeans", "parameters": {"cluster_centers": [[1.8, 54], [4.3, 80]]}, "alias": "newest"}


def test_concurrent_fits_and_imports_of_one_model_get_gapless_versions(service: Service, model_name: str) -> None:
    """And each is whole: its own file, its place in the alias's history."""

    def post(i: int) -> int:
        if i % 2:
            answer = httpx.post(f"{service.url}/v1/models/{model_name}/import", json=GIVEN, timeout=60)
            assert answer.status_code == 201, answer.text
            return int(answer.json()["version"])
        headers, document = {"Prefer": "wait=50"}, fit_document(model_name, alias="newest")
        answer = httpx.post(f"{service.url}/v1/fits", json=document, headers=headers, timeout=60)
        assert answer.status_code == 200, answer.text
        return int(answer.json()["result"]["version"])

    with ThreadPoolExecutor(32) as pool:
        assert sorted(pool.map(post, range(32))) == list(range(1, 33))
    path = f"{service.url}/v1/models/{model_name}"
    items = httpx.get(f"{path}/versions").json()["items"]
    assert [item["version"] for item in items] == list(range(32, 0, -1))
    assert sorted(item["lineage"]["origin"] for item in items) == ["fit"] * 16 + ["import"] * 16
    assert sum(item["job"] is not None for item in items) == 16
    with closing(service.database()) as database, database.read() as tx:
        kept = [registry.version(tx, model_name, number) for number in range(1, 33)]
    refs = [version.artifact for version in kept if version is not None]
    assert len({ref.key for ref in refs}) == 32
    for ref in refs:
        content = (service.data_dir / "artifacts" / ref.key).read_bytes()
        assert hashlib.sha256(content).hexdigest() == ref.sha256
    moves = httpx.get(f"{path}/aliases/newest/history").json()["items"]
    assert [(move["from"], move["to"]) for move in moves] == [(n - 1 or None, n) for n in range(32, 0, -1)]


def test_fifty_equal_imports_are_one_version(service: Service, model_name: str) -> None:
    headers = {"Idempotency-Key": model_name}
    path = f"{service.url}/v1/models/{model_name}"

    centre = int(model_name.removeprefix("m-"), 16)  # no other test has such a file
    given = GIVEN | {"parameters": {"cluster_centers": [[centre]]}}

    def post(document: dict[str, object] = given) -> httpx.Response:
        return httpx.post(f"{path}/import", json=document, headers=headers, timeout=60)

    with ThreadPoolExecutor(50) as pool:
        answers = [future.result() for future in [pool.submit(post) for _ in range(50)]]
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.text for answer in answers}) == 1
    assert len({answer.headers["location"] for answer in answers}) == 1
    assert sum("idempotency-replayed" in answer.headers for answer in answers) == 49
    assert [item["version"] for item in httpx.get(f"{path}/versions").json()["items"]] == [1]
    with closing(service.database()) as database, database.read() as tx:
        version = registry.version(tx, model_name, 1)
    assert version is not None
    written = (service.data_dir / "artifacts" / "models").glob("*.safetensors")
    same = [file.name for file in written if hashlib.sha256(file.read_bytes()).hexdigest() == version.artifact.sha256]
    assert [f"models/{name}" for name in same] == [version.artifact.key]
    # Another request under the key is refused; the first one's answer stays what it was.
    other = post(given | {"alias": "other"})
    assert (other.status_code, assert_problem(other)["type"]) == (422, "/problems/idempotency-key-reused")
    httpx.put(f"{path}/aliases/second", json={"version": 1}).raise_for_status()
    assert post().text == answers[0].text


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
