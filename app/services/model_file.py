"""A fitted model as a file: safetensors, that is named arrays and a header of text; nothing that could run."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

from app.domain.errors import ArtifactCorrupt
from core.affine import AffineMap
from core.anomaly import ScoreQuantiles
from core.arrays import centroids_from_arrays, mixture_from_arrays, to_arrays
from core.kmeans import Centroids
from core.mixture import Mixture

FORMAT = "mixtura-model/1"


@dataclass(frozen=True)
class FittedModel:
    """All that serving needs. `model` lives in the space of `preprocess`; callers in original features.

    `training_scores` and `contamination` are None where no rows were seen: parameters that were given.
    """

    algorithm: str
    feature_names: tuple[str, ...]
    model: Mixture | Centroids
    preprocess: AffineMap
    training_scores: ScoreQuantiles | None
    contamination: float | None


def to_bytes(fitted: FittedModel, facts: dict[str, Any]) -> bytes:
    """The file's content; `facts` are what the registry tells of the version beside it, as plain JSON."""
    arrays: dict[str, NDArray[Any]] = {f"model/{name}": array for name, array in to_arrays(fitted.model).items()}
    arrays |= {"preprocess/offset": fitted.preprocess.offset, "preprocess/scale": fitted.preprocess.scale}
    if fitted.preprocess.rotation is not None:
        arrays["preprocess/rotation"] = fitted.preprocess.rotation
    if fitted.preprocess.units is not None:
        arrays["preprocess/units"] = fitted.preprocess.units
    if fitted.training_scores is not None:
        arrays |= {"scores/levels": fitted.training_scores.levels, "scores/values": fitted.training_scores.values}
    header: dict[str, Any] = {
        "format": FORMAT,
        "algorithm": fitted.algorithm,
        "covariance_type": getattr(fitted.model, "covariance_type", None),
        "feature_names": fitted.feature_names,
        "contamination": fitted.contamination,
        "facts": facts,
    }
    contiguous = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    return save(contiguous, metadata={"mixtura": orjson.dumps(header).decode()})


def from_bytes(content: bytes) -> FittedModel:
    """Back from `to_bytes`; raises `ArtifactCorrupt` for anything that it did not write."""
    try:
        header, arrays = header_of(content), load(content)
        return FittedModel(
            algorithm=header["algorithm"],
            feature_names=tuple(header["feature_names"]),
            model=_model(_under(arrays, "model/"), header["covariance_type"]),
            preprocess=AffineMap(
                offset=arrays["preprocess/offset"],
                scale=arrays["preprocess/scale"],
                rotation=arrays.get("preprocess/rotation"),
                units=arrays.get("preprocess/units"),
            ),
            training_scores=_scores(arrays),
            contamination=header["contamination"],
        )
    except (SafetensorError, ValueError, KeyError, TypeError) as error:
        raise ArtifactCorrupt("The file is not a model that this service wrote.") from error


def metadata_of(content: bytes) -> dict[str, str]:
    """The texts that were saved with the arrays of a safetensors file."""
    # The format's own layout: eight bytes of length, then JSON with the texts under __metadata__.
    length = int.from_bytes(content[:8], "little")
    metadata: dict[str, str] = orjson.loads(content[8 : 8 + length])["__metadata__"]
    return metadata


def _model(arrays: dict[str, NDArray[Any]], covariance_type: str | None) -> Mixture | Centroids:
    if covariance_type is None:
        return centroids_from_arrays(arrays)
    return mixture_from_arrays(arrays, covariance_type)


def _under(arrays: dict[str, NDArray[Any]], prefix: str) -> dict[str, NDArray[Any]]:
    return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}


def _scores(arrays: dict[str, NDArray[Any]]) -> ScoreQuantiles | None:
    if "scores/levels" not in arrays:
        return None
    return ScoreQuantiles(levels=arrays["scores/levels"], values=arrays["scores/values"])


def header_of(content: bytes) -> dict[str, Any]:
    """What the file tells beside its arrays; raises `ValueError` or `KeyError` for a file of another kind."""
    header: dict[str, Any] = orjson.loads(metadata_of(content)["mixtura"])
    if header["format"] != FORMAT:
        raise ValueError(f"format {header['format']!r}")
    return header
