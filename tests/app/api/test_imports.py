"""Models from outside: files and parameters, what is refused of them, and that they answer as they did at home."""

import hashlib
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import orjson
import pytest
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.numpy import load, save

from app.client import Client
from app.client.models import Version
from tests.app.api.geyser import GEYSER, NAMES, fit
from tests.app.api.test_bad_input import assert_problem
from tests.e2e.test_docs import blocks
from tests.service import Service, running

REGISTRY = Path(__file__).parent.parent.parent.parent / "docs" / "registry.md"
FILE = {"Content-Type": "application/octet-stream"}
VERBS = {
    "predict": {},
    "predict_proba": {},
    "density": {},
    "transform": {},
    "anomaly": {"contamination": 0.03},
    "evaluate": {},
    "sample": {"n_samples": 20, "random_state": 3},
}
FITS: dict[str, dict[str, Any]] = {
    "full": {"preprocess": {"scale": "standard"}, "anomaly": {"contamination": 0.04}, "tags": {"team": "geo"}},
    "tied": {"params": {"n_components": 3, "covariance_type": "tied", "random_state": 1}},
    "diag": {
        "params": {"n_components": 2, "covariance_type": "diag", "random_state": 1},
        "preprocess": {"scale": "standard", "pca": 1},
    },
    "spherical": {"params": {"n_components": 2, "covariance_type": "spherical", "random_state": 1}},
    "kmeans": {"algorithm": "kmeans", "params": {"n_clusters": 3, "random_state": 0}, "preprocess": {"pca": 0.99}},
    "minibatch": {"algorithm": "minibatch_kmeans", "params": {"n_clusters": 2, "random_state": 0}},
}


def post_file(http: httpx.Client, model: str, content: bytes, query: str = "") -> httpx.Response:
    return http.post(f"/v1/models/{model}/import{query}", content=content, headers=FILE)


def answers(http: httpx.Client, model: str) -> dict[str, Any]:
    """All that a model says, but its own name."""
    told = {}
    for verb, options in VERBS.items():
        rows = {} if verb == "sample" else {"instances": GEYSER.tolist()}
        answer = http.post(f"/v1/models/{model}/{verb}", json=rows | options)
        told[verb] = {k: v for k, v in answer.json().items() if k not in ("model", "instance", "request_id", "detail")}
    parameters = http.get(f"/v1/models/{model}/versions/latest/parameters").json()
    return told | {"parameters": {k: v for k, v in parameters.items() if k != "model"}}


@pytest.mark.parametrize("kind", FITS)
def test_a_file_imports_to_an_equal_model(http: httpx.Client, model_name: str, kind: str) -> None:
    fit(http, model_name, **FITS[kind])
    here = http.get(f"/v1/models/{model_name}/versions/1").json()
    content = http.get(f"/v1/models/{model_name}/versions/1/artifact").content
    answer = post_file(http, f"{model_name}-2", content, "?alias=champion&description=from%20home&tags.team=bio")
    assert answer.status_code == 201, answer.text
    there = answer.json()
    assert answer.headers["location"] == f"/v1/models/{model_name}-2/versions/1"
    assert http.get(answer.headers["location"]).json() == there
    for field in (
        "algorithm",
        "params",
        "feature_names",
        "n_features",
        "n_samples",
        "metrics",
        "anomaly",
        "preprocess",
    ):
        assert there[field] == here[field]
    assert there["artifact"] == here["artifact"]
    assert (there["aliases"], there["tags"], there["description"]) == (["champion"], {"team": "bio"}, "from home")
    assert (there["dataset"], there["job"]) == (None, None)
    home = {"origin": "import", "file": hashlib.sha256(content).hexdigest()}
    assert there["lineage"] == here["lineage"] | home
    assert answers(http, f"{model_name}-2") == answers(http, model_name)
    moves = http.get(f"/v1/models/{model_name}-2/aliases/champion/history").json()["items"]
    assert [(move["from"], move["to"], move["by"]) for move in moves] == [(None, 1, "anonymous")]


def test_a_file_imports_elsewhere(http: httpx.Client, model_name: str, tmp_path: Path) -> None:
    fit(http, model_name, **FITS["full"])
    content = http.get(f"/v1/models/{model_name}/versions/1/artifact").content
    with running(tmp_path / "elsewhere") as service, service.client() as other:
        assert post_file(other, "m", content).status_code == 201
        assert answers(other, "m") == answers(http, model_name)
        again = other.get("/v1/models/m/versions/1/artifact").content
    assert again == content


@pytest.mark.parametrize("kind", ["full", "tied", "diag", "spherical", "kmeans"])
def test_parameters_import_to_an_equal_model(http: httpx.Client, model_name: str, kind: str) -> None:
    fit(http, model_name, **FITS[kind] | {"preprocess": {}})
    told = http.get(f"/v1/models/{model_name}/versions/1/parameters").json()
    names = ("covariance_type", "weights", "means", "covariances", "cluster_centers")
    parameters = {name: told[name] for name in names if name in told}
    document = {"algorithm": told["algorithm"], "parameters": parameters, "feature_names": told["feature_names"]}
    answer = http.post(f"/v1/models/{model_name}-2/import", json=document | {"alias": "a", "tags": {"by": "hand"}})
    assert answer.status_code == 201, answer.text
    version = answer.json()
    assert (version["n_samples"], version["aliases"], version["tags"]) == (0, ["a"], {"by": "hand"})
    assert version["lineage"] == {"origin": "import", "dataset": None, "libraries": None, "file": None}
    here, there = answers(http, model_name), answers(http, f"{model_name}-2")
    assert there.pop("anomaly")["type"] == "/problems/unsupported-operation"
    assert here.pop("anomaly")
    assert there == here
    rows = {"instances": GEYSER.tolist(), "threshold": 3.5}
    flags = [http.post(f"/v1/models/{name}/anomaly", json=rows).json() for name in (model_name, f"{model_name}-2")]
    assert flags[0]["score"] == flags[1]["score"]
    assert flags[0]["is_anomaly"] == flags[1]["is_anomaly"]
    # What was imported goes on to be exported.
    content = http.get(f"/v1/models/{model_name}-2/versions/1/artifact").content
    assert post_file(http, f"{model_name}-3", content).status_code == 201
    assert answers(http, f"{model_name}-3") == answers(http, f"{model_name}-2")


EYE = [[1.0, 0.0], [0.0, 1.0]]


def mixture(**changes: Any) -> dict[str, Any]:
    eye = [[1.0, 0.0], [0.0, 1.0]]
    parameters = {
        "covariance_type": "full",
        "weights": [0.5, 0.5],
        "means": [[0, 0], [3, 3]],
        "covariances": [eye, eye],
    }
    return {"algorithm": "gaussian_mixture", "parameters": parameters | changes}


def kmeans(centers: Any) -> dict[str, Any]:
    return {"algorithm": "kmeans", "parameters": {"cluster_centers": centers}}


REFUSED: dict[str, tuple[dict[str, Any], list[str], str]] = {
    "sum": (mixture(weights=[0.5, 0.4]), ["/parameters/weights"], "sum to 1 within 1e-08, not to 0.9"),
    "negative weights": (
        mixture(weights=[-0.5, 1.5]),
        ["/parameters/weights/0"],
        "The weight of component 0 is -0.5; it must be at least 0.",
    ),
    "weights too many": (
        mixture(weights=[0.5, 0.25, 0.25]),
        ["/parameters/weights"],
        "3 entries where weights of 2 components and 2 features have 2.",
    ),
    "ragged means": (mixture(means=[[0, 0], [3]]), ["/parameters/means/1"], "1 entries"),
    "text in means": (mixture(means=[[0, 0], [3, "x"]]), ["/parameters/means/1/1"], '"x"'),
    "null in means": (mixture(means=[[0, None], [3, 1]]), ["/parameters/means/0/1"], "null"),
    "boolean weight": (mixture(weights=[True, 0.0]), ["/parameters/weights/0"], "true"),
    "empty": (mixture(means=[]), ["/parameters/means"], "at least 1"),
    "indefinite": (
        mixture(covariances=[EYE, [[1, 2], [2, 1]]]),
        ["/parameters/covariances/1"],
        "The covariance of component 1 is not positive definite: the variance left at feature 1 is -3",
    ),
    "both indefinite": (
        mixture(covariances=[[[0, 0], [0, 1]], [[1, 2], [2, 1]]]),
        ["/parameters/covariances/0", "/parameters/covariances/1"],
        "component 0",
    ),
    "asymmetric": (
        mixture(covariances=[EYE, [[1, 0.5], [0.25, 1]]]),
        ["/parameters/covariances/1"],
        "The covariance of component 1 is not symmetric: it has 0.5 at [0, 1] and 0.25 at [1, 0].",
    ),
    "matrix too small": (mixture(covariances=[EYE, [[1.0]]]), ["/parameters/covariances/1"], "1 entries where full"),
    "depth": (mixture(covariances=EYE), [f"/parameters/covariances/{i}/{j}" for i in "01" for j in "01"], "list"),
    "tied": (
        mixture(covariance_type="tied", covariances=[[1, 2], [2, 1]]),
        ["/parameters/covariances"],
        "The shared covariance is not positive definite",
    ),
    "diag": (
        mixture(covariance_type="diag", covariances=[[1, 1], [1, 0]]),
        ["/parameters/covariances/1"],
        "The covariance of component 1 is not positive definite: the variance left at feature 1 is 0",
    ),
    "spherical": (
        mixture(covariance_type="spherical", covariances=[-1, 1]),
        ["/parameters/covariances/0"],
        "The covariance of component 0 is not positive definite: the variance left is -1",
    ),
    "type": (mixture(covariance_type="round"), ["/parameters/covariance_type"], "round"),
    "no means": ({"algorithm": "gaussian_mixture", "parameters": {"covariance_type": "full"}}, [], "required"),
    "not kmeans": (kmeans([[1]])["parameters"] | {"algorithm": "gaussian_mixture"}, [], "required"),
    "ragged centres": (kmeans([[1, 2], [3, 4, 5]]), ["/parameters/cluster_centers/1"], "3 entries"),
    "no features": (kmeans([[]]), ["/parameters/cluster_centers/0"], "at least 1"),
    "algorithm": (kmeans([[1]]) | {"algorithm": "dbscan"}, ["/algorithm"], "dbscan"),
    "names too few": (kmeans([[1, 2]]) | {"feature_names": ["a"]}, ["/feature_names"], "1 names"),
    "names twice": (kmeans([[1, 2]]) | {"feature_names": ["a", "a"]}, ["/feature_names/1"], "repeated"),
    "alias": (kmeans([[1]]) | {"alias": "latest"}, ["/alias"], "latest"),
    "unknown": (kmeans([[1]]) | {"metrics": {}}, ["/metrics"], "not a field"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_no_model_is_refused_by_component(http: httpx.Client, model_name: str, case: str) -> None:
    document, pointers, words = REFUSED[case]
    answer = http.post(f"/v1/models/{model_name}/import", json=document)
    assert answer.status_code == 422, answer.text
    problem = assert_problem(answer)
    assert problem["type"] == "/problems/invalid-request"
    if pointers:
        assert [error["pointer"] for error in problem["errors"]] == pointers
    assert words in problem["detail"]
    assert http.get(f"/v1/models/{model_name}").status_code == 404


Arrays = dict[str, NDArray[Any]]


def changed(content: bytes, tmp_path: Path, change: Callable[[Arrays, dict[str, Any]], object]) -> bytes:
    """The file with its arrays and its header changed."""
    path = tmp_path / "file.safetensors"
    path.write_bytes(content)
    with safe_open(path, "np") as file:
        header = orjson.loads(file.metadata()["mixtura"])
    arrays = load(content)
    change(arrays, header)
    return save(arrays, metadata={"mixtura": orjson.dumps(header).decode()})


def put(name: str, value: Any) -> Callable[[Arrays, dict[str, Any]], None]:
    """A change of one array, or of one thing that the header says."""

    def change(arrays: Arrays, header: dict[str, Any]) -> None:
        target: Any = arrays
        *parents, last = [name]
        if name.startswith("header/"):
            target = header
            _, *parents, last = name.split("/")
        for parent in parents:
            target = target[parent]
        if value is None and target is arrays:
            del target[last]
        else:
            target[last] = value(target[last]) if callable(value) else value

    return change


def indefinite(covariances: NDArray[Any]) -> NDArray[Any]:
    covariances = covariances.copy()
    covariances[1, 0, 1] = covariances[1, 1, 0] = 100.0
    return covariances


DAMAGE: dict[str, tuple[str, Any, str]] = {
    "weights": ("model/weights", lambda w: w * 0.5, "/model/weights"),
    "covariances": ("model/covariances", indefinite, "/model/covariances/1"),
    "short means": ("model/means", lambda m: m[:1].copy(), "/model/weights"),
    "no means": ("model/means", None, "/model/means"),
    "flat means": ("model/means", lambda m: m.ravel(), "/model/means"),
    "single means": ("model/means", lambda m: m.astype(np.float32), "/model/means"),
    "infinite mean": ("model/means", lambda m: m * math.inf, "/model/means/0/0"),
    "offset": ("preprocess/offset", lambda o: o[:1].copy(), "/preprocess/scale"),
    "scale": ("preprocess/scale", lambda s: -s, "/preprocess/scale"),
    "more features": ("preprocess/rotation", np.eye(2)[:1], "/preprocess"),
    "levels": ("scores/levels", lambda s: s[::-1].copy(), "/scores/levels"),
    "no levels": ("scores/levels", None, "/scores/levels"),
    "values": ("scores/values", lambda s: s[::-1].copy(), "/scores/values"),
    "extra": ("model/more", np.zeros(3), "/model/more"),
    "names": ("header/feature_names", ["a"], "/header/feature_names"),
    "same names": ("header/feature_names", ["a", "a"], "/header/feature_names/1"),
    "names of numbers": ("header/feature_names", [1, 2], "/header/feature_names"),
    "algorithm": ("header/algorithm", "dbscan", "/header/algorithm"),
    "other algorithm": ("header/algorithm", "kmeans", "/header/covariance_type"),
    "covariance type": ("header/covariance_type", "round", "/header/covariance_type"),
    "contamination": ("header/contamination", 0.7, "/header/contamination"),
    "facts": ("header/facts", {"metrics": {}}, "/header/facts"),
    "deep metrics": ("header/facts/metrics", {"a": [[[[[[1]]]]]]}, "/header/facts/metrics"),
    "n_samples": ("header/facts/n_samples", "many", "/header/facts/n_samples"),
    "lineage": ("header/facts/lineage", {"origin": "fit"}, "/header/facts/lineage"),
    "sha256": ("header/facts/lineage/dataset/sha256", "<b>", "/header/facts/lineage"),
}


@pytest.fixture(scope="module")
def content(service: Service) -> bytes:
    """The file of a fit."""
    with service.client() as http:
        fit(http, "for-its-file")
        return http.get("/v1/models/for-its-file/versions/latest/artifact").content


@pytest.mark.parametrize("case", DAMAGE)
def test_a_file_with_anything_wrong_is_refused_there(
    http: httpx.Client, model_name: str, content: bytes, tmp_path: Path, case: str
) -> None:
    name, value, pointer = DAMAGE[case]
    answer = post_file(http, model_name, changed(content, tmp_path, put(name, value)))
    assert answer.status_code == 422, answer.text
    assert assert_problem(answer)["errors"][0]["pointer"] == pointer
    assert http.get(f"/v1/models/{model_name}").status_code == 404


def test_a_file_of_before_facts_were_kept_tells_what_follows_from_it(
    http: httpx.Client, model_name: str, content: bytes, tmp_path: Path
) -> None:
    home = http.get("/v1/models/for-its-file/versions/latest").json()
    old = changed(content, tmp_path, lambda _, header: header.pop("facts"))
    version = post_file(http, model_name, old).json()
    for field in ("n_samples", "anomaly", "preprocess", "feature_names"):
        assert version[field] == home[field]
    assert version["params"] == {"n_components": 2, "covariance_type": "full"}
    assert version["metrics"] == {name: home["metrics"][name] for name in ("n_parameters", "weights")}
    assert answers(http, model_name) == answers(http, "for-its-file")


@pytest.mark.parametrize("rubbish", [b"", b"rubbish", b"\x02" + bytes(7) + b"{}", save({"a": np.zeros(2)})])
def test_other_files_are_refused(http: httpx.Client, model_name: str, rubbish: bytes) -> None:
    answer = post_file(http, model_name, rubbish)
    assert answer.status_code == 422
    assert assert_problem(answer)["errors"][0]["pointer"] == ""


def test_the_ways_to_call_it(http: httpx.Client, model_name: str, content: bytes) -> None:
    path = f"/v1/models/{model_name}/import"
    assert http.post(path, content="a,b\n1,2\n", headers={"Content-Type": "text/csv"}).status_code == 415
    assert http.post(f"{path}?alias=a", json=kmeans([[1]])).status_code == 422
    for query in ("?alias=latest", "?alias=A", "?more=1", "?tags.a%20b=c"):
        assert post_file(http, model_name, content, query).status_code == 422
    assert http.post("/v1/models/A%20B/import", json=kmeans([[1]])).status_code == 422
    assert http.get(f"/v1/models/{model_name}").status_code == 404


@pytest.mark.parametrize("covariance_type", ["full", "tied", "diag", "spherical"])
def test_five_lines_take_what_scikit_learn_has_fitted(
    service: Service, model_name: str, covariance_type: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(REGISTRY.parent.parent)
    fitted, lines = blocks(REGISTRY, "python")
    assert len(lines.splitlines()) == 5
    script = (fitted + lines).replace("http://127.0.0.1:8000", service.url).replace('"full"', f'"{covariance_type}"')
    scope: dict[str, Any] = {}
    exec(script.replace("geyser", model_name), scope)
    gm, km = scope["gm"], scope["km"]
    mixture, clusters = scope["mixture"], scope["clusters"]
    assert isinstance(mixture, Version)
    assert isinstance(clusters, Version)
    assert (mixture.model, mixture.feature_names) == (model_name, NAMES)
    probabilities = mixture.handle.predict_proba(GEYSER).probabilities
    np.testing.assert_allclose(probabilities, gm.predict_proba(GEYSER), rtol=1e-9, atol=1e-12)
    log_density = mixture.handle.density(GEYSER).log_density
    np.testing.assert_allclose(log_density, gm.score_samples(GEYSER), rtol=1e-10)
    assert np.array_equal(clusters.handle.predict(GEYSER).labels, km.predict(GEYSER))
    scope["client"].close()


def test_the_client_carries_a_file_over(service: Service, model_name: str, tmp_path: Path) -> None:
    with Client(service.url) as client:
        there = client.model(model_name)
        version = there.import_parameters("kmeans", {"cluster_centers": np.eye(2)}, tags={"a": "b"}, description="x")
        assert (version.version, version.tags, version.description) == (1, {"a": "b"}, "x")
        path = version.handle.download_artifact(tmp_path / "model.safetensors")
        for source in (path, path.read_bytes()):
            version = there.import_artifact(source, alias="champion", tags={"team": "geo"})
            assert (version.tags, version.aliases) == ({"team": "geo"}, ["champion"])
        assert version.lineage is not None
        assert version.lineage["file"] == hashlib.sha256(path.read_bytes()).hexdigest()
        assert [v.version for v in there.versions(tags={"team": "geo"})] == [3, 2]
        assert [v.version for v in there.versions(tags={"team": None}, alias=["champion"])] == [3]
        assert [m.name for m in client.models(tags={"a": "b"}, alias="champion") if m.name == model_name]
