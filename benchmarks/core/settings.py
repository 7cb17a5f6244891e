"""How large a run is."""

__all__ = ["THREADS", "Settings"]

from dataclasses import dataclass
from pathlib import Path

from benchmarks.core.shapes import Shape

THREADS = 2


@dataclass(frozen=True)
class Settings:
    """`quick` makes the same lines of about a hundredth of the rows: their answers count, their times do not."""

    quick: bool
    plots: Path

    @property
    def seconds(self) -> float:
        """What one line may take; a line makes some rounds however long they are."""
        return 0.1 if self.quick else 1.5

    def shape(self, shape: Shape) -> Shape:
        """What stands for a shape; with rows enough for its covariances."""
        return shape._replace(n=max(shape.n // 100, min(shape.n, 500), 2 * shape.d * shape.k)) if self.quick else shape
