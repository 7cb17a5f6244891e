import numpy as np
import pytest

from core.affine import pull_back
from core.arrays import centroids_from_arrays, mixture_from_arrays, to_arrays
from core.covariance import COVARIANCES
from core.errors import InvalidParameter
from core.estimators import GaussianMixture, KMeans
from core.preprocess import fit_preprocess


@pytest.mark.parametrize("name", COVARIANCES)
@pytest.mark.parametrize("pulled", [False, True])
def test_a_mixture_comes_back_to_the_bit(name, pulled, blobs):
    X, _ = blobs(n=300)
    fitted = fit_preprocess(X, "standard", 3)
    mixture = GaussianMixture(3, covariance_type=name, random_state=0).fit(fitted.transform(X)).mixture_
    if pulled:
        mixture = pull_back(mixture, fitted)
    # Through bytes, as a file would: nothing may depend on memory being shared or laid out in some way.
    arrays = {
        key: np.frombuffer(array.tobytes(), dtype=np.float64).reshape(array.shape)
        for key, array in to_arrays(mixture).items()
    }
    again = mixture_from_arrays(arrays, mixture.covariance_type)
    for attribute in ("weights", "means", "covariances"):
        np.testing.assert_array_equal(getattr(again, attribute), getattr(mixture, attribute))
    np.testing.assert_array_equal(again.covariance.precisions_cholesky, mixture.covariance.precisions_cholesky)
    np.testing.assert_array_equal(again.score_samples(X), mixture.score_samples(X))


def test_centroids_come_back_to_the_bit(blobs):
    X, _ = blobs()
    centroids = KMeans(3, random_state=0).fit(X).centroids_
    again = centroids_from_arrays(to_arrays(centroids))
    np.testing.assert_array_equal(again.distances(X), centroids.distances(X))


def test_what_is_not_a_model_is_refused():
    with pytest.raises(InvalidParameter, match=r"means.*absent"):
        mixture_from_arrays({"weights": np.ones(1)}, "full")
    with pytest.raises(InvalidParameter, match=r"cluster_centers.*absent"):
        centroids_from_arrays({})
    with pytest.raises(InvalidParameter, match="2-D array"):
        centroids_from_arrays({"cluster_centers": np.ones(3)})
    with pytest.raises(InvalidParameter, match="finite"):
        centroids_from_arrays({"cluster_centers": np.full((1, 1), np.nan)})
