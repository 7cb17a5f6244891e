"""How many rows, features and groups."""

__all__ = ["Shape"]

from typing import NamedTuple


class Shape(NamedTuple):
    """n rows of d features in k groups."""

    n: int
    d: int
    k: int

    def __str__(self) -> str:
        return f"{self.n:_} × {self.d}, k = {self.k}".replace("_", " ")
