"""Models and their versions: the registry's side, with the verbs on both."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray

from app.client.errors import NotFound
from app.client.http import Http
from app.client.records import Alias, AliasMove, read
from app.client.rows import Body, artifact_body, json_body
from app.client.serving import Verbs

__all__ = ["Model", "ModelInfo", "Parameters", "Version", "model_path", "registry_filter"]

Ref = int | str
"""A version: its number, an alias, or `latest`."""


def model_path(name: str) -> str:
    return f"/v1/models/{quote(name, safe='')}"


def registry_filter(tags: Mapping[str, str | None] | None, alias: str | Sequence[str] | None) -> dict[str, Any]:
    """The query of a list: all of the tags (None: with any value), one of the aliases."""
    named = [name if value is None else f"{name}:{value}" for name, value in (tags or {}).items()]
    return {"tag": named, "alias": alias if alias is None or isinstance(alias, str) else ",".join(alias)}


@dataclass(frozen=True, eq=False)
class Parameters:
    """What was fitted, as arrays: a mixture's three, or the centres of k-means; `raw` is the whole answer."""

    weights: NDArray[np.float64] | None
    means: NDArray[np.float64] | None
    covariances: NDArray[np.float64] | None
    cluster_centers: NDArray[np.float64] | None
    raw: Mapping[str, Any]


@dataclass(frozen=True)
class Version:
    """One fitted model, which never changes. `handle` serves it: `version.handle.predict(rows)`."""

    model: str
    version: int
    algorithm: str
    params: Mapping[str, Any]
    feature_names: list[str]
    n_features: int
    n_samples: int
    metrics: Mapping[str, Any]
    anomaly: Mapping[str, Any] | None
    preprocess: Mapping[str, Any] | None
    dataset: str | None
    job: str | None
    artifact: Mapping[str, Any]
    created_at: datetime
    _http: Http = field(repr=False, compare=False)
    lineage: Mapping[str, Any] | None = None
    description: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    aliases: list[str] = field(default_factory=list)

    @property
    def handle(self) -> Model:
        """The model pinned to this version."""
        return Model(self.model, self.version, self._http)


@dataclass(frozen=True)
class ModelInfo:
    """A model as the registry lists it; `aliases` maps each to its version, `versions` are the newest ones."""

    name: str
    created_at: datetime | None = None
    updated_at: datetime | None = None
    description: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    aliases: Mapping[str, int] = field(default_factory=dict)
    versions: list[Mapping[str, Any]] = field(default_factory=list)
    n_versions: int = 0
    latest_version: int | None = None


@dataclass(frozen=True)
class Model(Verbs):
    """A handle on a model by name: making one asks nothing of the service.

    With `ref` (a number, an alias, `latest`) it stands for that version; without, for the one under the alias
    `default` if it is set, else for the latest.
    """

    name: str
    ref: Ref | None
    _http: Http = field(repr=False, compare=False)

    @property
    def _base(self) -> str:
        return model_path(self.name)

    @property
    def _path(self) -> str:
        return self._base if self.ref is None else self._version(self.ref)

    def info(self) -> ModelInfo:
        """What the registry knows of the model."""
        return read(ModelInfo, self._http.json("GET", self._base))

    def update(
        self,
        *,
        description: str | None = None,
        tags: Mapping[str, str] | None = None,
        if_match: str | None = None,
    ) -> ModelInfo:
        """Changes the description or the tags; with `if_match` raises Conflict when they changed since."""
        changes = {"description": description, "tags": tags}
        body = json_body({name: value for name, value in changes.items() if value is not None})
        return read(ModelInfo, self._http.json("PATCH", self._base, body=body, headers=_if_match(if_match)))

    def versions(
        self, *, tags: Mapping[str, str | None] | None = None, alias: str | Sequence[str] | None = None
    ) -> Iterator[Version]:
        """Versions, newest first: those with all the tags (None: any value), and under one of the aliases."""
        for payload in self._http.pages(f"{self._base}/versions", registry_filter(tags, alias)):
            yield read(Version, payload, _http=self._http)

    def version(self, ref: Ref | None = None) -> Version:
        """The version `ref`, else the one that the handle stands for."""
        chosen = self.ref if ref is None else ref
        if chosen is not None:
            return read(Version, self._http.json("GET", self._version(chosen)), _http=self._http)
        try:
            return self.version("default")
        except NotFound:
            return self.version("latest")

    def parameters(self) -> Parameters:
        """The fitted parameters, in original features where the preprocessing can be undone."""
        answer = self._http.json("GET", f"{self._pinned()}/parameters")

        def array(name: str) -> NDArray[np.float64] | None:
            return None if answer.get(name) is None else np.array(answer[name], dtype=np.float64)

        return Parameters(array("weights"), array("means"), array("covariances"), array("cluster_centers"), raw=answer)

    def download_artifact(self, path: str | os.PathLike[str]) -> Path:
        """Writes the stored file (safetensors) to `path`, whole or not at all."""
        target = Path(path)
        partial = target.with_name(f".{target.name}.part")
        try:
            with partial.open("wb") as file:
                for chunk in self._http.download(f"{self._pinned()}/artifact"):
                    file.write(chunk)
            partial.replace(target)
        finally:
            partial.unlink(missing_ok=True)
        return target

    def import_parameters(
        self,
        algorithm: str,
        parameters: Mapping[str, Any],
        *,
        feature_names: Sequence[str] | None = None,
        alias: str | None = None,
        tags: Mapping[str, str] | None = None,
        description: str | None = None,
    ) -> Version:
        """A new version from `covariance_type`, `weights`, `means`, `covariances`, or from `cluster_centers`.

        In original features. Raises InvalidRequest, which points at the component that is wrong.
        """
        given = {"feature_names": feature_names, "alias": alias, "tags": tags, "description": description}
        given = {name: value for name, value in given.items() if value is not None}
        return self._import(json_body({"algorithm": algorithm, "parameters": parameters, **given}), {})

    def import_artifact(
        self,
        source: bytes | str | os.PathLike[str],
        *,
        alias: str | None = None,
        tags: Mapping[str, str] | None = None,
        description: str | None = None,
    ) -> Version:
        """A new version from what `download_artifact` wrote, here or elsewhere: an equal model, to the bit."""
        options = {"alias": alias, "description": description}
        options |= {f"tags.{name}": value for name, value in (tags or {}).items()}
        return self._import(artifact_body(source), options)

    def _import(self, body: Body, options: Mapping[str, Any]) -> Version:
        answer = self._http.json("POST", f"{self._base}/import", params=options, body=body, creates=True)
        return read(Version, answer, _http=self._http)

    def aliases(self) -> Mapping[str, int]:
        """Each alias and the version it points at."""
        return self.info().aliases

    def set_alias(self, alias: str, version: int, *, if_match: str | None = None) -> Alias:
        """Points an alias at a version; with `if_match` raises Conflict when it has been moved since."""
        response = self._http.send(
            "PUT", self._alias(alias), body=json_body({"version": version}), headers=_if_match(if_match)
        )
        return read(Alias, response.json(), etag=response.headers.get("ETag"))

    def delete_alias(self, alias: str, *, if_match: str | None = None) -> None:
        """Removes an alias; the version stays."""
        self._http.send("DELETE", self._alias(alias), headers=_if_match(if_match))

    def alias_history(self, alias: str) -> Iterator[AliasMove]:
        """Where the alias has pointed, newest first."""
        for move in self._http.pages(f"{self._alias(alias)}/history", {}):
            yield read(AliasMove, move, from_version=move["from"], to_version=move["to"])

    def delete(self) -> None:
        """Removes the model with all its versions, or the one version that the handle is pinned to.

        Raises Conflict while an alias points at what would go.
        """
        self._http.send("DELETE", self._path)

    def _version(self, ref: Ref) -> str:
        return f"{self._base}/versions/{quote(str(ref), safe='')}"

    def _pinned(self) -> str:
        """The path of one version, asked for where the handle does not name it."""
        return self._version(self.version().version if self.ref is None else self.ref)

    def _alias(self, alias: str) -> str:
        return f"{self._base}/aliases/{quote(alias, safe='')}"


def _if_match(etag: str | None) -> dict[str, str]:
    return {} if etag is None else {"If-Match": etag}
