"""pomegranate's mixture, on PyTorch's CPU, as a fit that goes on by one iteration when told to."""

__all__ = ["Pomegranate"]

import numpy as np
import torch
from pomegranate.distributions import Normal
from pomegranate.gmm import GeneralMixtureModel

from benchmarks.core.data import Array
from benchmarks.core.mixtures import Parameters, Start
from benchmarks.core.settings import THREADS

torch.set_num_threads(THREADS)
torch.set_default_dtype(torch.float64)  # its statistics and responsibilities have the default, whatever its parameters


class Pomegranate:
    """The body of the loop of its `fit`, full covariances; tensors are copies, since it updates them in place."""

    def __init__(self, X: Array, begin: Start) -> None:
        self.X = torch.tensor(X)
        normals = [
            Normal(torch.tensor(mean), torch.tensor(np.linalg.inv(precision)), check_data=False)
            for mean, precision in zip(begin.means, begin.precisions, strict=True)
        ]
        self.mixture = GeneralMixtureModel(normals, torch.tensor(begin.weights), check_data=False)

    def iterate(self) -> float:
        """The bound before the iteration."""
        total = float(self.mixture.summarize(self.X))
        self.mixture.from_summaries()
        return total / len(self.X)

    def parameters(self) -> Parameters:
        """Weights, means, covariances."""
        normals = self.mixture.distributions
        means, covariances = (torch.stack([getattr(normal, name) for normal in normals]) for name in ("means", "covs"))
        return self.mixture.priors.numpy(force=True), means.numpy(force=True), covariances.numpy(force=True)
