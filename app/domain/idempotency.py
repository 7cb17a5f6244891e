"""An `Idempotency-Key` and the request it came with."""

from dataclasses import dataclass


@dataclass(frozen=True)
class IdempotencyKey:
    """`scope` is the operation, `fingerprint` the sha256 of all that the request said."""

    scope: str
    key: str
    fingerprint: str
