"""What bad input gets: status, type and pointer of every case, over HTTP; and the service works after each."""

import math
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

ROWS = [[3.6, 79.0], [1.8, 54.0], [3.333, 74.0], [2.283, 62.0], [4.533, 85.0]]
INVALID, MISMATCH = "/problems/invalid-request", "/problems/feature-mismatch"
JSON = {"Content-Type": "application/json"}
CSV = {"Content-Type": "text/csv"}


@pytest.fixture(scope="module")
def model(service: Any) -> str:
    """A model to be asked wrongly."""
    with service.client() as http:
        document = fit_with() | {"model": "asked-wrongly"}
        answer = http.post("/v1/fits", json=document, headers={"Prefer": "wait=30"})
        assert answer.json()["status"] == "succeeded", answer.text
    return "asked-wrongly"


def fit_with(**data: Any) -> dict[str, Any]:
    rows = {"instances": ROWS, "feature_names": ["eruptions", "waiting"]}
    return {
        "model": "never-made",
        "algorithm": "gaussian_mixture",
        "params": {"n_components": 2, "random_state": 0},
        "data": rows | data,
    }


def with_params(algorithm: str = "gaussian_mixture", **params: Any) -> dict[str, Any]:
    return fit_with() | {"algorithm": algorithm, "params": params}


@dataclass(frozen=True)
class Case:
    """A bad request and its answer. `pointer` None: the problem points nowhere."""

    name: str
    status: int
    type: str
    pointer: str | None
    json: Any = None
    content: bytes | None = None
    method: str = "POST"
    path: str = "/v1/fits"
    headers: dict[str, str] = field(default_factory=dict)
    says: str = ""


def predict(name: str, pointer: str | None, instances: Any, type: str = INVALID, says: str = "") -> Case:
    path = "/v1/models/asked-wrongly/predict"
    return Case(f"predict: {name}", 422, type, pointer, {"instances": instances}, path=path, says=says)


def raw(name: str, status: int, content: bytes, pointer: str | None = None, says: str = "") -> Case:
    path = "/v1/models/asked-wrongly/predict"
    return Case(f"body: {name}", status, INVALID, pointer, content=content, headers=JSON, path=path, says=says)


def csv(name: str, status: int, content: bytes, pointer: str | None, type: str = INVALID, says: str = "") -> Case:
    path = "/v1/models/asked-wrongly/predict"
    return Case(f"csv: {name}", status, type, pointer, content=content, headers=CSV, path=path, says=says)


def param(name: str, pointer: str, algorithm: str = "gaussian_mixture", says: str = "", **params: Any) -> Case:
    return Case(f"param: {name}", 422, INVALID, pointer, with_params(algorithm, **params), says=says)


CASES = [
    raw("not JSON", 400, b"instances = [[1, 2]]"),
    raw("empty", 400, b""),
    raw("not UTF-8", 400, b'{"instances": [["\xff\xfe"]]}'),
    raw("truncated", 400, b'{"instances": [[1.0, 2.0], [3.0'),
    raw("NaN", 400, b'{"instances": [[NaN, 2.0]]}'),
    raw("Infinity", 400, b'{"instances": [[1.0, -Infinity]]}'),
    raw("1e400", 400, b'{"instances": [[1e400, 2.0]]}', says="infinity"),
    raw("nested too deep", 400, b"[" * 5000),
    raw("not an object", 422, b"[1, 2]", ""),
    predict("a string where a number belongs", "/instances/1/0", [[1.0, 2.0], ["3.5", 4.0]], says='"3.5"'),
    predict("a boolean where a number belongs", "/instances/0/1", [[1.0, True]], says="true"),
    predict("a list where a number belongs", "/instances/0/1", [[1.0, [2.0]]]),
    predict("ragged rows", "/instances/1", [[1.0, 2.0], [3.0]], says="has 1 values, the first has 2"),
    predict("empty rows", "/instances/0", [[], []]),
    predict("no rows", "/instances", []),
    predict("rows that are no rows", "/instances/0", [1.0, 2.0]),
    predict("not a list", "/instances", "1,2"),
    predict("mixed kinds of rows", "/instances/1", [[1.0, 2.0], {"eruptions": 1.0, "waiting": 2.0}]),
    predict("wrong number of features", "/instances/0", [[1.0, 2.0, 3.0]], MISMATCH, "3 features"),
    predict("unknown feature name", "/instances/0/colour", [{"eruptions": 1, "waiting": 2, "colour": 3}], MISMATCH),
    predict(
        "an unknown name in a later row",
        "/instances/1/colour",
        [{"eruptions": 1, "waiting": 2}, {"eruptions": 1, "waiting": 2, "colour": 3}],
        MISMATCH,
    ),
    predict("a string in a keyed row", "/instances/0/waiting", [{"eruptions": 1, "waiting": "2"}]),
    predict("a missing key", "/instances/0/waiting", [{"eruptions": 1.0}], says="missing"),
    predict("a null", "/instances/1/0", [[1.0, 2.0], [None, 2.0]], says="missing"),
    predict("10 001 features", "/instances/0", [[0.0] * 10_001], says="10001"),
    Case("no instances", 422, INVALID, "/instances", {}, path="/v1/models/asked-wrongly/predict"),
    Case(
        "unknown field",
        422,
        INVALID,
        "/colour",
        {"instances": ROWS, "colour": 1},
        path="/v1/models/asked-wrongly/predict",
        says="'colour'",
    ),
    Case("fit: one row with k = 2", 422, INVALID, "/params/n_components", fit_with(instances=ROWS[:1])),
    param("more components than rows", "/params/n_components", n_components=6, says="6"),
    param("more clusters than rows", "/params/n_clusters", "kmeans", n_clusters=6, says="6"),
    Case("fit: no rows", 422, INVALID, "/data/instances", fit_with(instances=[])),
    Case("fit: zero features", 422, INVALID, "/data/instances/0", fit_with(instances=[[], []], feature_names=None)),
    Case(
        "fit: 10 001 features",
        422,
        INVALID,
        "/data/instances/0",
        fit_with(instances=[[0.0] * 10_001] * 2, feature_names=None),
    ),
    Case("fit: ragged rows", 422, INVALID, "/data/instances/2", fit_with(instances=[[1, 2], [3, 4], [5]])),
    Case("fit: a string", 422, INVALID, "/data/instances/1/1", fit_with(instances=[[1, 2], [3, "4"]])),
    Case("fit: a null", 422, INVALID, "/data/instances/1/1", fit_with(instances=[*ROWS[:1], [3, None], *ROWS])),
    Case(
        "fit: duplicated feature names",
        422,
        INVALID,
        "/data/feature_names/1",
        fit_with(feature_names=["eruptions", "eruptions"]),
        says="'eruptions'",
    ),
    Case(
        "fit: too few names",
        422,
        INVALID,
        "/data/feature_names",
        fit_with(feature_names=["eruptions"]),
        says="1 names",
    ),
    Case("fit: an empty name", 422, INVALID, "/data/feature_names/0", fit_with(feature_names=["", "b"])),
    Case("fit: unknown field", 422, INVALID, "/colour", fit_with() | {"colour": 1}),
    Case("fit: no model", 422, INVALID, "/model", {k: v for k, v in fit_with().items() if k != "model"}),
    Case("fit: unknown algorithm", 422, INVALID, "/algorithm", fit_with() | {"algorithm": "dbscan"}, says="'dbscan'"),
    Case("fit: no algorithm", 422, INVALID, "/algorithm", {"model": "m", "data": {"instances": ROWS}}),
    Case("fit: unknown dataset", 404, "/problems/dataset-not-found", None, fit_with() | {"data": {"dataset": "none"}}),
    Case("fit: too few weights", 422, INVALID, "/data/sample_weight", fit_with(sample_weight=[1.0])),
    Case("fit: a negative weight", 422, INVALID, "/data/sample_weight/1", fit_with(sample_weight=[1, -1, 1, 1, 1])),
    Case("fit: weights all zero", 422, INVALID, "/data/sample_weight", fit_with(sample_weight=[0] * 5)),
    Case("fit: too few labels", 422, INVALID, "/data/labels", fit_with(labels=[1, 2])),
    Case(
        "fit: labels for k-means",
        422,
        "/problems/unsupported-operation",
        "/data/labels",
        fit_with(labels=[1, 2, 1, 2, 1]) | {"algorithm": "kmeans", "params": {"n_clusters": 2}},
    ),
    Case(
        "fit: contamination of 0.6",
        422,
        INVALID,
        "/anomaly/contamination",
        fit_with() | {"anomaly": {"contamination": 0.6}},
    ),
    Case("fit: pca of 1.5", 422, INVALID, "/preprocess/pca", fit_with() | {"preprocess": {"pca": 1.5}}, says="1.5"),
    Case("fit: pca of 3 in 2", 422, INVALID, "/preprocess/pca", fit_with() | {"preprocess": {"pca": 3}}, says="3"),
    Case("fit: pca of a text", 422, INVALID, "/preprocess/pca", fit_with() | {"preprocess": {"pca": "2"}}),
    param("n_init of a text", "/params/n_init", "kmeans", n_clusters=2, n_init="5"),
    Case("fit: mixed labels", 422, INVALID, "/data/labels/1", fit_with(labels=["a", 1, "b", "c", "d"])),
    Case("fit: a label of null", 422, INVALID, "/data/labels/1", fit_with(labels=[1, None, 2, 3, 4])),
    Case("fit: a long label", 422, INVALID, "/data/labels/0", fit_with(labels=["x" * 257, "b", "c", "d", "e"])),
    Case("fit: a large label", 422, INVALID, "/data/labels/0", fit_with(labels=[2**64 - 1, 1, 2, 3, 4])),
    Case(
        "fit: rows too large to scale",
        422,
        INVALID,
        "/preprocess/scale",
        fit_with(instances=[[1e160, 1.0], [-1e160, 2.0], [0.0, 3.0]], feature_names=None)
        | {"preprocess": {"scale": "standard"}},
    ),
    Case(
        "an option in the query of a JSON body",
        422,
        INVALID,
        "/query/threshold",
        {"instances": ROWS},
        path="/v1/models/asked-wrongly/anomaly?threshold=1",
    ),
    Case("fit: pca of true", 422, INVALID, "/preprocess/pca", fit_with() | {"preprocess": {"pca": True}}),
    Case("fit: scale of max", 422, INVALID, "/preprocess/scale", fit_with() | {"preprocess": {"scale": "max"}}),
    Case("fit: priority of 11", 422, INVALID, "/priority", fit_with() | {"priority": 11}, says="11"),
    Case("fit: timeout of 0", 422, INVALID, "/timeout_s", fit_with() | {"timeout_s": 0}),
    Case("fit: alias latest", 422, INVALID, "/alias", fit_with() | {"alias": "latest"}),
    Case("fit: a tag that is a number", 422, INVALID, "/tags/team", fit_with() | {"tags": {"team": 1}}),
    param("a string for a number", "/params/n_components", n_components="2", says='"2"'),
    param("a fraction for a count", "/params/n_components", n_components=2.5, says="2.5"),
    param("a boolean for a count", "/params/n_components", n_components=True, says="true"),
    param("zero components", "/params/n_components", n_components=0, says="0"),
    param("a negative tol", "/params/tol", tol=-1, says="-1"),
    param("a negative reg_covar", "/params/reg_covar", reg_covar=-1e-6),
    param("an unknown covariance_type", "/params/covariance_type", covariance_type="round", says='"round"'),
    param("an unknown parameter", "/params/colour", colour=1),
    param("max_iter of 0", "/params/max_iter", max_iter=0),
    param("a random_state of -1", "/params/random_state", random_state=-1),
    param("means of the wrong shape", "/params/means_init", n_components=2, means_init=[[1.0]]),
    param("weights that do not sum to 1", "/params/weights_init", n_components=2, weights_init=[0.5, 0.6]),
    param("ragged means", "/params/means_init", n_components=2, means_init=[[1.0, 2.0], [3.0]]),
    param("a precision that is not definite", "/params/precisions_init", precisions_init=[[[1, 2], [2, 1]]]),
    param("centres of the wrong shape", "/params/init", "kmeans", n_clusters=2, init=[[1.0, 2.0]]),
    param("an unknown start", "/params/init", "kmeans", init="best"),
    param("n_init of 0", "/params/n_init", "kmeans", n_init=0),
    param("a batch of no rows", "/params/batch_size", "minibatch_kmeans", batch_size=0),
    param("more clusters than rows in batches", "/params/n_clusters", "minibatch_kmeans", n_clusters=6, says="6"),
    param("a reassignment above 1", "/params/reassignment_ratio", "minibatch_kmeans", reassignment_ratio=1.5),
    *(
        Case(f"fit: model {name[:20]!r}", 422, INVALID, "/model", fit_with() | {"model": name})
        for name in ("a/b", "..", "Upper", "x" * 64, "x" * 65, "", "-a", "a b", "é")
    ),
    Case("unknown model", 404, "/problems/model-not-found", None, {"instances": ROWS}, path="/v1/models/none/predict"),
    Case(
        "unknown version",
        404,
        "/problems/version-not-found",
        None,
        {"instances": ROWS},
        path="/v1/models/asked-wrongly/versions/99/predict",
        says="99",
    ),
    Case(
        "unknown alias",
        404,
        "/problems/alias-not-found",
        None,
        {"instances": ROWS},
        path="/v1/models/asked-wrongly/versions/champion/predict",
        says="'champion'",
    ),
    Case("unknown job", 404, "/problems/job-not-found", None, method="GET", path="/v1/jobs/none"),
    Case("unknown dataset", 404, "/problems/dataset-not-found", None, method="GET", path="/v1/datasets/none"),
    Case("unknown path", 404, "/problems/not-found", None, method="GET", path="/v1/nothing"),
    Case("unknown verb", 404, "/problems/not-found", None, {"instances": ROWS}, path="/v1/models/asked-wrongly/impute"),
    Case("a trailing slash", 404, "/problems/not-found", None, method="GET", path="/v1/models/"),
    Case("dots in a path", 404, "/problems/model-not-found", None, method="GET", path="/v1/models/%2e%2e"),
    Case("a NUL in a path", 404, "/problems/not-found", None, method="GET", path="/v1/models/a%00b"),
    csv("a missing cell", 422, b"eruptions,waiting\n3.6,79\n1.8,\n", "/instances/1/1", says="missing"),
    csv("a missing cell in another order", 422, b"waiting,eruptions\n,3.6\n", "/instances/0/0", says="'waiting'"),
    csv("text", 422, b"eruptions,waiting\n3.6,many\n", "/instances/0/1", says="'many'"),
    csv("an infinity", 422, b"eruptions,waiting\n3.6,inf\n", "/instances/0/1"),
    csv("a digit group", 422, b"eruptions,waiting\n3.6,1_000\n", "/instances/0/1"),
    csv("one column", 422, b"eruptions\n3.6\n", "/instances/0/waiting", says="'waiting'"),
    csv("one column without header", 422, b"3.6\n1.8\n", "/instances", says="header"),
    csv("an unknown column", 422, b"eruptions,colour\n3.6,1\n", "/instances/0/colour", MISMATCH),
    csv("a repeated column", 422, b"eruptions,eruptions\n3.6,1\n", "/feature_names/1", says="repeated"),
    csv("a short row", 422, b"eruptions,waiting\n3.6,79\n1.8\n", "/instances/1", says="1 cells"),
    csv("nothing", 422, b"", "/instances"),
    csv("a header only", 422, b"eruptions,waiting\n", "/instances"),
    csv("not UTF-8", 400, b"eruptions,waiting\n\xff,79\n", None),
    csv("an open quote", 422, b'eruptions,waiting\n"3.6,79\n', "/instances"),
    csv("a NUL", 422, b"eruptions,waiting\n3.6,\x0079\n", "/instances/0/1"),
    Case(
        "csv: an unknown option",
        422,
        INVALID,
        "/colour",
        content=b"eruptions,waiting\n3.6,79\n",
        headers=CSV,
        path="/v1/models/asked-wrongly/predict?colour=1",
    ),
    Case(
        "csv: header=maybe",
        422,
        INVALID,
        "/query/header",
        content=b"eruptions,waiting\n3.6,79\n",
        headers=CSV,
        path="/v1/models/asked-wrongly/predict?header=maybe",
    ),
    Case(
        "csv fit: a string for a number",
        422,
        INVALID,
        "/params/n_components",
        content=b"a,b\n1,2\n3,4\n",
        headers=CSV,
        path="/v1/fits?model=never-made&algorithm=gaussian_mixture&params.n_components=two",
        says='"two"',
    ),
    Case("limit of 0", 422, INVALID, "/query/limit", method="GET", path="/v1/jobs?limit=0", says="0"),
    Case("limit of 201", 422, INVALID, "/query/limit", method="GET", path="/v1/models?limit=201"),
    Case("a cursor nobody gave", 422, INVALID, "/query/cursor", method="GET", path="/v1/models?cursor=abc"),
    Case("an unknown query field", 422, INVALID, "/query/colour", method="GET", path="/v1/models?colour=1"),
    Case("an unknown status", 422, INVALID, "/query/status", method="GET", path="/v1/jobs?status=done", says="'done'"),
    Case(
        "a media type that is not spoken",
        415,
        "/problems/unsupported-media-type",
        None,
        content=b"\x93NUMPY",
        headers={"Content-Type": "application/x-npy"},
        path="/v1/models/asked-wrongly/predict",
        says="application/json and text/csv",
    ),
    Case(
        "a charset that is not spoken",
        415,
        "/problems/unsupported-media-type",
        None,
        content=b"{}",
        headers={"Content-Type": "application/json; charset=utf-16"},
        path="/v1/models/asked-wrongly/predict",
    ),
    Case(
        "a compressed body",
        415,
        "/problems/unsupported-media-type",
        None,
        content=b"{}",
        headers=JSON | {"Content-Encoding": "gzip"},
        path="/v1/models/asked-wrongly/predict",
    ),
    Case(
        "an answer nobody speaks",
        406,
        "/problems/not-acceptable",
        None,
        {"instances": ROWS},
        headers={"Accept": "application/xml"},
        path="/v1/models/asked-wrongly/predict",
        says="application/json and text/csv",
    ),
    Case(
        "a list as CSV",
        406,
        "/problems/not-acceptable",
        None,
        method="GET",
        headers={"Accept": "text/csv"},
        path="/v1/models",
    ),
    Case(
        "an empty idempotency key", 422, INVALID, "/header/Idempotency-Key", fit_with(), headers={"Idempotency-Key": ""}
    ),
    Case(
        "a long idempotency key",
        422,
        INVALID,
        "/header/Idempotency-Key",
        fit_with(),
        headers={"Idempotency-Key": "k" * 256},
    ),
    Case(
        "two thresholds",
        422,
        INVALID,
        "/threshold",
        {"instances": ROWS, "contamination": 0.1, "threshold": 3},
        path="/v1/models/asked-wrongly/anomaly",
    ),
    Case("no sample", 422, INVALID, "/n_samples", {"n_samples": 0}, path="/v1/models/asked-wrongly/sample"),
    Case(
        "too large a sample", 422, INVALID, "/n_samples", {"n_samples": 100_001}, path="/v1/models/asked-wrongly/sample"
    ),
    Case(
        "labels of another length",
        422,
        INVALID,
        "/labels",
        {"instances": ROWS, "labels": [1]},
        path="/v1/models/asked-wrongly/evaluate",
    ),
    Case(
        "an alias to nowhere",
        404,
        "/problems/version-not-found",
        None,
        {"version": 99},
        method="PUT",
        path="/v1/models/asked-wrongly/aliases/champion",
    ),
    *(
        Case(
            f"an alias named {alias}",
            422,
            INVALID,
            "/path/alias",
            {"version": 1},
            method="PUT",
            path=f"/v1/models/asked-wrongly/aliases/{alias}",
        )
        for alias in ("latest", "7", "UP")
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_bad_input_gets_a_clear_error(http: httpx.Client, model: str, case: Case) -> None:
    answer = http.request(case.method, case.path, json=case.json, content=case.content, headers=case.headers)
    assert answer.status_code == case.status, answer.text
    problem = assert_problem(answer)
    assert problem["type"] == case.type
    pointers = [error["pointer"] for error in problem.get("errors", [])]
    if case.pointer is None:
        assert pointers == []
    else:
        assert case.pointer in pointers
    assert case.says in problem["detail"]
    after = http.post(f"/v1/models/{model}/predict", json={"instances": ROWS})
    assert after.status_code == 200
    assert len(after.json()["labels"]) == len(ROWS)


def assert_problem(answer: httpx.Response) -> dict[str, Any]:
    """The problem that an answer is, by the contract's words."""
    assert answer.headers["content-type"] == "application/problem+json"
    problem: dict[str, Any] = answer.json()
    assert set(problem) - {"errors"} == {"type", "title", "status", "detail", "instance", "request_id"}
    assert problem["status"] == answer.status_code
    assert problem["request_id"] == answer.headers["x-request-id"]
    assert problem["detail"].endswith(".")
    assert 1 <= len(problem.get("errors", [None])) <= 20
    for secret in ("Traceback", "/site-packages", "SELECT", "sqlite", "psycopg", ".py"):
        assert secret not in answer.text
    return problem


def test_never_more_than_twenty_pointers(http: httpx.Client, model: str) -> None:
    answer = http.post(f"/v1/models/{model}/predict", json={"instances": [["a", "b"]] * 1000})
    pointers = [error["pointer"] for error in assert_problem(answer)["errors"]]
    assert pointers == [f"/instances/{i}/{j}" for i in range(10) for j in range(2)]


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PUT", "/v1/models", {"GET", "HEAD"}),
        ("POST", "/v1/models/asked-wrongly", {"GET", "HEAD", "PATCH", "DELETE"}),
        ("GET", "/v1/fits", {"POST"}),
        ("DELETE", "/v1/datasets", {"GET", "HEAD", "POST"}),
        ("GET", "/v1/models/asked-wrongly/predict", {"POST"}),
        ("POST", "/v1/models/asked-wrongly/aliases/champion", {"GET", "HEAD", "PUT", "DELETE"}),
        ("TRACE", "/livez", {"GET", "HEAD"}),
        ("POST", "/static-offline-docs/swagger-ui.css", {"GET", "HEAD"}),
    ],
)
def test_a_wrong_method_learns_the_right_ones(http: httpx.Client, method: str, path: str, allowed: set[str]) -> None:
    answer = http.request(method, path)
    assert answer.status_code == 405
    assert assert_problem(answer)["type"] == "/problems/method-not-allowed"
    assert set(answer.headers["allow"].split(", ")) == allowed


ODD_ROWS = {
    "a constant feature": [[x, 1.0] for x, _ in ROWS],
    "all rows equal": [[1.0, 2.0]] * 5,
    "one row": [[1.0, 2.0]],
    "enormous numbers": [[x * 1e300, y * 1e300] for x, y in ROWS],
    "tiny numbers": [[x * 1e-300, y * 1e-300] for x, y in ROWS],
    "large integers": [[2**53 + i, i] for i in range(5)],
}


@pytest.mark.parametrize("rows", ODD_ROWS.values(), ids=ODD_ROWS.keys())
@pytest.mark.parametrize("algorithm", ["gaussian_mixture", "kmeans", "minibatch_kmeans"])
def test_odd_rows_are_fitted_or_refused_by_name(
    http: httpx.Client, model_name: str, algorithm: str, rows: list[list[float]]
) -> None:
    count = "n_components" if algorithm == "gaussian_mixture" else "n_clusters"
    k = 1 if len(rows) == 1 else 2
    document = {
        "model": model_name,
        "algorithm": algorithm,
        "params": {count: k, "random_state": 0},
        "data": {"instances": rows},
    }
    answer = http.post("/v1/fits", json=document, headers={"Prefer": "wait=30"})
    assert answer.status_code == 200, answer.text
    job = answer.json()
    if job["status"] == "failed":
        assert job["error"]["type"] in ("/problems/collapsed-component", "/problems/diverged", INVALID)
        return
    assert job["status"] == "succeeded"
    labels = http.post(f"/v1/models/{model_name}/predict", json={"instances": rows})
    assert labels.status_code == 200
    assert set(labels.json()["labels"]) <= set(range(k))
    if algorithm == "gaussian_mixture":
        answer = http.post(f"/v1/models/{model_name}/predict_proba", json={"instances": rows})
        assert all(math.isclose(sum(row), 1, rel_tol=1e-9) for row in answer.json()["probabilities"])


def test_the_same_rows_in_every_spelling(http: httpx.Client, model: str) -> None:
    path = f"/v1/models/{model}/density"
    expected = http.post(path, json={"instances": ROWS}).json()
    keyed = [{"waiting": y, "eruptions": x} for x, y in ROWS]
    assert http.post(path, json={"instances": keyed}).json() == expected
    lines = "\n".join(f"{x},{y}" for x, y in ROWS)
    spellings = {
        "header": f"eruptions,waiting\n{lines}\n",
        "byte order mark": f"\ufefferuptions,waiting\n{lines}\n",
        "CRLF": f"eruptions,waiting\n{lines}\n".replace("\n", "\r\n"),
        "no last line end": f"eruptions,waiting\n{lines}",
        "other order": "waiting,eruptions\n" + "\n".join(f"{y},{x}" for x, y in ROWS),
        "quotes": 'eruptions,"waiting"\n' + "\n".join(f'"{x}",{y}' for x, y in ROWS),
    }
    for name, text in spellings.items():
        answer = http.post(path, content=text.encode(), headers=CSV)
        assert answer.json() == expected, name
    bare = http.post(f"{path}?header=false", content=lines.encode(), headers=CSV)
    assert bare.json() == expected


def test_one_column_of_csv_is_one_feature(http: httpx.Client, model_name: str) -> None:
    query = {"model": model_name, "algorithm": "kmeans", "params.n_clusters": 2}
    headers = CSV | {"Prefer": "wait=30"}
    answer = http.post("/v1/fits", params=query, content=b"x\n1\n2\n10\n11\n", headers=headers)
    assert answer.json()["status"] == "succeeded", answer.text
    version = http.get(f"/v1/models/{model_name}/versions/1").json()
    assert version["feature_names"] == ["x"]
