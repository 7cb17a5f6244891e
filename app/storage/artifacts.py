"""Files: models and datasets, each written whole or not at all."""

import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO
from urllib.parse import unquote, urlsplit

from app.domain.errors import ArtifactCorrupt, NotReady
from app.domain.registry import ArtifactRef

_UNFINISHED = ".new-"


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
        """Stores the bytes; raises `NotReady` when they cannot be written."""
        return self.write(key, lambda file: file.write(content))

    def write(self, key: str, save: Callable[[IO[bytes]], object]) -> ArtifactRef:
        """Stores what `save` writes: beside its place, fsynced, renamed, its directory fsynced.

        A key has one writer. Raises `NotReady` when nothing can be written, and leaves nothing then.
        """
        target = self.path(key)
        unfinished = _unfinished(target)
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                with unfinished.open("wb") as file:
                    save(file)
                    file.flush()
                    os.fsync(file.fileno())
                ref = measure(key, unfinished)
                _publish(unfinished, target)
            except BaseException:
                unfinished.unlink(missing_ok=True)
                raise
        except OSError as error:
            raise NotReady(f"The artifact store cannot be written: {error.strerror}.") from error
        return ref

    def get(self, ref: ArtifactRef) -> bytes:
        """The bytes, verified; raises `ArtifactCorrupt` when they are not those that were stored."""
        try:
            content = self.path(ref.key).read_bytes()
        except OSError as error:
            raise _unreadable(ref, error) from error
        _compare(ref, hashlib.sha256(content).hexdigest())
        return content

    def verify(self, ref: ArtifactRef) -> None:
        """Raises `ArtifactCorrupt` as `get` does, without holding the file in memory."""
        try:
            found = measure(ref.key, self.path(ref.key))
        except OSError as error:
            raise _unreadable(ref, error) from error
        _compare(ref, found.sha256)

    def copy(self, key: str, to: Path) -> ArtifactRef:
        """Copies the file out, fsynced; what was copied. Raises `ArtifactCorrupt` when it cannot be read."""
        try:
            source = self.path(key).open("rb")
        except OSError as error:
            raise ArtifactCorrupt(f"The stored file cannot be read: {error.strerror}.") from error
        to.parent.mkdir(parents=True, exist_ok=True)
        with source, to.open("wb") as target:
            shutil.copyfileobj(source, target, 2**20)
            target.flush()
            os.fsync(target.fileno())
        return measure(key, to)

    def stamp(self, key: str) -> tuple[int, ...] | None:
        """What changes when somebody writes to the file; None when it is gone."""
        try:
            found = self.path(key).stat()
        except OSError:
            return None
        return (found.st_ino, found.st_size, found.st_mtime_ns)

    def delete(self, key: str) -> None:
        """Removes the file and what a writer of it left, if they are there."""
        target = self.path(key)
        target.unlink(missing_ok=True)
        _unfinished(target).unlink(missing_ok=True)

    def all_keys(self) -> Iterator[str]:
        """The keys of all files, unfinished ones left out."""
        for directory, _, names in os.walk(self.root):
            for name in names:
                if not name.startswith(_UNFINISHED):
                    yield (Path(directory) / name).relative_to(self.root).as_posix()

    def ping(self) -> None:
        """Raises `NotReady` when nothing can be written."""
        if not os.access(self.root, os.W_OK):
            raise NotReady("The artifact store cannot be written.")


def _unfinished(target: Path) -> Path:
    return target.with_name(_UNFINISHED + target.name)


def measure(key: str, path: Path) -> ArtifactRef:
    """The checksum and size of a file."""
    with path.open("rb") as file:
        return ArtifactRef(key, hashlib.file_digest(file, "sha256").hexdigest(), os.fstat(file.fileno()).st_size)


def _compare(ref: ArtifactRef, sha256: str) -> None:
    if sha256 != ref.sha256:
        raise ArtifactCorrupt(
            f"The stored file no longer has the checksum {ref.sha256[:12]}… that it was written with."
        )


def _unreadable(ref: ArtifactRef, error: OSError) -> ArtifactCorrupt:
    if isinstance(error, FileNotFoundError):
        return ArtifactCorrupt(f"The stored file ({ref.sha256[:12]}…) is gone.")
    return ArtifactCorrupt(f"The stored file ({ref.sha256[:12]}…) cannot be read: {error.strerror}.")


def _publish(file: Path, target: Path) -> None:
    file.chmod(0o644)
    file.rename(target)
    directory = os.open(target.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
