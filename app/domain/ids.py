"""Identifiers: UUIDv7 strings, so that the order of ids is the order of creation."""

import uuid_utils


def new_id() -> str:
    """A fresh UUIDv7 (RFC 9562)."""
    return str(uuid_utils.uuid7())
