"""Loaded versions, kept: a version never changes, so what was loaded once stays right."""

import threading
from collections import OrderedDict

from app.domain.errors import ArtifactCorrupt
from app.domain.registry import Version
from app.services.inference import Served, serve
from app.services.model_file import from_bytes
from app.services.registry import RegistryService

KEPT = 64


class ModelLoader:
    """The most recently served versions, by the file that they were loaded from."""

    def __init__(self, registry: RegistryService) -> None:
        self._registry = registry
        self._lock = threading.Lock()
        self._loaded: OrderedDict[str, Served] = OrderedDict()

    def load(self, name: str, reference: str | None) -> Served:
        """The version that the reference means, ready to serve; raises as `RegistryService.version` does."""
        version = self._registry.version(name, reference)
        while True:
            with self._lock:
                served = self._loaded.get(version.artifact.key)
                if served is not None:
                    self._loaded.move_to_end(version.artifact.key)
                    return served
            try:
                return self._read(version)
            except ArtifactCorrupt:
                # Its file may be gone because it was deleted meanwhile, and the reference means another one now.
                now = self._registry.version(name, reference)
                if now.artifact == version.artifact:
                    raise
                version = now

    def _read(self, version: Version) -> Served:
        fitted = from_bytes(self._registry.artifact(version))
        served = serve(version.model, version.version, fitted)
        with self._lock:
            self._loaded[version.artifact.key] = served
            while len(self._loaded) > KEPT:
                self._loaded.popitem(last=False)
        return served
