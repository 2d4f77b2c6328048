"""Convolutions, by the cheapest form that is right on every device.

A window that never overlaps (1x1, or as large as its stride) is a contraction over a reshaped
input. A depthwise convolution loops in the order of its result: IREE's NCHW named op is silently
wrong on Vulkan, because two ops of one kernel then hand data between invocations without a barrier
(docs/iree-miscompiles.md). In a kernel of its own it is the channels-last named op, and a grouped
one a chain of sums (``taps.py``). The rest are channels-last named ops where the layout allows,
else a generic in the result's order.
"""

from collections.abc import Sequence
from typing import Any

from smartmem.dialects._mlir import ir, linalg
from smartmem.dialects.layout.ops import ConvOp, ElementwiseOp, element_type, shape
from smartmem.passes.analysis.blocks import block_of
from smartmem.passes.analysis.joins import producer
from smartmem.passes.analysis.products import Patches
from smartmem.passes.analysis.reads import is_read_in_place
from smartmem.passes.analysis.windows import Window
from smartmem.passes.lower import scalars
from smartmem.passes.lower.builder import (
    Lowering,
    Operand,
    accumulator,
    dim,
    dims,
    expanded,
    filled,
    generic,
    narrowed,
    pointwise,
    reassociated,
    sliced,
    widened,
)
from smartmem.passes.lower.contraction import operand, plain, sum_of_products, sum_of_reads
from smartmem.passes.lower.factors import broadcast, function_of, itself
from smartmem.passes.lower.registry import lowers
from smartmem.passes.lower.taps import tapped
from smartmem.passes.lower.windows import named_window, pad_physical
from smartmem.passes.rules.windows import is_depthwise, is_product, taps_of

_CHANNELS_LAST = {
    1: linalg.Conv1DNwcWcfOp,
    2: linalg.Conv2DNhwcHwcfOp,
    3: linalg.Conv3DNdhwcDhwcfOp,
}


@lowers(ConvOp)
def conv(low: Lowering, op: Any) -> Any:
    """Choose the form."""
    window = Window.of(op, shape(op.weight)[2:])
    groups = ir.IntegerAttr(op.attributes["groups"]).value
    if is_product(op):
        return _tiled(low, op, window)
    taps = taps_of(op) if block_of(op) is not None else None
    if taps is not None:
        return tapped(low, op, taps)
    x = pad_physical(low, op, window, 0.0)
    if block_of(op) is not None and is_depthwise(op):
        return _depthwise(low, op, x, window)
    if groups > 1:
        return _grouped(low, op, x, window, groups)
    last = (0, *range(2, len(shape(op.input))), 1)
    kernel_last = (*range(2, len(shape(op.weight))), 1, 0)
    orders = [low.layout(v).order for v in (op.input, op.weight, op.result)]
    if orders == [last, kernel_last, last]:
        return _named(op, x, low.value(op.weight), window, low.physical_shape(op.result))
    return _generic(low, op, x, window)


def _tiled(low: Lowering, op: Any, window: Window) -> Any:
    """Windows side by side: a matmul of patches [N, *position, window and channels] and weights.

    The patches are written out, one copy, but where our tiles read them in place (``rules/reads``).
    A window of one element is a contraction as it is.
    """
    if block_of(op) is not None and all(size == 1 for size in window.kernel):
        return _pointwise(low, op, window)
    patches = Patches.of(op)
    maker = producer(op.input)
    if isinstance(maker, ElementwiseOp) and is_read_in_place(maker):
        return _of_function(low, op, maker, patches)
    axes = [[patches.extents[d] for d in loops] for loops in patches.image_axes]
    x, x_map = expanded(_cropped(low, op, window), axes), patches.image
    if any(size > 1 for size in window.kernel) and not is_read_in_place(op):
        x, x_map = _reordered(x, x_map, patches.written_out), patches.written_out
    return sum_of_products(
        [x, low.value(op.weight)],
        [x_map, patches.weight, patches.result],
        patches.extents,
        element_type(op.result),
    )


def _of_function(low: Lowering, op: Any, maker: ElementwiseOp, patches: Patches) -> Any:
    """The matmul of an image that is not made, but computed where it is read."""
    order = low.layout(op.input).order
    along = {axis: patches.image_axes[place] for place, axis in enumerate(order)}
    values: list[Any] = []
    maps: list[tuple[int, ...]] = []
    for v, held, axes in broadcast(low, maker):
        loops = [along[axis] for axis in axes]
        sizes = [[patches.extents[d] for d in dims_] for dims_ in loops]
        values.append(expanded(low.value(v) if held is None else held, sizes))
        maps.append(tuple(d for dims_ in loops for d in dims_))
    return sum_of_products(
        [*values, low.value(op.weight)],
        [*maps, patches.weight, patches.result],
        patches.extents,
        element_type(op.result),
        [(function_of(maker), len(values)), (itself, 1)],
    )


def _pointwise(low: Lowering, op: Any, window: Window) -> Any:
    """Windows of one element in a kernel of their own: a contraction over the channels. Loops of
    one step, which IREE removes elsewhere, would be in the way of the tiles there.
    """
    rank = len(shape(op.input))
    batch, *position = range(rank - 1)
    outputs, channels, *offset = range(rank - 1, 2 * rank - 1)
    seen = [batch, channels, *position]
    maker = producer(op.input)
    if isinstance(maker, ElementwiseOp) and is_read_in_place(maker):
        image = operand(low, op.input, seen)
    else:
        image = plain(_cropped(low, op, window), low.write(op.input, seen))
    weight = plain(low.value(op.weight), low.write(op.weight, [outputs, channels, *offset]))
    reads = [image, weight]
    loops = low.write(op.result, [batch, outputs, *position])
    return sum_of_reads(reads, loops, low.physical_shape(op.result), element_type(op.result))


def _reordered(value: Any, axes: Sequence[int], wanted: Sequence[int]) -> Any:
    """``value``, whose axes are called ``axes``, copied with its axes in the order ``wanted``."""
    sizes = dict(zip(axes, shape(value), strict=True))
    read = Operand(value, dims([wanted.index(axis) for axis in axes]))
    return pointwise([read], [sizes[a] for a in wanted], element_type(value), lambda s: s)


def _cropped(low: Lowering, op: Any, window: Window) -> Any:
    """The input without the border no window reaches."""
    own, out = shape(op.input), shape(op.result)
    used = (*own[:2], *[o * k for o, k in zip(out[2:], window.kernel, strict=True)])
    value = low.value(op.input)
    if used == own:
        return value
    order = low.layout(op.input).order
    return sliced(value, [0] * len(own), [used[a] for a in order], [1] * len(own))


def _named(op: Any, x: Any, weight: Any, window: Window, out: Sequence[int]) -> Any:
    element = element_type(op.result)
    wide = accumulator(element)
    named = _CHANNELS_LAST[len(window.kernel)]
    init = filled(0, out, wide)
    return narrowed(named_window(named, [x, weight], init, window), element)


def _depthwise(low: Lowering, op: Any, x: Any, window: Window) -> Any:
    """linalg's named channels-last op, with the kernel as [window, C]."""
    weight = reassociated(low.value(op.weight), [[0], [1], [2, 3]])
    element = element_type(op.result)
    wide = accumulator(element)
    init = filled(0, low.physical_shape(op.result), wide)
    named = linalg.DepthwiseConv2DNhwcHwcOp
    return narrowed(named_window(named, [x, weight], init, window), element)


def _reader(window: Window, position: Sequence[int], offset: Sequence[int]) -> list[Any]:
    return [
        dim(p) * s + dim(k) * d
        for p, s, k, d in zip(position, window.strides, offset, window.dilations, strict=True)
    ]


def _generic(low: Lowering, op: Any, x: Any, window: Window) -> Any:
    """Any layout: the parallel loops in the result's physical order, then channel and window."""
    spatial = len(window.kernel)
    order = low.layout(op.result).order
    loop = {axis: position for position, axis in enumerate(order)}
    c, offset = len(order), [len(order) + 1 + i for i in range(spatial)]
    position = [loop[2 + i] for i in range(spatial)]
    x_exprs = [dim(loop[0]), dim(c), *_reader(window, position, offset)]
    w_exprs = [dim(loop[1]), dim(c), *dims(offset)]
    operands = [
        Operand(x, low.write(op.input, x_exprs)),
        Operand(low.value(op.weight), low.write(op.weight, w_exprs)),
    ]
    return _accumulate(
        operands, low.physical_shape(op.result), 1 + spatial, element_type(op.result)
    )


def _accumulate(
    operands: Sequence[Operand], out: Sequence[int], reductions: int, element: Any
) -> Any:
    wide = accumulator(element)
    loops = ["parallel"] * len(out) + ["reduction"] * reductions

    def body(a: Any, b: Any, total: Any) -> Any:
        return scalars.add(total, scalars.mul(widened(a, wide), widened(b, wide)))

    init = filled(0, out, wide)
    return narrowed(generic(operands, init, dims(range(len(out))), loops, body), element)


def _grouped(low: Lowering, op: Any, x: Any, window: Window, groups: int) -> Any:
    """The channel axes split into (group, channel of the group); depthwise has one channel on both
    sides.
    """
    spatial = len(window.kernel)
    per_in, per_out = shape(op.weight)[1], shape(op.weight)[0] // groups
    order = low.layout(op.result).order
    out_axes: list[tuple[int, int]] = []
    for axis in order:
        size = shape(op.result)[axis]
        if axis != 1:
            out_axes.append((axis, size))
        else:
            out_axes.append((1, groups))
            if per_out > 1:
                out_axes.append((-1, per_out))
    loop = {axis: position for position, (axis, _) in enumerate(out_axes)}
    rank = len(out_axes)
    offset = [rank + i for i in range(spatial)]
    channel = rank + spatial
    position = [loop[2 + i] for i in range(spatial)]
    reader = _reader(window, position, offset)
    x_value = _split_axis(x, low.layout(op.input).order.index(1), groups, per_in)
    x_exprs: list[Any] = []
    for axis in low.layout(op.input).order:
        if axis == 1:
            x_exprs += [dim(loop[1])] + ([dim(channel)] if per_in > 1 else [])
        else:
            x_exprs.append(dim(loop[0]) if axis == 0 else reader[axis - 2])
    w_order = low.layout(op.weight).order
    weight = low.value(op.weight)
    w_exprs: list[Any] = []
    for axis in w_order:
        if axis == 0:
            w_exprs += [dim(loop[1])] + ([dim(loop[-1])] if per_out > 1 else [])
        elif axis == 1:
            w_exprs += [dim(channel)] if per_in > 1 else []
        else:
            w_exprs.append(dim(offset[axis - 2]))
    weight = _split_axis(weight, w_order.index(0), groups, per_out)
    if per_in == 1:
        weight = _drop_unit(weight, w_order, per_out)
    operands = [Operand(x_value, tuple(x_exprs)), Operand(weight, tuple(w_exprs))]
    reductions = spatial + (1 if per_in > 1 else 0)
    result = _accumulate(operands, [s for _, s in out_axes], reductions, element_type(op.result))
    if per_out == 1:
        return result
    at = order.index(1)
    return reassociated(
        result, [[i + (i > at), *([at + 1] if i == at else [])] for i in range(len(order))]
    )


def _split_axis(value: Any, axis: int, outer: int, inner: int) -> Any:
    """Axis ``axis`` as (outer, inner), where inner is more than 1."""
    if inner == 1:
        return value
    return expanded(
        value, [[outer, inner] if i == axis else [s] for i, s in enumerate(shape(value))]
    )


def _drop_unit(weight: Any, order: Sequence[int], per_out: int) -> Any:
    """The weight without its input-channel axis of size 1, merged into a neighbour."""
    axes: list[list[int]] = []
    position = 0
    pending: list[int] = []
    for axis in order:
        width = 2 if axis == 0 and per_out > 1 else 1
        here = list(range(position, position + width))
        position += width
        if axis == 1:
            if axes:
                axes[-1] += here
            else:
                pending = here
            continue
        axes.append([*pending, here[0]])
        axes += [[h] for h in here[1:]]
        pending = []
    return reassociated(weight, axes)
