"""Loaded versions, kept as long as nobody writes to the files that they were loaded from."""

import threading
from collections import OrderedDict

from app.domain.errors import ArtifactCorrupt
from app.domain.registry import Version
from app.services.inference import Served, serve
from app.services.model_file import from_bytes
from app.services.registry import RegistryService

KEPT = 64

Stamp = tuple[int, ...] | None  # of a file: what a write to it changes


class ModelLoader:
    """The most recently served versions, by the file that they were loaded from."""

    def __init__(self, registry: RegistryService) -> None:
        self._registry = registry
        self._lock = threading.Lock()
        self._loaded: OrderedDict[str, tuple[Stamp, Served]] = OrderedDict()

    def load(self, name: str, reference: str | None) -> Served:
        """The version that the reference means, ready to serve; raises as `RegistryService.version` does.

        `ArtifactCorrupt` when its file is damaged, even if it was loaded before: every process answers alike.
        """
        version = self._registry.version(name, reference)
        while True:
            stamp = self._registry.artifact_stamp(version)
            with self._lock:
                kept = self._loaded.get(version.artifact.key)
                if kept is not None and kept[0] == stamp:
                    self._loaded.move_to_end(version.artifact.key)
                    return kept[1]
            try:
                return self._read(version, stamp)
            except ArtifactCorrupt:
                # Its file may be gone because it was deleted meanwhile, and the reference means another one now.
                now = self._registry.version(name, reference)
                if now.artifact == version.artifact:
                    raise
                version = now

    def _read(self, version: Version, stamp: Stamp) -> Served:
        fitted = from_bytes(self._registry.artifact(version))
        served = serve(version.model, version.version, fitted)
        with self._lock:
            self._loaded[version.artifact.key] = (stamp, served)
            while len(self._loaded) > KEPT:
                self._loaded.popitem(last=False)
        return served
