"""What a fit is asked to do, as a value: frozen from the moment it is accepted."""

from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class DataRef:
    """The training rows: columns of a stored dataset.

    `features` are the columns fitted (all that are not named otherwise, when None); `sample_weight` and
    `labels` name a column each.
    """

    dataset: str
    features: tuple[str, ...] | None = None
    sample_weight: str | None = None
    labels: str | None = None


@dataclass(frozen=True)
class Preprocess:
    """`scale` is none or standard; `pca` a count, a fraction of variance, or None."""

    scale: str = "none"
    pca: float | int | None = None


@dataclass(frozen=True)
class Anomaly:
    """`contamination`: the fraction of the training rows that the default threshold flags."""

    contamination: float = 0.01
    calibration_fraction: float = 0.0


@dataclass(frozen=True)
class FitRequest:
    """A fit as accepted; what a job's `request` shows."""

    model: str
    algorithm: str
    data: DataRef
    params: dict[str, Any] = field(default_factory=dict)
    preprocess: Preprocess = field(default_factory=Preprocess)
    anomaly: Anomaly = field(default_factory=Anomaly)
    alias: str | None = None
    tags: dict[str, str] = field(default_factory=dict)
    description: str | None = None
    timeout_s: float | None = None
    priority: int = 0
    trace_id: str | None = None

    def to_document(self) -> dict[str, Any]:
        """As plain JSON."""
        document = asdict(self)
        data = {key: value for key, value in document["data"].items() if value is not None}
        return document | {"data": data}

    @classmethod
    def from_document(cls, document: dict[str, Any]) -> "FitRequest":
        """Back from `to_document`."""
        data = dict(document["data"])
        if data.get("features") is not None:
            data["features"] = tuple(data["features"])
        return cls(
            **document
            | {
                "data": DataRef(**data),
                "preprocess": Preprocess(**document["preprocess"]),
                "anomaly": Anomaly(**document["anomaly"]),
            }
        )
