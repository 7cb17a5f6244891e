"""How large a run is."""

__all__ = ["THREADS", "Settings"]

from dataclasses import dataclass
from pathlib import Path

from benchmarks.core.shapes import Shape
from benchmarks.core.timing import Pace

THREADS = 2


@dataclass(frozen=True)
class Settings:
    """`quick` makes the same lines of about a hundredth of the rows: their answers count, their times do not."""

    quick: bool
    plots: Path

    @property
    def pace(self) -> Pace:
        """How long a line goes on."""
        return Pace(0.0, 2, 2) if self.quick else Pace(3.0, 3, 5, rest=0.15)

    def shape(self, shape: Shape) -> Shape:
        """What stands for a shape."""
        if not self.quick:
            return shape
        return Shape(min(max(shape.n // 100, 500), shape.n), min(shape.d, 16), min(shape.k, 8))
