"""Every verb over HTTP, held against scipy and scikit-learn on the parameters that the service publishes."""

from typing import Any

import httpx
import numpy as np
import pytest
from scipy.spatial.distance import cdist, mahalanobis
from scipy.stats import multivariate_normal
from sklearn import metrics

from tests.app.api.geyser import GEYSER, NAMES, fit

ROWS = GEYSER[:50]


@pytest.fixture(scope="module")
def mixture(service: Any) -> str:
    with service.client() as http:
        fit(http, "served-mixture", preprocess={"scale": "standard"}, anomaly={"contamination": 0.04})
    return "served-mixture"


@pytest.fixture(scope="module")
def kmeans(service: Any) -> str:
    with service.client() as http:
        fit(http, "served-kmeans", algorithm="kmeans", params={"n_clusters": 3, "random_state": 0})
    return "served-kmeans"


def ask(http: httpx.Client, model: str, verb: str, **body: Any) -> dict[str, Any]:
    body = {"instances": ROWS.tolist()} | body if verb != "sample" else body
    answer = http.post(f"/v1/models/{model}/{verb}", json=body)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    assert found.pop("model") == {"name": model, "version": 1}
    return found


def parameters(http: httpx.Client, model: str) -> dict[str, Any]:
    found: dict[str, Any] = http.get(f"/v1/models/{model}/versions/1/parameters").json()
    assert found["feature_names"] == NAMES
    return found


def log_densities(http: httpx.Client, model: str, X: np.ndarray) -> np.ndarray:
    """Weighted log densities (n, k) of the published parameters, by scipy."""
    told = parameters(http, model)
    parts = zip(told["weights"], told["means"], told["covariances"], strict=True)
    return np.column_stack([np.log(w) + multivariate_normal(m, c).logpdf(X) for w, m, c in parts])


def test_probabilities_and_labels(http: httpx.Client, mixture: str) -> None:
    weighted = log_densities(http, mixture, ROWS)
    expected = np.exp(weighted - np.logaddexp.reduce(weighted, axis=1)[:, None])
    found = ask(http, mixture, "predict_proba")
    assert np.allclose(found["probabilities"], expected, atol=1e-12)
    assert np.allclose(np.sum(found["probabilities"], axis=1), 1)
    entropy = -(expected * np.log(expected)).sum(axis=1) / np.log(2)
    assert np.allclose(found["ambiguity"], entropy, atol=1e-10)
    assert ask(http, mixture, "predict")["labels"] == expected.argmax(axis=1).tolist()


def test_density_is_in_original_features(http: httpx.Client, mixture: str) -> None:
    expected = np.logaddexp.reduce(log_densities(http, mixture, ROWS), axis=1)
    found = ask(http, mixture, "density")
    assert np.allclose(found["log_density"], expected, rtol=1e-10)
    assert np.allclose(found["density"], np.exp(expected), rtol=1e-8)


def test_transform_gives_mahalanobis_distances(http: httpx.Client, mixture: str) -> None:
    told = parameters(http, mixture)
    expected = [
        [mahalanobis(row, m, np.linalg.inv(c)) for m, c in zip(told["means"], told["covariances"], strict=True)]
        for row in ROWS
    ]
    assert np.allclose(ask(http, mixture, "transform")["distances"], expected)


def test_k_means_verbs(http: httpx.Client, kmeans: str) -> None:
    centers = np.array(parameters(http, kmeans)["cluster_centers"])
    distances = cdist(ROWS, centers)
    assert np.allclose(ask(http, kmeans, "transform")["distances"], distances)
    assert ask(http, kmeans, "predict")["labels"] == distances.argmin(axis=1).tolist()
    flags = ask(http, kmeans, "anomaly", threshold=5.0)
    assert np.allclose(flags["score"], distances.min(axis=1))
    assert flags["is_anomaly"] == (distances.min(axis=1) > 5.0).tolist()
    for verb, body in (("predict_proba", {}), ("density", {}), ("sample", {"n_samples": 2})):
        answer = http.post(f"/v1/models/{kmeans}/{verb}", json=body or {"instances": ROWS.tolist()})
        assert answer.status_code == 422
        assert answer.json()["type"] == "/problems/unsupported-operation"
        assert verb in answer.json()["detail"]


@pytest.mark.parametrize("contamination", [None, 0.01, 0.1, 0.5])
def test_contamination_flags_that_fraction_of_the_training_rows(
    http: httpx.Client, mixture: str, contamination: float | None
) -> None:
    options = {} if contamination is None else {"contamination": contamination}
    found = ask(http, mixture, "anomaly", instances=GEYSER.tolist(), **options)
    score = -np.logaddexp.reduce(log_densities(http, mixture, GEYSER), axis=1)
    assert np.allclose(found["score"], score, rtol=1e-10)
    assert found["threshold"] == pytest.approx(np.quantile(score, 1 - (contamination or 0.04)), rel=1e-9)
    assert found["is_anomaly"] == [value > found["threshold"] for value in found["score"]]
    assert found["n_flagged"] == sum(found["is_anomaly"])
    assert found["n_flagged"] == pytest.approx((contamination or 0.04) * len(GEYSER), abs=1)
    assert found["p_value"] is None
    assert found["warnings"] == []


def test_a_threshold_is_taken_at_its_word(http: httpx.Client, mixture: str) -> None:
    scores = ask(http, mixture, "anomaly")["score"]
    middle = sorted(scores)[25]
    found = ask(http, mixture, "anomaly", threshold=middle)
    assert found["threshold"] == middle
    assert found["is_anomaly"] == [score > middle for score in scores]  # not ≥


def test_samples_follow_the_published_mixture(http: httpx.Client, mixture: str) -> None:
    found = ask(http, mixture, "sample", n_samples=20_000, random_state=7)
    told = parameters(http, mixture)
    drawn, labels = np.array(found["instances"]), np.array(found["labels"])
    for k in range(2):
        mine = drawn[labels == k]
        n = len(mine)
        assert n / len(drawn) == pytest.approx(told["weights"][k], abs=0.015)
        covariance = np.array(told["covariances"][k])
        error = np.sqrt(np.diag(covariance) / n)
        assert (np.abs(mine.mean(axis=0) - told["means"][k]) < 5 * error).all()
        assert np.allclose(np.cov(mine.T), covariance, rtol=0.1)
    again = ask(http, mixture, "sample", n_samples=20_000, random_state=7)
    assert again == found
    assert ask(http, mixture, "sample", n_samples=5, random_state=8)["instances"] != found["instances"][:5]
    assert len(ask(http, mixture, "sample")["instances"]) == 1


def test_evaluate_a_mixture(http: httpx.Client, mixture: str) -> None:
    truth = ["long" if row[0] > 3 else "short" for row in ROWS]
    found = ask(http, mixture, "evaluate", labels=truth)
    log_density = np.logaddexp.reduce(log_densities(http, mixture, ROWS), axis=1)
    predicted = ask(http, mixture, "predict")["labels"]
    scaled = ROWS / GEYSER.std(axis=0)
    assert found["n_samples"] == 50
    assert found["mean_log_likelihood"] == pytest.approx(log_density.mean(), rel=1e-10)
    assert found["aic"] == pytest.approx(-2 * log_density.sum() + 2 * 11, rel=1e-10)
    assert found["bic"] == pytest.approx(-2 * log_density.sum() + 11 * np.log(50), rel=1e-10)
    assert found["inertia"] is None
    assert found["silhouette"] == pytest.approx(metrics.silhouette_score(scaled, predicted), rel=1e-10)
    assert found["adjusted_rand"] == pytest.approx(metrics.adjusted_rand_score(truth, predicted))
    expected = metrics.normalized_mutual_info_score(truth, predicted)
    assert found["normalized_mutual_info"] == pytest.approx(expected)
    named = [found["mapping"][str(label)] for label in predicted]
    wrong = np.mean([name != true for name, true in zip(named, truth, strict=True)])
    assert found["error_rate"] == pytest.approx(wrong)
    assert set(found["mapping"].values()) == {"long", "short"}


def test_evaluate_k_means(http: httpx.Client, kmeans: str) -> None:
    found = ask(http, kmeans, "evaluate")
    centers = np.array(parameters(http, kmeans)["cluster_centers"])
    assert found["inertia"] == pytest.approx((cdist(ROWS, centers).min(axis=1) ** 2).sum())
    assert (found["mean_log_likelihood"], found["aic"], found["bic"]) == (None, None, None)
    assert "adjusted_rand" not in found
    assert ask(http, kmeans, "evaluate", instances=ROWS[:1].tolist())["silhouette"] is None


def test_silhouette_of_many_rows_is_of_a_sample(http: httpx.Client, kmeans: str) -> None:
    rows = np.random.default_rng(0).normal(size=(10_001, 2)) * GEYSER.std(axis=0) + GEYSER.mean(axis=0)
    found = ask(http, kmeans, "evaluate", instances=rows.tolist())
    assert found["silhouette_rows"] == 10_000
    whole = metrics.silhouette_score(rows, ask(http, kmeans, "predict", instances=rows.tolist())["labels"])
    assert found["silhouette"] == pytest.approx(whole, abs=1e-3)


def test_a_version_answers_like_its_model(http: httpx.Client, mixture: str) -> None:
    expected = http.post(f"/v1/models/{mixture}/density", json={"instances": ROWS.tolist()}).json()
    for reference in ("1", "latest"):
        path = f"/v1/models/{mixture}/versions/{reference}/density"
        assert http.post(path, json={"instances": ROWS.tolist()}).json() == expected


def test_the_alias_default_serves_before_the_latest(http: httpx.Client, model_name: str) -> None:
    fit(http, model_name, alias="default")
    fit(http, model_name, params={"n_components": 3, "random_state": 0})
    body = {"instances": ROWS.tolist()}
    assert http.post(f"/v1/models/{model_name}/predict", json=body).json()["model"]["version"] == 1
    http.put(f"/v1/models/{model_name}/aliases/default", json={"version": 2}).raise_for_status()
    assert http.post(f"/v1/models/{model_name}/predict", json=body).json()["model"]["version"] == 2
    http.delete(f"/v1/models/{model_name}/aliases/default").raise_for_status()
    assert http.post(f"/v1/models/{model_name}/predict", json=body).json()["model"]["version"] == 2


@pytest.mark.parametrize(
    ("verb", "columns"),
    [
        ("predict", ["labels"]),
        ("predict_proba", ["probabilities_0", "probabilities_1", "ambiguity"]),
        ("density", ["log_density", "density"]),
        ("transform", ["distances_0", "distances_1"]),
        ("anomaly", ["score", "is_anomaly"]),
        ("sample", ["eruptions", "waiting", "labels"]),
    ],
)
def test_results_come_as_csv_too(http: httpx.Client, mixture: str, verb: str, columns: list[str]) -> None:
    body = {"n_samples": 50, "random_state": 0} if verb == "sample" else {"instances": ROWS.tolist()}
    path = f"/v1/models/{mixture}/{verb}"
    as_json = http.post(path, json=body).json()
    answer = http.post(path, json=body, headers={"Accept": "text/csv"})
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    head, *lines = answer.text.splitlines()
    assert head.split(",") == columns
    outputs = {"sample": ["instances", "labels"]}.get(verb) or dict.fromkeys(c.split("_0")[0] for c in columns)
    outputs = [output for output in outputs if output in as_json]
    expected = np.column_stack([np.asarray(as_json[output], dtype=object) for output in outputs])
    assert [line.split(",") for line in lines] == [[str(cell).lower() for cell in row] for row in expected]


def test_far_away_nothing_is_nan(http: httpx.Client, mixture: str) -> None:
    far = {"instances": [[1e200, -1e200], [1e308, 1e308]]}
    for verb in ("predict", "predict_proba", "density", "transform", "anomaly"):
        answer = http.post(f"/v1/models/{mixture}/{verb}", json=far)
        assert answer.status_code == 200
        assert "NaN" not in answer.text
    probabilities = http.post(f"/v1/models/{mixture}/predict_proba", json=far).json()["probabilities"]
    assert np.allclose(np.sum(probabilities, axis=1), 1)
