"""Standardisation and principal components: affine maps fitted in one pass, and scikit-learn's face on them."""

__all__ = ["PCA", "StandardScaler", "check_preprocess", "fit_preprocess"]

from abc import abstractmethod
from numbers import Integral
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from core.affine import AffineMap, principal_components
from core.checks import check_boolean, check_choice, check_integer, check_real, check_rows, check_sample_weight
from core.errors import InvalidParameter
from core.estimators.base import Transformer, feature_names
from core.moments import Moments, moments_of
from core.threads import thread_map
from core.types import Floats, MapLike


def fit_preprocess(
    X: ArrayLike,
    scale: str = "none",
    pca: int | float | None = None,
    sample_weight: ArrayLike | None = None,
    *,
    whiten: bool = False,
    chunk_map: MapLike = map,
) -> AffineMap:
    """The map that standardises (`scale="standard"`) and then projects on principal components (`pca`).

    `pca` is None, a count of components, or the fraction of variance in (0, 1) that they must exceed; `whiten` gives
    each of them variance 1. A feature or a component without variance keeps scale 1. The sign of a component makes
    its largest loading positive. One pass over chunks of rows. Raises `InvalidParameter` for `pca` above min(n, d).
    """
    rows = check_rows(X)
    check_preprocess(scale, pca, *rows.shape, whiten=whiten)
    weight = check_sample_weight(sample_weight, rows.shape[0])
    if pca is None:
        if scale == "none":
            return AffineMap.identity(rows.shape[1])
        moments = moments_of(rows, weight, chunk_map=chunk_map)
        return AffineMap(moments.mean, moments.deviations)
    moments = moments_of(rows, weight, joint=True, chunk_map=chunk_map)
    spread = moments.deviations if scale == "standard" else np.ones_like(moments.mean)
    return principal_components(moments, spread, pca, whiten=whiten).map


def check_preprocess(scale: object, pca: object, n_samples: int, n_features: int, *, whiten: object = False) -> None:
    """Refuses, before any row is read, what `fit_preprocess` would."""
    check_choice("scale", scale, ("none", "standard"))
    check_boolean("whiten", whiten)
    if pca is not None:
        _check_components("pca", pca, min(n_samples, n_features))
    elif whiten:
        raise InvalidParameter("whiten", whiten, "is for principal components: give pca")


def _check_components(name: str, value: object, largest: int) -> None:
    """A count of principal components, or the fraction of variance that they must exceed."""
    if isinstance(value, Integral):
        if check_integer(name, value, 1) > largest:
            raise InvalidParameter(name, value, f"must be at most min(rows, features) = {largest}")
    elif not 0 < check_real(name, value, 0.0) < 1:
        raise InvalidParameter(name, value, "must be a count, or a fraction of variance between 0 and 1")


class AffineTransformer(Transformer):
    """What is fitted is an `AffineMap`, `map_`: with it go its inverse and its log-determinant."""

    kind = None
    joint: bool
    map_: AffineMap

    def fit(self, X: ArrayLike, y: object = None, sample_weight: ArrayLike | None = None) -> Self:
        """Fits the map to rows X (n_samples, n_features), weighted by `sample_weight`, in one pass over chunks.

        Raises `InvalidParameter` or `InvalidRows`.
        """
        rows = check_rows(X)
        self.check_parameters(*rows.shape)
        weight = check_sample_weight(sample_weight, rows.shape[0])
        self._keep(moments_of(rows, weight, joint=self.joint, chunk_map=thread_map), rows.shape[0], rows.dtype)
        self._learn_features(rows.shape[1], feature_names(X))
        return self

    @abstractmethod
    def check_parameters(self, n_samples: int, n_features: int) -> None:
        """Refuses, before a fit of rows of this shape, all that can be: `InvalidParameter` with the name."""

    @abstractmethod
    def _keep(self, moments: Moments, n_samples: int, dtype: np.dtype[Any]) -> None:
        """Sets the fitted attributes."""

    @property
    def _n_features_out(self) -> int:
        return self.map_.n_features_out

    @property
    def log_abs_det_(self) -> float:
        """½ log det(A Aᵀ) of the map's matrix: what a log-density gains in original features."""
        self._check_fitted()
        return self.map_.log_abs_det

    def _transformed(self, rows: Floats) -> Floats:
        return self.map_.transform(rows)

    def inverse_transform(self, X: ArrayLike) -> Floats:
        """Rows in original features, shape (n, d), from transformed ones (n, k): what was retained of them."""
        self._check_fitted()
        return self.map_.inverse_transform(X)


class StandardScaler(AffineTransformer):
    """Features of mean 0 and variance 1, with scikit-learn's parameters and fitted attributes.

    A feature whose deviation is no more than the round-off of its mean keeps scale 1.
    """

    joint = False
    mean_: Floats
    scale_: Floats
    var_: Floats
    n_samples_seen_: int

    def __init__(self, *, copy: bool = True, with_mean: bool = True, with_std: bool = True) -> None:
        self.copy = copy
        self.with_mean = with_mean
        self.with_std = with_std

    def check_parameters(self, n_samples: int, n_features: int) -> None:
        """Refuses what is no boolean: `InvalidParameter` with the name."""
        for name in ("copy", "with_mean", "with_std"):
            check_boolean(name, getattr(self, name))

    def _keep(self, moments: Moments, n_samples: int, dtype: np.dtype[Any]) -> None:
        self.mean_, self.n_samples_seen_ = moments.mean, n_samples
        self.var_ = np.square(moments.norms) / moments.total
        self.scale_ = moments.deviations
        offset = moments.mean if self.with_mean else np.zeros_like(moments.mean)
        self.map_ = AffineMap(offset, moments.deviations if self.with_std else np.ones_like(moments.mean))

    def get_feature_names_out(self, input_features: object = None) -> NDArray[np.object_]:
        """Names of the columns, shape (d,): those of the rows fitted to, or x0, x1, …"""
        self._check_fitted()
        known = getattr(self, "feature_names_in_", None)
        default = np.array([f"x{column}" for column in range(self.n_features_in_)], dtype=object)
        if input_features is None:
            return default if known is None else known
        names = np.asarray(input_features, dtype=object)
        if names.shape != default.shape:
            raise InvalidParameter("input_features", input_features, f"must have length {self.n_features_in_}")
        if known is not None and (names != known).any():
            raise InvalidParameter("input_features", input_features, "is not equal to feature_names_in_")
        return names


class PCA(AffineTransformer):
    """Principal components by singular values, with scikit-learn's names, defaults and fitted attributes.

    `n_components` is None for all, min(n, d), a count, or the fraction of variance in (0, 1) to be exceeded. The sign
    of a component makes its largest loading positive.
    """

    joint = True
    components_: Floats
    explained_variance_: Floats
    explained_variance_ratio_: Floats
    singular_values_: Floats
    mean_: Floats
    n_components_: int
    n_samples_: int

    def __init__(self, n_components: int | float | None = None, *, copy: bool = True, whiten: bool = False) -> None:
        self.n_components = n_components
        self.copy = copy
        self.whiten = whiten

    def check_parameters(self, n_samples: int, n_features: int) -> None:
        """Refuses, before a fit of rows of this shape, all that can be: `InvalidParameter` with the name."""
        check_boolean("copy", self.copy)
        check_boolean("whiten", self.whiten)
        if self.n_components is not None:
            _check_components("n_components", self.n_components, min(n_samples, n_features))

    def _keep(self, moments: Moments, n_samples: int, dtype: np.dtype[Any]) -> None:
        count = min(n_samples, moments.mean.size) if self.n_components is None else self.n_components
        found = principal_components(moments, np.ones_like(moments.mean), count, whiten=self.whiten)
        assert found.map.rotation is not None
        self.map_ = found.map
        self.mean_, self.components_ = (array.astype(dtype) for array in (moments.mean, found.map.rotation))
        self.explained_variance_, self.explained_variance_ratio_ = (
            array.astype(dtype) for array in (found.explained_variance, found.explained_variance_ratio)
        )
        self.singular_values_ = found.singular_values.astype(dtype)
        self.n_components_, self.n_samples_ = found.map.n_features_out, n_samples
