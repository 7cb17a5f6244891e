"""Datasets: a matrix stored once, whoever sends it again."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import IO, Any

import numpy as np
import orjson
from numpy.typing import NDArray
from sqlalchemy import Connection

from app.domain.datasets import Dataset
from app.domain.errors import DatasetInUse, DatasetNotFound, GivenUp, InvalidRequest
from app.domain.fits import DataRef
from app.domain.idempotency import IdempotencyKey
from app.domain.ids import new_id
from app.domain.labels import encode
from app.domain.paging import Page, PageRequest
from app.domain.rows import MAX_FEATURES, Rows, check_names
from app.services.fitting import TrainingData
from app.storage import datasets as table
from app.storage import files, idempotency, jobs
from app.storage.artifacts import ArtifactStore
from app.storage.database import Database


@dataclass(frozen=True)
class Upload:
    """Rows as sent: `identity` says which bytes and how they were read, so that a second sending is known."""

    rows: Rows
    identity: str
    sha256: str
    bytes: int


@dataclass(frozen=True)
class InlineData:
    """Training rows that came inside a request."""

    rows: Rows
    sample_weight: list[float] | None = None
    labels: list[int] | list[str] | None = None

    def training_data(self) -> TrainingData:
        """As arrays; labels become codes in the order of their values."""
        weight = None if self.sample_weight is None else np.asarray(self.sample_weight, dtype=np.float64)
        labels, names = None, None
        if self.labels is not None:
            values, labels = encode(self.labels)
            names = [str(value) for value in values]
        return TrainingData(self.rows.X, column_names(self.rows), weight, labels, names)


@dataclass(frozen=True)
class Matrix:
    """Columns to store: `categories` names the texts that a column's codes stand for."""

    X: NDArray[np.float64]
    names: list[str]
    categories: dict[str, list[str]]

    def save(self, file: IO[bytes]) -> None:
        """Writes the matrix as NPY."""
        np.save(file, self.X, allow_pickle=False)

    def facts(self) -> dict[str, Any]:
        """What a dataset tells of itself."""
        return {
            "n_rows": self.X.shape[0],
            "n_features": self.X.shape[1],
            "feature_names": self.names,
            "n_missing": int(np.isnan(self.X).sum()),
            "dtype": str(self.X.dtype),
            "summary": summarise(self.X, self.names),
            "categories": self.categories,
        }


# What happens in the transaction that stores a dataset: it is given the means to insert it.
Register = Callable[[Connection, Callable[[Connection], Dataset]], tuple[Dataset, bool]]


class DatasetService:
    """Stored matrices and their names."""

    def __init__(self, database: Database, artifacts: ArtifactStore) -> None:
        self._database = database
        self._artifacts = artifacts

    def create(self, upload: Upload, name: str | None, key: IdempotencyKey | None) -> tuple[Dataset, bool]:
        """Stores the rows unless they are here; the dataset, and whether the answer is a replay."""
        names = column_names(upload.rows)
        check_size(upload.rows.X)
        check_names(names, "/feature_names")
        if key is not None:
            with self._database.read() as tx:
                idempotency.find(tx, key)  # a key of another request is refused before anything is stored

        def register(tx: Connection, insert: Callable[[Connection], Dataset]) -> tuple[Dataset, bool]:
            if key is not None and (answer := idempotency.reserve(tx, key)) is not None:
                again = table.find(tx, answer["dataset"])
                if again is not None:
                    return replace(again, name=answer["name"]), True
            dataset = insert(tx)
            if name is not None:
                table.name(tx, dataset.id, name)
                dataset = replace(dataset, name=name)
            if key is not None:
                idempotency.keep(tx, key, {"dataset": dataset.id, "name": dataset.name})
            return dataset, False

        matrix = Matrix(upload.rows.X, names, {})
        return self._store(matrix, upload.identity, upload.sha256, upload.bytes, register)

    def keep_inline(self, inline: InlineData) -> DataRef:
        """Stores the rows of a request as a dataset without a name, weights and labels as columns of it."""
        data = inline.training_data()
        columns, matrix, categories = list(data.names), [data.X], {}
        weight_column = label_column = None
        if data.sample_weight is not None:
            weight_column = _free_name("sample_weight", columns)
            columns.append(weight_column)
            matrix.append(data.sample_weight[:, None])
        if data.labels is not None and data.label_names is not None:
            label_column = _free_name("label", columns)
            columns.append(label_column)
            categories[label_column] = data.label_names
            matrix.append(data.labels.astype(np.float64)[:, None])
        X = np.ascontiguousarray(np.hstack(matrix))
        sha = hashlib.sha256(orjson.dumps([columns, categories, X.shape]) + X.tobytes()).hexdigest()

        def register(tx: Connection, insert: Callable[[Connection], Dataset]) -> tuple[Dataset, bool]:
            return insert(tx), False

        dataset, _ = self._store(Matrix(X, columns, categories), f"rows:{sha}", sha, X.nbytes, register)
        return DataRef(dataset.id, tuple(data.names), weight_column, label_column)

    def find(self, reference: str) -> Dataset:
        """The dataset of this id or name; raises `DatasetNotFound`."""
        with self._database.read() as tx:
            dataset = table.find(tx, reference)
        if dataset is None:
            raise not_found(reference)
        return dataset

    def page(self, request: PageRequest) -> Page[Dataset]:
        """Datasets, newest first."""
        with self._database.read() as tx:
            return table.page(tx, request)

    def delete(self, reference: str) -> None:
        """Deletes the dataset and its file; raises `DatasetInUse` while a job that has not ended needs it."""
        with self._database.write() as tx:
            dataset = table.find(tx, reference, lock=True)
            if dataset is None:
                raise not_found(reference)
            job = jobs.unfinished_on_dataset(tx, dataset.id)
            if job is not None:
                raise DatasetInUse(f"The dataset {reference!r} is used by job {job}, which has not ended.")
            table.remove(tx, dataset.id, dataset.key)
        self._artifacts.delete(dataset.key)

    def _store(self, matrix: Matrix, identity: str, sha256: str, size: int, register: Register) -> tuple[Dataset, bool]:
        """Puts the file in place, then lets `register` insert its row.

        A dataset that is known keeps its file; one that was lost is written again.
        """
        row = matrix.facts() | {"identity": identity, "sha256": sha256, "bytes": size}
        if self._is_known(identity, matrix):
            try:
                with self._database.write() as tx:
                    return register(tx, lambda tx: _known(tx, identity))
            except _Deleted:  # since it was found
                pass
        fresh = new_id()
        key = f"datasets/{fresh}.npy"
        files.announce(self._database, key)
        file = self._artifacts.write(key, matrix.save)

        def insert(tx: Connection) -> Dataset:
            table.add(tx, row | {"id": fresh, "key": key, "file_sha256": file.sha256})
            return _known(tx, identity)  # ours, or that of an equal request at the same time

        try:
            with self._database.write() as tx:
                dataset, replayed = register(tx, insert)
        except GivenUp:
            self._artifacts.delete(key)
            raise
        if dataset.key != key:
            self._artifacts.delete(key)
        return dataset, replayed

    def _is_known(self, identity: str, matrix: Matrix) -> bool:
        with self._database.read() as tx:
            known = table.by_identity(tx, identity)
        if known is None or self._artifacts.stamp(known.key) is not None:
            return known is not None
        with self._database.write() as tx:  # locked, so that nobody deletes it, or writes it as well
            known = table.by_identity(tx, identity, lock=True)
            if known is not None:
                table.rewritten(tx, known.id, self._artifacts.write(known.key, matrix.save).sha256)
        return known is not None


class _Deleted(Exception):
    """A dataset that was known a moment ago is not there."""


def _known(tx: Connection, identity: str) -> Dataset:
    found = table.by_identity(tx, identity, lock=True)
    if found is None:
        raise _Deleted
    table.sent_again(tx, found.id)
    return found


def not_found(reference: str) -> DatasetNotFound:
    """The error of a reference that leads nowhere."""
    return DatasetNotFound(f"There is no dataset with the id or name {reference!r}.")


def column_names(rows: Rows) -> list[str]:
    """The names sent, or x0, x1, …"""
    return list(rows.names) if rows.names is not None else [f"x{j}" for j in range(rows.n_features)]


def check_size(X: NDArray[np.float64], pointer: str = "/instances") -> None:
    """Raises `InvalidRequest` for a matrix without rows or columns, or with too many columns."""
    if X.shape[0] == 0:
        raise InvalidRequest.at(pointer, "There are no rows; at least one is needed.")
    if X.shape[1] == 0:
        raise InvalidRequest.at(f"{pointer}/0", "The rows have no features; at least one is needed.")
    if X.shape[1] > MAX_FEATURES:
        raise InvalidRequest.at(
            f"{pointer}/0", f"The rows have {X.shape[1]} features; at most {MAX_FEATURES} are taken."
        )


def summarise(X: NDArray[np.float64], names: list[str]) -> list[dict[str, Any]]:
    """Count, missing, mean, standard deviation (n − 1), minimum, quartiles and maximum of each column."""
    return [_summary(X[:, j], name) for j, name in enumerate(names)]


def _summary(column: NDArray[np.float64], name: str) -> dict[str, Any]:
    present = column[~np.isnan(column)]
    facts: dict[str, Any] = {"name": name, "count": len(present), "missing": len(column) - len(present)}
    if len(present) == 0:
        return facts | {"mean": None, "std": None, "min": None, "quartiles": None, "max": None}
    with np.errstate(over="ignore", invalid="ignore"):
        std = float(present.std(ddof=1)) if len(present) > 1 else None
        return facts | {
            "mean": float(present.mean()),
            "std": std,
            "min": float(present.min()),
            "quartiles": np.quantile(present, [0.25, 0.5, 0.75]).tolist(),
            "max": float(present.max()),
        }


def _free_name(wanted: str, taken: list[str]) -> str:
    while wanted in taken:
        wanted += "_"
    return wanted
