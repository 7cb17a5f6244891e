"""Datasets over HTTP."""

import hashlib
import uuid
from concurrent.futures import ThreadPoolExecutor

import httpx
import numpy as np
import pytest

from tests.app.api.geyser import GEYSER, NAMES, fit, fit_document
from tests.app.api.test_bad_input import assert_problem
from tests.service import FAITHFUL, Service

CSV = {"Content-Type": "text/csv"}


def fresh_csv(missing: bool = False) -> bytes:
    """A CSV that nobody has sent before."""
    rows = np.random.default_rng(uuid.uuid4().int).normal(size=(40, 3))
    lines = ["a,b,c", *(",".join(map(repr, row.tolist())) for row in rows)]
    if missing:
        lines[3] = "1.5,,NA"
    return ("\n".join(lines) + "\n").encode()


def test_an_upload_is_described(http: httpx.Client) -> None:
    content = fresh_csv(missing=True)
    answer = http.post("/v1/datasets?name=described", content=content, headers=CSV)
    assert answer.status_code == 201
    dataset = answer.json()
    assert answer.headers["location"] == f"/v1/datasets/{dataset['id']}"
    expected = {"name": "described", "n_rows": 40, "n_features": 3, "feature_names": ["a", "b", "c"]}
    expected |= {"n_missing": 2, "dtype": "float64", "bytes": len(content)}
    assert dataset == dataset | expected | {"sha256": hashlib.sha256(content).hexdigest()}
    for reference in (dataset["id"], "described"):
        assert http.get(f"/v1/datasets/{reference}").json() == dataset
    assert http.get("/v1/datasets?limit=1").json()["items"] == [dataset]


def test_the_summary_is_numpys(http: httpx.Client) -> None:
    dataset = http.post("/v1/datasets", content=FAITHFUL.read_bytes(), headers=CSV).json()
    summary = http.get(f"/v1/datasets/{dataset['id']}/summary").json()
    assert [feature["name"] for feature in summary["features"]] == NAMES
    for feature, column in zip(summary["features"], GEYSER.T, strict=True):
        assert (feature["count"], feature["missing"]) == (len(column), 0)
        assert feature["mean"] == pytest.approx(column.mean())
        assert feature["std"] == pytest.approx(column.std(ddof=1))
        assert [feature["min"], *feature["quartiles"], feature["max"]] == pytest.approx(
            np.quantile(column, [0, 0.25, 0.5, 0.75, 1])
        )


def test_the_same_bytes_are_one_dataset(http: httpx.Client) -> None:
    content = fresh_csv()
    first = http.post("/v1/datasets?name=one", content=content, headers=CSV).json()
    again = http.post("/v1/datasets?name=two", content=content, headers=CSV)
    assert again.status_code == 201
    assert again.json()["id"] == first["id"]
    assert http.get("/v1/datasets/one").json()["id"] == http.get("/v1/datasets/two").json()["id"] == first["id"]


def test_a_name_means_its_newest_dataset(http: httpx.Client) -> None:
    ids = [http.post("/v1/datasets?name=moving", content=fresh_csv(), headers=CSV).json()["id"] for _ in range(2)]
    assert http.get("/v1/datasets/moving").json()["id"] == ids[1]
    http.delete(f"/v1/datasets/{ids[1]}").raise_for_status()
    assert http.get("/v1/datasets/moving").json()["id"] == ids[0]


def test_equal_uploads_at_once_are_one_dataset(service: Service) -> None:
    content = fresh_csv()

    def upload(_: int) -> httpx.Response:
        return httpx.post(f"{service.url}/v1/datasets?name=same", content=content, headers=CSV, timeout=60)

    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(upload, range(20)))
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.json()["id"] for answer in answers}) == 1
    known = {row["id"] for row in httpx.get(f"{service.url}/v1/datasets?limit=200").json()["items"]}
    assert {path.stem for path in (service.data_dir / "artifacts" / "datasets").iterdir()} == known


def test_the_header_option_does_not_make_it_another(http: httpx.Client) -> None:
    content = fresh_csv()
    ids = {
        http.post(f"/v1/datasets{query}", content=content, headers=CSV).json()["id"] for query in ("", "?header=true")
    }
    assert len(ids) == 1


def test_a_lost_file_is_healed_by_sending_it_again(http: httpx.Client, service: Service, model_name: str) -> None:
    content = fresh_csv()
    dataset = http.post("/v1/datasets", content=content, headers=CSV).json()["id"]
    (service.data_dir / "artifacts" / "datasets" / f"{dataset}.npy").unlink()
    assert http.post("/v1/datasets", content=content, headers=CSV).json()["id"] == dataset
    fit(http, model_name, data={"dataset": dataset})


def test_a_label_that_is_missing_is_refused(http: httpx.Client) -> None:
    dataset = http.post("/v1/datasets", content=fresh_csv(missing=True), headers=CSV).json()["id"]
    data = {"dataset": dataset, "features": ["a"], "labels": "b"}
    answer = http.post("/v1/fits", json=fit_document("never-made", data=data, params={}))
    assert answer.status_code == 422
    assert [error["pointer"] for error in assert_problem(answer)["errors"]] == ["/data/labels"]


def test_json_uploads_too(http: httpx.Client) -> None:
    rows = [{"x": 1.5, "y": 2}, {"y": None, "x": 2.5}, {"x": 3}]
    dataset = http.post("/v1/datasets", json={"instances": rows, "name": "keyed"}).json()
    assert (dataset["feature_names"], dataset["n_missing"], dataset["n_rows"]) == (["x", "y"], 2, 3)


def test_missing_values_are_kept_but_not_fitted(http: httpx.Client, model_name: str) -> None:
    dataset = http.post("/v1/datasets", content=fresh_csv(missing=True), headers=CSV).json()
    answer = http.post("/v1/fits", json=fit_document(model_name, data={"dataset": dataset["id"]}))
    assert answer.status_code == 422
    problem = assert_problem(answer)
    assert problem["errors"][0]["pointer"] == "/data/dataset"
    assert "'b' in row 2" in problem["detail"]
    fit(http, model_name, data={"dataset": dataset["id"], "features": ["a"]})


def test_a_dataset_in_use_stays(http: httpx.Client, model_name: str) -> None:
    dataset = http.post("/v1/datasets", content=fresh_csv(), headers=CSV).json()
    slow = {"n_components": 8, "n_init": 5000, "tol": 0, "random_state": 0}
    job = http.post("/v1/fits", json=fit_document(model_name, data={"dataset": dataset["id"]}, params=slow)).json()
    answer = http.delete(f"/v1/datasets/{dataset['id']}")
    assert answer.status_code == 409
    assert assert_problem(answer)["type"] == "/problems/dataset-in-use"
    http.post(f"/v1/jobs/{job['id']}/cancel").raise_for_status()
    assert http.delete(f"/v1/datasets/{dataset['id']}").status_code == 204
    assert http.get(f"/v1/datasets/{dataset['id']}").status_code == 404


@pytest.mark.parametrize(
    ("features", "pointer"),
    [
        ({"features": ["a", "z"]}, "/data/features/1"),
        ({"features": ["a", "a"]}, "/data/features/1"),
        ({"sample_weight": "z"}, "/data/sample_weight"),
        ({"features": ["a"], "labels": "a"}, "/data/labels"),
        ({"features": []}, "/data/features"),
    ],
)
def test_columns_are_checked(http: httpx.Client, features: dict[str, object], pointer: str) -> None:
    http.post("/v1/datasets?name=columns", content=fresh_csv(), headers=CSV).raise_for_status()
    answer = http.post("/v1/fits", json=fit_document("never-made", data={"dataset": "columns"} | features))
    assert answer.status_code == 422
    assert [error["pointer"] for error in assert_problem(answer)["errors"]] == [pointer]


def test_the_same_key_is_the_same_upload(http: httpx.Client) -> None:
    headers = CSV | {"Idempotency-Key": uuid.uuid4().hex}
    content = fresh_csv()
    first = http.post("/v1/datasets?name=keyed", content=content, headers=headers)
    again = http.post("/v1/datasets?name=keyed", content=content, headers=headers)
    assert again.headers["idempotency-replayed"] == "true"
    assert (again.status_code, again.json()) == (201, first.json())
    other = http.post("/v1/datasets?name=keyed", content=fresh_csv(), headers=headers)
    assert other.status_code == 422
    assert assert_problem(other)["type"] == "/problems/idempotency-key-reused"


def test_a_body_over_the_limit_is_refused_before_it_is_read(http: httpx.Client) -> None:
    sent = 0

    def endless() -> object:
        nonlocal sent
        yield b"a,b\n"
        while sent < 200_000_000:
            sent += 65536
            yield b"1,2\n" * 16384

    declared = http.post("/v1/datasets", content=b"1" * 2_000_001, headers=CSV)
    assert declared.status_code == 413
    assert "2000001" in assert_problem(declared)["detail"]
    streamed = http.post("/v1/datasets", content=endless(), headers=CSV)  # type: ignore[arg-type]
    assert streamed.status_code == 413
    assert assert_problem(streamed)["type"] == "/problems/payload-too-large"
    assert sent < 100_000_000
    assert http.get("/livez").status_code == 200


def test_a_body_at_the_limit_is_taken(http: httpx.Client) -> None:
    line = b"1.25,2.5\n"
    head = b"a,b\n"
    content = head + line * ((2_000_000 - len(head)) // len(line))
    content += b"\n" * (2_000_000 - len(content))
    assert http.post("/v1/datasets", content=content, headers=CSV).status_code == 201
    assert http.post("/v1/datasets", content=content + b"\n", headers=CSV).status_code == 413
