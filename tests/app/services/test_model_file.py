import json

import numpy as np
import pytest

from app.domain.errors import ArtifactCorrupt
from app.services.model_file import FittedModel, from_bytes, to_bytes
from core import GaussianMixture, KMeans
from core.anomaly import ScoreQuantiles
from core.preprocess import fit_preprocess

X = np.random.default_rng(0).normal(size=(200, 3)) @ np.array([[2, 1, 0], [0, 1, 3], [0, 0, 0.5]]) + 5


@pytest.mark.parametrize("covariance_type", ["full", "tied", "diag", "spherical", None])
@pytest.mark.parametrize("preprocess", [("none", None), ("standard", None), ("standard", 2)])
def test_what_was_written_is_read_to_the_bit(covariance_type: str | None, preprocess: tuple[str, int | None]) -> None:
    way = fit_preprocess(X, *preprocess)
    Z = way.transform(X)
    if covariance_type is None:
        model = KMeans(3, random_state=0).fit(Z).centroids_
        scores = model.nearest(Z)[1]
    else:
        model = GaussianMixture(2, covariance_type=covariance_type, random_state=0).fit(Z).mixture_
        scores = -model.score_samples(Z)
    fitted = FittedModel("any", ("a", "b", "ü"), model, way, ScoreQuantiles.from_scores(scores), 0.04)
    content = to_bytes(fitted, {})
    again = from_bytes(content)
    assert to_bytes(again, {}) == content
    assert again.feature_names == ("a", "b", "ü")
    assert np.array_equal(again.model.predict(Z), model.predict(Z))
    assert again.training_scores.threshold(0.1) == fitted.training_scores.threshold(0.1)
    if covariance_type is not None:
        assert np.array_equal(again.model.score_samples(Z), model.score_samples(Z))  # type: ignore[union-attr]


@pytest.mark.parametrize("content", [b"", b"not safetensors", b"\x10\x00\x00\x00\x00\x00\x00\x00{}              "])
def test_anything_else_is_refused_by_name(content: bytes) -> None:
    with pytest.raises(ArtifactCorrupt):
        from_bytes(content)


def test_another_format_is_refused() -> None:
    model = KMeans(1).fit(X).centroids_
    scores = ScoreQuantiles.from_scores(model.nearest(X)[1])
    content = to_bytes(FittedModel("kmeans", ("a", "b", "c"), model, fit_preprocess(X), scores, 0.01), {})
    assert json.dumps("mixtura-model/1").encode()[1:-1] in content
    with pytest.raises(ArtifactCorrupt):
        from_bytes(content.replace(b"mixtura-model/1", b"mixtura-model/9"))
