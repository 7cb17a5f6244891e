"""The client itself: datasets, fits, jobs and models of one service."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Self

import httpx
from numpy.typing import NDArray

from app.client.http import Http
from app.client.jobs import Job
from app.client.models import Model, ModelInfo, Ref, registry_filter
from app.client.records import Dataset, DatasetSummary, FeatureSummary, read
from app.client.rows import Rows, Source, file_body, instances, json_body

__all__ = ["Client"]


class Client:
    """A synchronous client of one Mixtura service; a context manager that closes its connections.

    Requests are tried again, `retries` times, when the service is busy (503 with `Retry-After`) and when the
    connection fails; a creation can be, since it carries an `Idempotency-Key`. Errors are MixturaError.

        with Client() as client:
            version = client.fit("geyser", instances=X, params={"n_components": 2}).wait()
            version.handle.predict(X).labels
    """

    def __init__(
        self,
        url: str = "http://127.0.0.1:8000",
        *,
        api_key: str | None = None,
        timeout: float = 30.0,
        retries: int = 5,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._http = Http(url, api_key=api_key, timeout=timeout, retries=retries, transport=transport)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes the connections; those of the jobs and models that this client gave are the same ones."""
        self._http.close()

    def upload(self, data: Source, *, name: str | None = None, feature_names: Sequence[str] | None = None) -> Dataset:
        """Stores rows: a file, streamed from the disk, the bytes of a CSV, or rows themselves.

        `feature_names` go with rows; a file has names of its own. The same bytes twice are one dataset.
        """
        if isinstance(data, bytes | str | os.PathLike):
            if feature_names is not None:
                raise ValueError("feature_names go with rows; the header of a file names its features")
            body = file_body(data)
        else:
            body = json_body(_given(instances=instances(data), feature_names=feature_names))
        answer = self._http.json("POST", "/v1/datasets", params={"name": name}, body=body, creates=True)
        return read(Dataset, answer)

    def datasets(self, *, limit: int | None = None) -> Iterator[Dataset]:
        """All datasets, newest first, `limit` to a page."""
        for payload in self._http.pages("/v1/datasets", {"limit": limit}):
            yield read(Dataset, payload)

    def dataset(self, id: str) -> Dataset:
        """One dataset."""
        return read(Dataset, self._http.json("GET", f"/v1/datasets/{id}"))

    def dataset_summary(self, id: str) -> DatasetSummary:
        """Count, missing, mean, spread and quartiles of each feature."""
        answer = self._http.json("GET", f"/v1/datasets/{id}/summary")
        return DatasetSummary([read(FeatureSummary, feature) for feature in answer["features"]])

    def delete_dataset(self, id: str) -> None:
        """Removes a dataset; raises Conflict while a job that has not ended uses it."""
        self._http.send("DELETE", f"/v1/datasets/{id}")

    def fit(
        self,
        model: str,
        *,
        instances: Rows | None = None,
        dataset: Dataset | str | None = None,
        feature_names: Sequence[str] | None = None,
        features: Sequence[str] | None = None,
        sample_weight: Sequence[float] | NDArray[Any] | str | None = None,
        labels: Sequence[Any] | NDArray[Any] | str | None = None,
        algorithm: str = "gaussian_mixture",
        params: Mapping[str, Any] | None = None,
        preprocess: Mapping[str, Any] | None = None,
        anomaly: Mapping[str, Any] | None = None,
        alias: str | None = None,
        tags: Mapping[str, str] | None = None,
        description: str | None = None,
        timeout_s: float | None = None,
        priority: int | None = None,
    ) -> Job:
        """Starts a fit and returns its job at once: `fit(...).wait()` is the fitted version.

        The rows are `instances` (with `feature_names`, and a weight and a label each), or a stored `dataset`,
        of which `features` picks columns and `sample_weight` and `labels` name one each. `params` have
        scikit-learn's names. The service refuses what is wrong before the job exists: InvalidRequest.
        """
        body = _given(
            model=model,
            algorithm=algorithm,
            params=params,
            data=_data(instances, dataset, feature_names, features, sample_weight, labels),
            preprocess=preprocess,
            anomaly=anomaly,
            alias=alias,
            tags=tags,
            description=description,
            timeout_s=timeout_s,
            priority=priority,
        )
        return Job.of(self._http.json("POST", "/v1/fits", body=json_body(body), creates=True), self._http)

    def jobs(
        self,
        *,
        status: str | Sequence[str] | None = None,
        kind: str | Sequence[str] | None = None,
        model: str | Sequence[str] | None = None,
        limit: int | None = None,
    ) -> Iterator[Job]:
        """Jobs, newest first; several values of a filter are alternatives."""
        params = {"status": _any(status), "kind": _any(kind), "model": _any(model), "limit": limit}
        for payload in self._http.pages("/v1/jobs", params):
            yield Job.of(payload, self._http)

    def job(self, id: str) -> Job:
        """One job."""
        return Job.of(self._http.json("GET", f"/v1/jobs/{id}"), self._http)

    def models(
        self,
        *,
        tags: Mapping[str, str | None] | None = None,
        alias: str | Sequence[str] | None = None,
        limit: int | None = None,
    ) -> Iterator[ModelInfo]:
        """Models, newest first, `limit` to a page: with all the tags (None: any value), and one of the aliases."""
        for payload in self._http.pages("/v1/models", {**registry_filter(tags, alias), "limit": limit}):
            yield read(ModelInfo, payload)

    def model(self, name: str, version: Ref | None = None) -> Model:
        """A handle on a model, or on one version (a number, an alias, `latest`); it asks nothing yet."""
        return Model(name, version, self._http)


def _data(
    rows: Rows | None,
    dataset: Dataset | str | None,
    feature_names: Sequence[str] | None,
    features: Sequence[str] | None,
    sample_weight: Any,
    labels: Any,
) -> dict[str, Any]:
    if (rows is None) == (dataset is None):
        raise ValueError("a fit takes its rows from instances or from a dataset: give one of the two")
    source: dict[str, Any]
    if rows is not None:
        source = {"instances": instances(rows), "feature_names": feature_names}
    else:
        source = {"dataset": dataset.id if isinstance(dataset, Dataset) else dataset, "features": features}
    return _given(**source, sample_weight=sample_weight, labels=labels)


def _given(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _any(values: str | Sequence[str] | None) -> str | None:
    return values if values is None or isinstance(values, str) else ",".join(values)
