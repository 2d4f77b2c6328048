"""A grouped convolution in a kernel of its own: a chain of sums of products, one for each tap of
its window and each four channels, that add up in one result.

Each is a contraction that IREE's code generator tiles and vectorises, with tiles of ours; as one op
over a window it would be computed element by element. A border is part of what its tap reads, so it
is asked for once per tap and not once per element.
"""

from typing import Any

from smartmem.dialects.layout.build import number
from smartmem.dialects.layout.ops import element_type, shape
from smartmem.passes.analysis.taps import LANES, Taps
from smartmem.passes.lower import scalars
from smartmem.passes.lower.builder import (
    Lowering,
    Operand,
    accumulator,
    cut_out,
    dims,
    expanded,
    filled,
    generic,
    narrowed,
    padded,
    reassociated,
    widened,
)


def tapped(low: Lowering, op: Any, taps: Taps) -> Any:
    """The physical result [N, *positions, C] of the channels-last convolution ``op``, whose kernel
    lies as [*window, C of a group, C].
    """
    spatial = len(taps.positions)
    split = zip(taps.blocks, taps.strides, strict=True)
    image = expanded(
        low.value(op.input), [[taps.batch], *map(list, split), [taps.groups, taps.inputs]]
    )
    kernel = [[size] for size in shape(low.value(op.weight))[:-1]]
    weight = expanded(low.value(op.weight), [*kernel, [taps.groups, taps.outputs]])
    element = element_type(op.result)
    wide = accumulator(element)
    sizes = [taps.batch, *taps.positions, taps.groups, taps.outputs]
    total = filled(0, sizes, wide)
    # Loops: batch, positions, groups, channels of a group, and the channels that are summed.
    rank = len(sizes)
    loops = ["parallel"] * rank + ["reduction"]
    x_map = dims([*range(rank - 1), rank])
    w_map = dims([rank, rank - 2, rank - 1])

    def body(a: Any, b: Any, sofar: Any) -> Any:
        return scalars.add(sofar, scalars.mul(widened(a, wide), widened(b, wide)))

    for place in taps.places:
        for channel in range(0, taps.inputs, LANES):
            x = _seen(image, taps, place, channel)
            starts = [*place, channel, 0, 0]
            wanted = [*[1] * spatial, LANES, taps.groups, taps.outputs]
            w = cut_out(weight, starts, wanted, range(spatial, spatial + 3))
            operands = [Operand(x, x_map), Operand(w, w_map)]
            total = generic(operands, total, dims(range(rank)), loops, body)
    axes = [[axis] for axis in range(rank - 2)]
    return reassociated(narrowed(total, element), [*axes, [rank - 2, rank - 1]])


def _seen(image: Any, taps: Taps, place: tuple[int, ...], channel: int) -> Any:
    """What a tap reads of four channels of each group: [N, *positions, groups, 4]."""
    spans = taps.spans_at(place)
    starts, sizes = [0], [taps.batch]
    for span in spans:
        starts += [span.start, span.phase]
        sizes += [span.length, 1]
    starts += [0, channel]
    sizes += [taps.groups, LANES]
    blocks = range(1, 2 * len(spans), 2)
    part = cut_out(image, starts, sizes, [0, *blocks, 2 * len(spans) + 1, 2 * len(spans) + 2])
    low = [0, *(span.low for span in spans), 0, 0]
    high = [0, *(span.high for span in spans), 0, 0]
    return padded(part, low, high, number(0.0, element_type(part)))
