"""Files: models and datasets, each written whole or not at all."""

import hashlib
import os
import shutil
import tempfile
from pathlib import Path
from urllib.parse import unquote, urlsplit

from app.domain.errors import ArtifactCorrupt, NotReady
from app.domain.registry import ArtifactRef


class ArtifactStore:
    """A directory of immutable files, addressed by keys such as `models/<id>.safetensors`."""

    def __init__(self, root: Path) -> None:
        self.root = root
        root.mkdir(parents=True, exist_ok=True)

    @classmethod
    def from_url(cls, url: str) -> "ArtifactStore":
        """The store at a `file://` URL; raises `ValueError` for any other scheme."""
        parts = urlsplit(url)
        if parts.scheme != "file" or parts.netloc:
            raise ValueError(f"MIXTURA_ARTIFACTS_URL is {url!r}; this release stores files under file:///directory")
        return cls(Path(unquote(parts.path)))

    def path(self, key: str) -> Path:
        """Where the file of a key is, for readers that map it into memory."""
        return self.root / key

    def put(self, key: str, content: bytes) -> ArtifactRef:
        """Stores the bytes: a temporary file, fsynced, renamed, its directory fsynced."""
        target = self._target(key)
        descriptor, name = tempfile.mkstemp(dir=target.parent, prefix=".new-")
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            self._publish(Path(name), target)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
        return ArtifactRef(key, hashlib.sha256(content).hexdigest(), len(content))

    def adopt(self, key: str, file: Path) -> None:
        """Stores a finished file by moving it in."""
        target = self._target(key)
        if file.stat().st_dev != target.parent.stat().st_dev:
            file = Path(shutil.move(file, target.parent / f".new-{file.name}"))
        with file.open("rb") as handle:
            os.fsync(handle.fileno())
        self._publish(file, target)

    def get(self, ref: ArtifactRef) -> bytes:
        """The bytes, verified; raises `ArtifactCorrupt` when they are not those that were stored."""
        try:
            content = self.path(ref.key).read_bytes()
        except FileNotFoundError:
            raise ArtifactCorrupt(f"The stored file of this version ({ref.sha256[:12]}…) is gone.") from None
        if hashlib.sha256(content).hexdigest() != ref.sha256:
            raise ArtifactCorrupt(
                f"The stored file of this version no longer has the checksum {ref.sha256[:12]}… "
                "that it was written with."
            )
        return content

    def delete(self, key: str) -> None:
        """Removes the file, if it is there."""
        self.path(key).unlink(missing_ok=True)

    def ping(self) -> None:
        """Raises `NotReady` when nothing can be written."""
        if not os.access(self.root, os.W_OK):
            raise NotReady("The artifact store cannot be written.")

    def _target(self, key: str) -> Path:
        target = self.path(key)
        target.parent.mkdir(parents=True, exist_ok=True)
        return target

    def _publish(self, file: Path, target: Path) -> None:
        file.chmod(0o644)
        file.rename(target)
        directory = os.open(target.parent, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
