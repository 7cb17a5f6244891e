"""Fits over HTTP, by the contract's words, against a real service on either database."""

import json
import time
from typing import Any

import httpx
import numpy as np
import pytest

from tests.app.api.geyser import GEYSER, fit, fit_document
from tests.service import FAITHFUL


def test_a_fit_is_accepted_then_succeeds(http: httpx.Client, model_name: str) -> None:
    answer = http.post("/v1/fits", json=fit_document(model_name))
    job = answer.json()
    assert answer.status_code == 202
    assert answer.headers["location"] == f"/v1/jobs/{job['id']}"
    assert answer.headers["retry-after"] == "1"
    assert set(job) == {
        *("id", "kind", "status", "model", "progress", "result", "error", "attempts", "request"),
        *("created_at", "started_at", "finished_at"),
    }
    assert (job["kind"], job["status"], job["model"], job["progress"]) == ("fit", "queued", model_name, None)
    until = time.monotonic() + 30
    while job["status"] in ("queued", "running") and time.monotonic() < until:
        time.sleep(0.02)
        job = http.get(answer.headers["location"]).json()
    assert job["status"] == "succeeded"
    assert job["attempts"] == 1
    assert job["result"]["model"] == model_name
    assert job["result"]["version"] == 1
    assert set(job["result"]["metrics"]) >= {
        *("log_likelihood", "mean_log_likelihood", "aic", "bic", "n_parameters", "n_iter", "converged"),
        *("lower_bounds", "weights"),
    }
    assert job["created_at"] <= job["started_at"] <= job["finished_at"]
    assert job["created_at"].endswith("Z")
    assert job["progress"]["fraction"] == 1.0


def test_a_wait_holds_the_answer(http: httpx.Client, model_name: str) -> None:
    answer = http.post("/v1/fits", json=fit_document(model_name), headers={"Prefer": "respond-async, wait=30"})
    assert answer.status_code == 200
    assert answer.headers["preference-applied"] == "wait=30"
    again = http.get(f"/v1/jobs/{answer.json()['id']}", headers={"Prefer": "wait=5"})
    assert again.headers["preference-applied"] == "wait=5"
    assert again.json() == answer.json()


def test_a_wait_that_is_too_short_is_a_202(http: httpx.Client, model_name: str) -> None:
    slow = fit_document(model_name, params={"n_components": 8, "n_init": 2000, "tol": 0, "random_state": 0})
    answer = http.post("/v1/fits", json=slow, headers={"Prefer": "wait=1"})
    assert answer.status_code == 202
    assert answer.json()["status"] in ("queued", "running")
    assert http.post(f"/v1/jobs/{answer.json()['id']}/cancel").json()["status"] == "cancelled"


def test_versions_count_from_one(http: httpx.Client, model_name: str) -> None:
    assert [fit(http, model_name)["result"]["version"] for _ in range(3)] == [1, 2, 3]
    model = http.get(f"/v1/models/{model_name}").json()
    assert [version["version"] for version in model["versions"]] == [3, 2, 1]
    assert model["latest_version"] == 3


def test_the_result_is_scikit_learns(http: httpx.Client, model_name: str) -> None:
    from sklearn.mixture import GaussianMixture

    start = [[2.0, 55.0], [4.3, 80.0]]
    params = {"n_components": 2, "means_init": start, "weights_init": [0.4, 0.6], "random_state": 0, "tol": 1e-8}
    job = fit(http, model_name, params=params | {"max_iter": 500})
    theirs = GaussianMixture(2, means_init=start, weights_init=[0.4, 0.6], random_state=0, tol=1e-8, max_iter=500)
    theirs.fit(GEYSER)
    metrics = job["result"]["metrics"]
    assert metrics["mean_log_likelihood"] == pytest.approx(theirs.score(GEYSER), rel=1e-8)
    assert metrics["bic"] == pytest.approx(theirs.bic(GEYSER), rel=1e-8)
    assert metrics["n_parameters"] == 11
    parameters = http.get(f"/v1/models/{model_name}/versions/1/parameters").json()
    assert np.allclose(parameters["means"], theirs.means_, rtol=1e-4)
    assert np.allclose(parameters["covariances"], theirs.covariances_, rtol=1e-3)


def test_k_means(http: httpx.Client, model_name: str) -> None:
    from sklearn.cluster import KMeans

    params = {"n_clusters": 2, "init": [[2.0, 55.0], [4.3, 80.0]]}
    job = fit(http, model_name, algorithm="kmeans", params=params)
    theirs = KMeans(2, init=np.array(params["init"]), n_init=1).fit(GEYSER)
    metrics = job["result"]["metrics"]
    assert metrics["inertia"] == pytest.approx(theirs.inertia_, rel=1e-10)
    assert sum(metrics["sizes"]) == len(GEYSER)
    parameters = http.get(f"/v1/models/{model_name}/versions/latest/parameters").json()
    assert np.allclose(parameters["cluster_centers"], theirs.cluster_centers_)


def test_mini_batch_k_means(http: httpx.Client, model_name: str) -> None:
    from core import KMeans

    params = {"n_clusters": 2, "batch_size": 64, "max_no_improvement": None, "max_iter": 30, "random_state": 0}
    job = fit(http, model_name, algorithm="minibatch_kmeans", params=params)
    metrics = job["result"]["metrics"]
    best = KMeans(2, random_state=0).fit(GEYSER)
    assert best.inertia_ <= metrics["inertia"] < 1.02 * best.inertia_
    assert sum(metrics["sizes"]) == len(GEYSER)
    # Without the smoothed inertia to stop it, all batches of 30 passes are learned from.
    assert metrics["n_iter"] == 30
    assert len(metrics["inertias"]) == 30 * len(GEYSER) // 64
    labels = http.post(f"/v1/models/{model_name}/predict", json={"instances": GEYSER.tolist()}).json()["labels"]
    assert len(set(labels)) == 2
    again = fit(http, model_name, algorithm="minibatch_kmeans", params=params)
    assert again["result"]["metrics"] == metrics


def test_csv_fits_what_json_fits(http: httpx.Client, model_name: str) -> None:
    by_json = fit(http, model_name)
    query = {"model": model_name, "algorithm": "gaussian_mixture", "params.n_components": 2, "params.random_state": 0}
    headers = {"Prefer": "wait=30", "Content-Type": "text/csv"}
    answer = http.post("/v1/fits", params=query, content=FAITHFUL.read_bytes(), headers=headers)
    assert answer.status_code == 200, answer.text
    assert answer.json()["result"]["metrics"] == by_json["result"]["metrics"]
    assert answer.json()["request"]["data"]["dataset"] == by_json["request"]["data"]["dataset"]


def test_a_stored_dataset_fits_what_inline_rows_fit(http: httpx.Client, model_name: str) -> None:
    inline = fit(http, model_name)
    headers = {"Content-Type": "text/csv"}
    http.post(f"/v1/datasets?name={model_name}", content=FAITHFUL.read_bytes(), headers=headers).raise_for_status()
    stored = fit(http, model_name, data={"dataset": model_name})
    assert stored["result"]["metrics"] == inline["result"]["metrics"]
    one = fit(http, model_name, data={"dataset": model_name, "features": ["waiting"]})
    assert http.get(f"/v1/models/{model_name}/versions/{one['result']['version']}").json()["feature_names"] == [
        "waiting"
    ]


def test_weights_are_repetitions(http: httpx.Client, model_name: str) -> None:
    params = {"n_components": 2, "means_init": [[2.0, 55.0], [4.3, 80.0]], "weights_init": [0.4, 0.6], "tol": 1e-9}
    params |= {"precisions_init": [[[1.0, 0.0], [0.0, 0.01]]] * 2}
    weights = [1 + i % 3 for i in range(len(GEYSER))]
    weighted = fit(http, model_name, params=params, data={"instances": GEYSER.tolist(), "sample_weight": weights})
    repeated = np.repeat(GEYSER, weights, axis=0).tolist()
    plain = fit(http, model_name, params=params, data={"instances": repeated})
    ours, theirs = weighted["result"]["metrics"], plain["result"]["metrics"]
    assert ours["log_likelihood"] == pytest.approx(theirs["log_likelihood"], rel=1e-10)
    assert ours["weights"] == pytest.approx(theirs["weights"], rel=1e-9)


def test_labels_make_a_supervised_fit(http: httpx.Client, model_name: str) -> None:
    labels = ["long" if eruption > 3 else "short" for eruption, _ in GEYSER]
    job = fit(http, model_name, params={}, data={"instances": GEYSER.tolist(), "labels": labels})
    metrics = job["result"]["metrics"]
    assert metrics["component_labels"] == ["long", "short"]
    parameters = http.get(f"/v1/models/{model_name}/versions/1/parameters").json()
    long = GEYSER[GEYSER[:, 0] > 3]
    assert np.allclose(parameters["means"][0], long.mean(axis=0))
    assert np.allclose(parameters["covariances"][0], np.cov(long.T, bias=True), rtol=1e-4)
    assert parameters["weights"][0] == pytest.approx(len(long) / len(GEYSER))


@pytest.mark.parametrize("preprocess", [{"scale": "standard"}, {"pca": 2}, {"scale": "standard", "pca": 0.5}])
def test_callers_speak_in_original_features(http: httpx.Client, model_name: str, preprocess: dict[str, Any]) -> None:
    fit(http, model_name, preprocess=preprocess)
    answer = http.get(f"/v1/models/{model_name}/versions/1/parameters").json()
    whole = preprocess.get("pca") != 0.5
    assert answer["space"] == ("original" if whole else "preprocessed")
    sample = http.post(f"/v1/models/{model_name}/sample", json={"n_samples": 4000, "random_state": 1}).json()
    drawn = np.array(sample["instances"])
    assert drawn.shape == (4000, 2)
    assert np.allclose(drawn.mean(axis=0), GEYSER.mean(axis=0), rtol=0.05)
    if whole:
        mean = np.average(answer["means"], axis=0, weights=answer["weights"])
        assert np.allclose(mean, GEYSER.mean(axis=0), rtol=1e-6)


def test_scaling_does_not_change_the_density(http: httpx.Client, model_name: str) -> None:
    params = {"n_components": 1, "reg_covar": 0}
    plain = fit(http, model_name, params=params)
    scaled = fit(http, model_name, params=params, preprocess={"scale": "standard", "pca": 2})
    for metric in ("log_likelihood", "bic", "aic"):
        assert plain["result"]["metrics"][metric] == pytest.approx(scaled["result"]["metrics"][metric], rel=1e-9)


def test_large_labels_keep_their_digits(http: httpx.Client, model_name: str) -> None:
    lines = ["x,g", *(f"{i % 7},{1234567 + i % 2}" for i in range(20))]
    url = f"/v1/datasets?name={model_name}"
    http.post(url, content="\n".join(lines).encode(), headers={"Content-Type": "text/csv"}).raise_for_status()
    job = fit(http, model_name, params={}, data={"dataset": model_name, "labels": "g"})
    assert job["result"]["metrics"]["component_labels"] == ["1234567", "1234568"]


def test_an_alias_arrives_with_its_version(http: httpx.Client, model_name: str) -> None:
    fit(http, model_name, alias="champion", tags={"team": "geo"}, description="eruption regimes")
    version = http.get(f"/v1/models/{model_name}/versions/champion").json()
    assert version["aliases"] == ["champion"]
    assert version["tags"] == {"team": "geo"}
    assert version["description"] == "eruption regimes"
    assert version["anomaly"]["contamination"] == 0.01
    assert version["n_samples"] == len(GEYSER)
    assert version["n_features"] == 2
    history = http.get(f"/v1/models/{model_name}/aliases/champion/history").json()["items"]
    assert [(move["from"], move["to"], move["by"]) for move in history] == [(None, 1, "fit")]


def test_events_end_with_the_job_and_resume(http: httpx.Client, model_name: str) -> None:
    job = http.post("/v1/fits", json=fit_document(model_name)).json()
    with http.stream("GET", f"/v1/jobs/{job['id']}/events") as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        text = answer.read().decode()
    events = [dict(line.split(": ", 1) for line in block.splitlines()) for block in text.strip().split("\n\n")]
    assert [event["event"] for event in events[:-1]] == ["progress"] * (len(events) - 1)
    assert len(events) >= 2
    assert events[-1]["event"] == "succeeded"
    assert json.loads(events[-1]["data"])["result"]["version"] == 1
    assert json.loads(events[-2]["data"])["lower_bound"] is not None
    ids = [int(event["id"]) for event in events]
    assert ids == sorted(set(ids))
    last = http.get(f"/v1/jobs/{job['id']}/events", headers={"Last-Event-ID": str(ids[-2])}).text
    assert last.count("event: ") == 1
    assert "event: succeeded" in last
    assert http.get(f"/v1/jobs/{job['id']}/events", headers={"Last-Event-ID": str(ids[-1])}).text == ""


def test_cancel_is_idempotent_and_refused_after_the_end(http: httpx.Client, model_name: str) -> None:
    slow = fit_document(model_name, params={"n_components": 8, "n_init": 5000, "tol": 0, "random_state": 0})
    job = http.post("/v1/fits", json=slow).json()
    while http.get(f"/v1/jobs/{job['id']}").json()["status"] == "queued":
        time.sleep(0.02)
    for _ in range(2):
        answer = http.post(f"/v1/jobs/{job['id']}/cancel")
        assert answer.status_code == 200
        assert answer.json()["status"] == "cancelled"
    done = fit(http, model_name)
    assert done["result"]["version"] == 1  # the cancelled fit left none
    answer = http.post(f"/v1/jobs/{done['id']}/cancel")
    assert answer.status_code == 409
    assert answer.json()["type"] == "/problems/conflict"


def test_a_timeout_ends_the_job(http: httpx.Client, model_name: str) -> None:
    slow = fit_document(model_name, params={"n_components": 8, "n_init": 5000, "tol": 0, "random_state": 0})
    answer = http.post("/v1/fits", json=slow | {"timeout_s": 0.5}, headers={"Prefer": "wait=20"}).json()
    assert answer["status"] == "failed"
    assert answer["error"]["type"] == "/problems/timeout"
    assert "0.5 s" in answer["error"]["detail"]


def test_a_collapsed_component_is_named(http: httpx.Client, model_name: str) -> None:
    rows = [[0.0, 1.0]] * 10 + [[5.0, 1.0]] * 10
    document = fit_document(model_name, data={"instances": rows}, params={"n_components": 2, "reg_covar": 0})
    answer = http.post("/v1/fits", json=document, headers={"Prefer": "wait=20"}).json()
    assert answer["status"] == "failed"
    assert answer["error"]["type"] == "/problems/collapsed-component"


def test_the_same_key_is_the_same_fit(http: httpx.Client, model_name: str) -> None:
    headers = {"Idempotency-Key": f"key-{model_name}"}
    first = http.post("/v1/fits", json=fit_document(model_name), headers=headers)
    http.get(f"/v1/jobs/{first.json()['id']}", headers={"Prefer": "wait=20"})
    again = http.post("/v1/fits", json=fit_document(model_name), headers=headers)
    assert "idempotency-replayed" not in first.headers
    assert again.headers["idempotency-replayed"] == "true"
    assert (again.status_code, again.json(), again.headers["location"]) == (
        first.status_code,
        first.json(),
        first.headers["location"],
    )
    other = http.post("/v1/fits", json=fit_document(model_name, priority=1), headers=headers)
    assert other.status_code == 422
    assert other.json()["type"] == "/problems/idempotency-key-reused"
    waited = http.post("/v1/fits", json=fit_document(model_name), headers=headers | {"Prefer": "wait=20"})
    assert (waited.status_code, waited.json()["id"]) == (200, first.json()["id"])
    assert http.get("/v1/jobs", params={"model": model_name}).json()["items"][1:] == []
