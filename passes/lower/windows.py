"""The border of a sliding window, for convolution and pooling."""

from collections.abc import Sequence
from typing import Any

from smartmem.dialects._mlir import ir, linalg
from smartmem.dialects.layout.build import number
from smartmem.dialects.layout.ops import element_type, shape
from smartmem.passes.analysis.windows import Window
from smartmem.passes.lower.builder import Lowering, padded, sliced


def pad_physical(low: Lowering, op: Any, window: Window, fill: float) -> Any:
    """The physical input [N, C, *spatial] of ``op`` with the window's border of ``fill``.

    Where the innermost axis in memory is padded, the producer is fenced off: IREE's vectoriser
    would round the start of its store down to a whole vector (docs/iree-miscompiles.md).
    """
    order = low.layout(op.input).order
    unread = (0, 0, *(_unread(op, window, i) for i in range(len(window.kernel))))
    logical_low = (0, 0, *window.pad_low)
    logical_high = [a - b for a, b in zip((0, 0, *window.pad_high), unread, strict=True)]
    physical_low = [logical_low[a] for a in order]
    physical_high = [logical_high[a] for a in order]
    held = low.value(op.input)
    if physical_low[-1]:
        held = low.fenced(held)
    fill_attribute = number(fill, element_type(op.input))
    held = padded(held, physical_low, [max(h, 0) for h in physical_high], fill_attribute)
    if min(physical_high) >= 0:
        return held
    sizes = [n + min(h, 0) for n, h in zip(shape(held), physical_high, strict=True)]
    return sliced(held, [0] * len(sizes), sizes, [1] * len(sizes))


def named_window(named: Any, inputs: Sequence[Any], init: Any, window: Window) -> Any:
    """One of linalg's named ops over a window, accumulating into ``init``."""
    built = named(
        [init.type],
        list(inputs),
        [init],
        strides=_elements(window.strides),
        dilations=_elements(window.dilations),
    )
    linalg.fill_builtin_region(built.operation)
    return built.results[0]


def _elements(values: Sequence[int]) -> Any:
    i64 = ir.IntegerType.get_signless(64)
    kind = ir.RankedTensorType.get([len(values)], i64)
    return ir.DenseElementsAttr.get([ir.IntegerAttr.get(i64, v) for v in values], type=kind)


def _unread(op: Any, window: Window, i: int) -> int:
    """Elements at the end of a spatial dim, border included, past its only window.

    Of a loop of one step nothing is left in IREE's index maps, and the rest would have to be as
    long as the window: more is an error there.
    """
    if shape(op.result)[2 + i] > 1:
        return 0
    given = shape(op.input)[2 + i] + window.pad_low[i] + window.pad_high[i]
    return given - (window.kernel[i] - 1) * window.dilations[i] - 1
