"""Where a fit stands, as bytes: the arrays of its `State`, by which another process goes on to the same bits."""

from importlib.metadata import version

import numpy as np
from safetensors.numpy import load, save

from app.services.model_file import metadata_of
from core.state import State

# A release may change what a fit keeps: what another one wrote is not read.
MADE_BY = f"mixtura {version('mixtura')}, numpy {np.__version__}"


def to_bytes(state: State) -> bytes:
    """The state as safetensors, with the releases that made it."""
    arrays = {name: np.ascontiguousarray(array) for name, array in state.to_arrays().items()}
    return save(arrays, metadata={"made_by": MADE_BY})


def from_bytes(content: bytes) -> State | None:
    """Back from `to_bytes`; None for what other releases made: that fit begins anew."""
    return State.from_arrays(load(content)) if metadata_of(content)["made_by"] == MADE_BY else None
