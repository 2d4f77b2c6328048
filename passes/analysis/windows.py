"""Sliding windows of convolutions and poolings, as values."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from smartmem.dialects.layout.attributes import ints


@dataclass(frozen=True)
class Window:
    """One entry per spatial dim."""

    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    pad_low: tuple[int, ...]
    pad_high: tuple[int, ...]

    @classmethod
    def of(cls, op: Any, kernel: Sequence[int]) -> "Window":
        """The window of a conv or pool op."""
        names = ("strides", "dilations", "pad_low", "pad_high")
        strides, dilations, low, high = (ints(op.attributes[n]) for n in names)
        return cls(tuple(kernel), strides, dilations, low, high)

    def side_by_side(self) -> bool:
        """Whether the windows lie side by side without padding, overlap or gaps."""
        return (
            self.kernel == self.strides
            and not any((*self.pad_low, *self.pad_high))
            and all(d == 1 or k == 1 for d, k in zip(self.dilations, self.kernel, strict=True))
        )
