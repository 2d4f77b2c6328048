"""The border of a sliding window, for convolution and pooling."""

from typing import Any

from smartmem.dialects.layout.build import number
from smartmem.dialects.layout.ops import element_type
from smartmem.passes.analysis.windows import Window
from smartmem.passes.lower.builder import Lowering, padded


def pad_physical(low: Lowering, value: Any, window: Window, fill: float) -> Any:
    """The physical tensor of ``value`` [N, C, *spatial] with the window's border of ``fill``.

    Where the innermost axis in memory is padded, the producer is fenced off: IREE's vectoriser
    would round the start of its store down to a whole vector (docs/iree-miscompiles.md).
    """
    order = low.layout(value).order
    logical_low, logical_high = (0, 0, *window.pad_low), (0, 0, *window.pad_high)
    physical_low = [logical_low[a] for a in order]
    physical_high = [logical_high[a] for a in order]
    held = low.value(value)
    if physical_low[-1]:
        held = low.fenced(held)
    return padded(held, physical_low, physical_high, number(fill, element_type(value)))
