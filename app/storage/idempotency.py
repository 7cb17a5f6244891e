"""Answers kept under their `Idempotency-Key` for a day."""

from typing import Any

from sqlalchemy import Connection, delete, select, update

from app.domain.errors import IdempotencyKeyReused
from app.domain.idempotency import IdempotencyKey
from app.storage.database import MICROSECONDS, Clock, insert_ignore
from app.storage.tables import idempotency_keys as keys

_KEPT = 24 * 3600 * MICROSECONDS


def find(tx: Connection, key: IdempotencyKey) -> dict[str, Any] | None:
    """The answer kept for this request, or None. Raises `IdempotencyKeyReused` when the key served another."""
    row = tx.execute(
        select(keys.c.fingerprint, keys.c.answer).where(
            keys.c.scope == key.scope, keys.c.key == key.key, keys.c.created_at >= Clock() - _KEPT
        )
    ).one_or_none()
    if row is None:
        return None
    if row.fingerprint != key.fingerprint:
        raise IdempotencyKeyReused(
            f"The Idempotency-Key {key.key!r} was used within the last 24 hours with another request."
        )
    answer: dict[str, Any] = row.answer
    return answer


def reserve(tx: Connection, key: IdempotencyKey) -> dict[str, Any] | None:
    """Takes the key for this transaction; the answer when another one has taken it before.

    A second request with the same key waits here until the first has committed (or given up).
    """
    tx.execute(delete(keys).where(keys.c.created_at < Clock() - _KEPT))
    fresh = insert_ignore(
        tx,
        keys,
        {"scope": key.scope, "key": key.key, "fingerprint": key.fingerprint, "created_at": Clock()},
    )
    return None if fresh else find(tx, key)


def keep(tx: Connection, key: IdempotencyKey, answer: dict[str, Any]) -> None:
    """Keeps the answer under a key that this transaction reserved."""
    tx.execute(update(keys).where(keys.c.scope == key.scope, keys.c.key == key.key).values(answer=answer))
