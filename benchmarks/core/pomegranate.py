"""pomegranate's mixture, on PyTorch's CPU, as a fit that goes on by one iteration when told to."""

__all__ = ["Pomegranate"]

import numpy as np
import torch
from pomegranate.distributions import Normal
from pomegranate.gmm import GeneralMixtureModel

from benchmarks.core.data import Array
from benchmarks.core.mixtures import Answers, Start
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

    def iterate(self) -> None:
        """Both steps and the bound."""
        total = self.mixture.summarize(self.X)
        self.mixture.from_summaries()
        self.bound = float(total) / len(self.X)

    def answers(self) -> Answers:
        """The bound before the iteration, the parameters after it."""
        normals = self.mixture.distributions
        parameters = {
            "weights": self.mixture.priors,
            "means": torch.stack([normal.means for normal in normals]),
            "covariances": torch.stack([normal.covs for normal in normals]),
        }
        return {"bounds": self.bound} | {name: tensor.numpy(force=True) for name, tensor in parameters.items()}
