"""Everything that can go wrong by a caller's doing or the world's, as one small tree that knows no HTTP.

`app.api.problems` alone gives each member its status and title; a test proves that it knows them all.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

MAX_FIELD_ERRORS = 20


@dataclass(frozen=True)
class FieldError:
    """One fault of the input: a JSON pointer (RFC 6901) to it and a sentence."""

    pointer: str
    detail: str


class CannotStart(Exception):
    """A setting or the world does not allow a process to start; the message is for whoever starts it."""


class MixturaError(Exception):
    """The root. `detail` is a sentence for the caller; `errors` point into what they sent."""

    code: ClassVar[str]

    def __init__(self, detail: str, errors: Sequence[FieldError] = ()) -> None:
        super().__init__(detail)
        self.detail = detail
        self.errors = tuple(errors[:MAX_FIELD_ERRORS])


class MalformedBody(MixturaError):
    """The bytes of a body are not what their media type promises."""

    code = "invalid-request"


class InvalidRequest(MixturaError):
    """The input was understood and something in it may not be so."""

    code = "invalid-request"

    @classmethod
    def at(cls, pointer: str, detail: str) -> "InvalidRequest":
        """One fault at one place."""
        return cls(detail, [FieldError(pointer, detail)])


class FeatureMismatch(InvalidRequest):
    """The rows' features are not those of the model or dataset."""

    code = "feature-mismatch"


class UnsupportedOperation(InvalidRequest):
    """The verb or option does not exist for this kind of model."""

    code = "unsupported-operation"


class IdempotencyKeyReused(MixturaError):
    """An `Idempotency-Key` came back with another request."""

    code = "idempotency-key-reused"


class Unauthorized(MixturaError):
    """No key, or a wrong one."""

    code = "unauthorized"


class NotFound(MixturaError):
    """No such thing."""

    code = "not-found"


class ModelNotFound(NotFound):
    code = "model-not-found"


class VersionNotFound(NotFound):
    code = "version-not-found"


class AliasNotFound(NotFound):
    code = "alias-not-found"


class DatasetNotFound(NotFound):
    code = "dataset-not-found"


class JobNotFound(NotFound):
    code = "job-not-found"


class NotAcceptable(MixturaError):
    """No media type of `Accept` is spoken here."""

    code = "not-acceptable"


class UnsupportedMediaType(MixturaError):
    """The body's media type is not spoken here."""

    code = "unsupported-media-type"


class PayloadTooLarge(MixturaError):
    """The body is over the limit."""

    code = "payload-too-large"


class Conflict(MixturaError):
    """The thing is not in a state that allows this."""

    code = "conflict"


class DatasetInUse(Conflict):
    code = "dataset-in-use"


class VersionInUse(Conflict):
    code = "version-in-use"


class PreconditionFailed(MixturaError):
    """`If-Match` names a state that has passed."""

    code = "precondition-failed"


class QueueFull(MixturaError):
    """As many jobs wait as may wait."""

    code = "queue-full"


class NotReady(MixturaError):
    """Something that the service stands on cannot be reached."""

    code = "not-ready"


class GivenUp(NotReady):
    """A stored file was not registered for so long that it may not be any more; its writer removes it."""


class ArtifactCorrupt(MixturaError):
    """A stored file is not what was stored."""

    code = "artifact-corrupt"
