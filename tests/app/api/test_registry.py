"""Models, versions, aliases and files over HTTP."""

import hashlib
import platform

import httpx
import numpy as np
import pytest
import scipy
from safetensors.numpy import load

from tests.app.api.geyser import GEYSER, fit
from tests.app.api.test_bad_input import assert_problem

PREDICT = {"instances": GEYSER[:3].tolist()}


def test_a_version_tells_all_of_itself(http: httpx.Client, model_name: str) -> None:
    job = fit(http, model_name)
    version = http.get(f"/v1/models/{model_name}/versions/1").json()
    assert set(version) >= {
        *("model", "version", "algorithm", "params", "feature_names", "n_features", "n_samples", "metrics"),
        *("anomaly", "preprocess", "dataset", "job", "artifact", "created_at", "tags", "aliases"),
    }
    assert version["job"] == job["id"]
    assert version["metrics"] == job["result"]["metrics"]
    assert version["params"]["n_components"] == 2
    assert version["params"]["covariance_type"] == "full"
    assert http.get(f"/v1/datasets/{version['dataset']}").json()["n_rows"] == len(GEYSER)
    assert http.get(f"/v1/models/{model_name}/versions").json()["items"] == [version]


def test_the_file_is_safetensors_and_its_etag_its_hash(http: httpx.Client, model_name: str) -> None:
    fit(http, model_name)
    told = http.get(f"/v1/models/{model_name}/versions/1").json()["artifact"]
    answer = http.get(f"/v1/models/{model_name}/versions/1/artifact")
    assert hashlib.sha256(answer.content).hexdigest() == told["sha256"]
    assert answer.headers["etag"] == f'"{told["sha256"]}"'
    assert len(answer.content) == told["bytes"]
    arrays = load(answer.content)
    parameters = http.get(f"/v1/models/{model_name}/versions/1/parameters").json()
    assert arrays["model/means"].tolist() == parameters["means"]
    unchanged = http.get(answer.request.url.path, headers={"If-None-Match": answer.headers["etag"]})
    assert (unchanged.status_code, unchanged.content) == (304, b"")


def test_where_a_version_comes_from_outlives_its_dataset(http: httpx.Client, model_name: str) -> None:
    sent = "a,b,w\n" + "".join(f"{i},{i * i % 7},{i % 3 + 1}\n" for i in range(40)) + f"3,4,{len(model_name)}\n"
    dataset = http.post("/v1/datasets", content=sent, headers={"Content-Type": "text/csv"}).json()
    data = {"dataset": dataset["id"], "features": ["b", "a"], "sample_weight": "w"}
    job = fit(http, model_name, data=data)
    http.delete(f"/v1/datasets/{dataset['id']}").raise_for_status()
    version = http.get(f"/v1/models/{model_name}/versions/1").json()
    assert version["job"] == job["id"]
    lineage = version["lineage"]
    assert lineage["origin"] == "fit"
    assert lineage["dataset"] == {
        "id": dataset["id"],
        "sha256": hashlib.sha256(sent.encode()).hexdigest(),
        "features": ["b", "a"],
        "sample_weight": "w",
        "labels": None,
    }
    libraries = {"python": platform.python_version(), "numpy": np.__version__, "scipy": scipy.__version__}
    assert lineage["libraries"] == libraries | {"mixtura": http.get("/openapi.json").json()["info"]["version"]}


def test_aliases_move_and_remember(http: httpx.Client, model_name: str) -> None:
    for _ in range(2):
        fit(http, model_name)
    path = f"/v1/models/{model_name}/aliases/champion"
    first = http.put(path, json={"version": 1})
    assert first.status_code == 200
    assert first.json()["version"] == 1
    same = http.put(path, json={"version": 1}, headers={"If-Match": first.headers["etag"]})
    assert same.headers["etag"] == first.headers["etag"]
    moved = http.put(path, json={"version": 2}, headers={"If-Match": first.headers["etag"]})
    assert moved.status_code == 200
    assert moved.headers["etag"] != first.headers["etag"]
    stale = http.put(path, json={"version": 1}, headers={"If-Match": first.headers["etag"]})
    assert stale.status_code == 412
    assert assert_problem(stale)["type"] == "/problems/precondition-failed"
    assert http.get(path).json()["version"] == 2
    assert http.get(path).headers["etag"] == moved.headers["etag"]
    assert http.delete(path, headers={"If-Match": first.headers["etag"]}).status_code == 412
    assert http.delete(path).status_code == 204
    assert http.get(path).status_code == 404
    back = http.put(path, json={"version": 1})
    assert back.headers["etag"] not in (first.headers["etag"], moved.headers["etag"])
    history = http.get(f"{path}/history").json()["items"]
    assert [(move["from"], move["to"]) for move in history] == [(None, 1), (2, None), (1, 2), (None, 1)]
    assert {move["by"] for move in history} == {"anonymous"}
    assert all(move["at"].endswith("Z") for move in history)


def test_if_match_star_needs_something_to_match(http: httpx.Client, model_name: str) -> None:
    fit(http, model_name)
    path = f"/v1/models/{model_name}/aliases/champion"
    assert http.put(path, json={"version": 1}, headers={"If-Match": "*"}).status_code == 412
    http.put(path, json={"version": 1}).raise_for_status()
    assert http.put(path, json={"version": 1}, headers={"If-Match": "*"}).status_code == 200


def test_what_an_alias_points_at_stays(http: httpx.Client, model_name: str) -> None:
    fit(http, model_name, alias="champion")
    fit(http, model_name)
    for path in (f"/v1/models/{model_name}/versions/1", f"/v1/models/{model_name}"):
        answer = http.delete(path)
        assert answer.status_code == 409
        assert assert_problem(answer)["type"] == "/problems/version-in-use"
        assert "champion" in answer.json()["detail"]
    assert http.post(f"/v1/models/{model_name}/versions/1/predict", json=PREDICT).status_code == 200
    http.delete(f"/v1/models/{model_name}/aliases/champion").raise_for_status()
    assert http.delete(f"/v1/models/{model_name}/versions/1").status_code == 204
    assert http.post(f"/v1/models/{model_name}/versions/1/predict", json=PREDICT).status_code == 404
    assert fit(http, model_name)["result"]["version"] == 3
    assert http.delete(f"/v1/models/{model_name}").status_code == 204
    assert http.get(f"/v1/models/{model_name}").status_code == 404
    assert http.post(f"/v1/models/{model_name}/predict", json=PREDICT).status_code == 404


def test_a_deleted_number_is_never_given_again(http: httpx.Client, model_name: str) -> None:
    for _ in range(2):
        fit(http, model_name)
    http.delete(f"/v1/models/{model_name}/versions/latest").raise_for_status()
    assert fit(http, model_name)["result"]["version"] == 3


def test_a_model_is_described(http: httpx.Client, model_name: str) -> None:
    fit(http, model_name, description="first", tags={"team": "geo"})
    path = f"/v1/models/{model_name}"
    model = http.get(path)
    assert (model.json()["description"], model.json()["tags"]) == ("first", {"team": "geo"})
    changed = http.patch(path, json={"description": "second"}, headers={"If-Match": model.headers["etag"]})
    assert changed.status_code == 200
    assert (changed.json()["description"], changed.json()["tags"]) == ("second", {"team": "geo"})
    assert http.patch(path, json={"tags": {}}).json()["tags"] == {}
    assert http.patch(path, json={"description": None}).json()["description"] is None
    stale = http.patch(path, json={"tags": {}}, headers={"If-Match": model.headers["etag"]})
    assert stale.status_code == 412
    assert http.patch(path, json={"name": "x"}).status_code == 422


@pytest.mark.parametrize("path", ["/v1/models/{}/versions", "/v1/jobs?model={}"])
def test_pages_follow_each_other(http: httpx.Client, model_name: str, path: str) -> None:
    for _ in range(5):
        fit(http, model_name, algorithm="kmeans", params={"n_clusters": 2, "random_state": 0})
    path = path.format(model_name)
    whole = http.get(path).json()
    assert whole["next"] is None
    assert len(whole["items"]) == 5
    seen, url = [], path + ("&" if "?" in path else "?") + "limit=2"
    while url:
        answer = http.get(url)
        seen.append(answer.json()["items"])
        link = answer.links.get("next", {}).get("url", "")
        assert (answer.json()["next"] is None) == (link == "")
        url = link
    assert [len(items) for items in seen] == [2, 2, 1]
    assert [item for items in seen for item in items] == whole["items"]


def test_models_are_listed_newest_first(http: httpx.Client, model_name: str) -> None:
    for suffix in "ab":
        fit(http, model_name + suffix)
    items = http.get("/v1/models?limit=2").json()["items"]
    assert [item["name"] for item in items] == [model_name + "b", model_name + "a"]


def test_lists_are_filtered_by_tag_and_alias(http: httpx.Client, model_name: str) -> None:
    kmeans = {"algorithm": "kmeans", "params": {"n_clusters": 2, "random_state": 0}}
    tag = f"run:{model_name}"
    for i in range(3):
        tags = {"run": model_name, "note": "a, b: c", "half": str(i % 2)}
        fit(http, f"{model_name}-{i}", tags=tags, alias=f"a{i}", **kmeans)
    fit(http, f"{model_name}-0", tags={"run": "second"}, alias="b", **kmeans)

    def names(*query: tuple[str, str], path: str = "/v1/models") -> list[str]:
        items = http.get(path, params=query).raise_for_status().json()["items"]
        return [item["name"].removeprefix(f"{model_name}-") for item in items]

    assert names(("tag", tag)) == ["2", "1", "0"]
    assert names(("tag", tag), ("tag", "half:0")) == ["2", "0"]
    assert names(("tag", tag), ("tag", "half"), ("tag", "note:a, b: c")) == ["2", "1", "0"]
    assert names(("tag", tag), ("tag", "note:a")) == []
    assert names(("tag", tag), ("alias", "a1,a2,nobody")) == ["2", "1"]
    assert names(("tag", tag), ("alias", "b")) == ["0"]
    first = http.get("/v1/models", params=[("tag", tag), ("tag", "half:0"), ("limit", "1")])
    following = http.get(first.links["next"]["url"]).json()
    assert [item["name"] for item in following["items"]] == [f"{model_name}-0"]
    assert following["next"] is None

    def numbers(**query: str) -> list[int]:
        items = http.get(f"/v1/models/{model_name}-0/versions", params=query).json()["items"]
        return [item["version"] for item in items]

    assert numbers(tag="run") == [2, 1]
    assert numbers(tag="run:second") == [2]
    assert numbers(alias="a0") == [1]
    assert numbers(alias="a0,b") == [2, 1]
    assert numbers(alias="a0", tag="run:second") == []


@pytest.mark.parametrize("query", ["tag=", "tag=:geo", "tag=a%20b:c", "tag=a:%00", "alias=A", "alias=", "tags=a:b"])
def test_a_filter_that_is_none_is_refused(http: httpx.Client, query: str) -> None:
    answer = http.get(f"/v1/models?{query}")
    assert answer.status_code == 422
    assert assert_problem(answer)["errors"][0]["pointer"].startswith(f"/query/{query.partition('=')[0]}")
