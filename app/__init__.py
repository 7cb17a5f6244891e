"""The Mixtura service: fits, a registry of immutable versions, and their serving over HTTP."""
