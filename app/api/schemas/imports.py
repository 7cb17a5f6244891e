"""`POST /v1/models/{name}/import`."""

from typing import Annotated, Literal

from pydantic import Field, field_validator

from app.api.schemas.common import RESERVED_ALIASES, AliasName, Description, FeatureName, Request, Tags
from app.domain.registry import Labels

Number = Annotated[float, Field(allow_inf_nan=False)]
Vector = Annotated[list[Number], Field(min_length=1)]
Matrix = Annotated[list[Vector], Field(min_length=1)]
Stack = Annotated[list[Matrix], Field(min_length=1)]


class MixtureParameters(Request):
    """What `GET …/parameters` tells of a mixture; scikit-learn's attributes, without their underscores."""

    weights: Vector = Field(description="One a component, summing to 1 within 1e-8.")
    means: Matrix = Field(description="A row a component, a number a feature.")


class FullParameters(MixtureParameters):
    """A mixture whose components have a covariance matrix each."""

    covariance_type: Literal["full"]
    covariances: Stack = Field(description="(k, d, d): symmetric, positive definite.")


class TiedParameters(MixtureParameters):
    """A mixture whose components share a covariance matrix."""

    covariance_type: Literal["tied"]
    covariances: Matrix = Field(description="(d, d): symmetric, positive definite.")


class DiagParameters(MixtureParameters):
    """A mixture whose components have a variance a feature."""

    covariance_type: Literal["diag"]
    covariances: Matrix = Field(description="(k, d): variances, above 0.")


class SphericalParameters(MixtureParameters):
    """A mixture whose components have one variance each."""

    covariance_type: Literal["spherical"]
    covariances: Vector = Field(description="(k,): variances, above 0.")


class CentroidParameters(Request):
    """What `GET …/parameters` tells of k-means."""

    cluster_centers: Matrix = Field(description="A row a cluster, a number a feature.")


AnyMixture = Annotated[
    FullParameters | TiedParameters | DiagParameters | SphericalParameters, Field(discriminator="covariance_type")
]


class ImportLabels(Request):
    """How the new version is called; with a file these are query parameters (`?alias=champion&tags.team=geo`)."""

    alias: AliasName | None = Field(None, description="Points at the new version as soon as it is there.")
    tags: Tags = Field(default_factory=dict)
    description: Description | None = None

    @field_validator("alias")
    @classmethod
    def _alias_is_free(cls, alias: str | None) -> str | None:
        if alias in RESERVED_ALIASES:
            raise ValueError(f"{alias!r} always means the latest version and cannot be an alias")
        return alias

    @property
    def labels(self) -> Labels:
        return Labels(self.alias, self.tags, self.description)


class GivenModel(ImportLabels):
    """What bare parameters say beside them."""

    feature_names: Annotated[list[FeatureName] | None, Field(min_length=1, max_length=10_000)] = Field(
        None, description="One a feature; x0, x1, … when absent."
    )


class GivenMixture(GivenModel):
    """A mixture by its parameters, in original features."""

    algorithm: Literal["gaussian_mixture"]
    parameters: AnyMixture


class GivenCentroids(GivenModel):
    """K-means by its centres, in original features."""

    algorithm: Literal["kmeans", "minibatch_kmeans"]
    parameters: CentroidParameters


AnyGiven = GivenMixture | GivenCentroids
ModelImport = Annotated[AnyGiven, Field(discriminator="algorithm"), "ModelImport"]
