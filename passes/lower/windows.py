"""Sliding windows, shared by convolution and pooling."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from smartmem.dialects.layout.attributes import ints
from smartmem.dialects.layout.build import number
from smartmem.dialects.layout.ops import element_type, shape
from smartmem.passes.lower.builder import Lowering, padded


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

    def tiles(self, spatial: Sequence[int]) -> bool:
        """Whether the windows lie side by side without padding, overlap or gaps."""
        return (
            self.kernel == self.strides
            and not any((*self.pad_low, *self.pad_high))
            and all(d == 1 or k == 1 for d, k in zip(self.dilations, self.kernel, strict=True))
        )


def pad_physical(low: Lowering, value: Any, window: Window, fill: float) -> Any:
    """The physical tensor of ``value`` [N, C, *spatial] with the window's border of ``fill``.

    Where the innermost axis in memory is padded, the producer is fenced off: IREE's vectoriser would round the start
    of its store down to a whole vector (docs/iree-miscompiles.md).
    """
    order = low.layout(value).order
    logical_low, logical_high = (0, 0, *window.pad_low), (0, 0, *window.pad_high)
    physical_low = [logical_low[a] for a in order]
    physical_high = [logical_high[a] for a in order]
    held = low.value(value)
    if physical_low[-1]:
        held = low.fenced(held)
    return padded(held, physical_low, physical_high, number(fill, element_type(value)))


def spatial_rank(value: Any) -> int:
    """Number of spatial dims of a tensor [N, C, *spatial]."""
    return len(shape(value)) - 2
