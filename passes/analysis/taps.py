"""A grouped convolution as sums of products, one for each place in its window (*tap*) and each four
channels of a group: what a tap reads of the image is a box, and a border around it.

An image's dim is split into (block, phase), as long as the stride, so that what a tap reads of it
lies in steps of one: of stride 2, tap 0 with a border of one reads phase 1 of the block before.
"""

from dataclasses import dataclass
from itertools import product
from math import prod

from smartmem.dialects._mlir import ir
from smartmem.dialects.layout.ops import ConvOp, shape
from smartmem.passes.analysis.windows import Window

# Channels that one sum takes, and columns that one thread makes: a vec4 each.
LANES = 4


@dataclass(frozen=True)
class Span:
    """What one tap reads along one dim of the image: of each block its ``phase``, ``length`` blocks
    from ``start``; ``low`` and ``high`` more lie in the border.
    """

    phase: int
    start: int
    length: int
    low: int
    high: int


@dataclass(frozen=True)
class Taps:
    """The sizes of a grouped convolution: batch, groups, channels of a group in and out, positions;
    per spatial dim the blocks of the image, the stride, and the span of each tap.
    """

    batch: int
    groups: int
    inputs: int
    outputs: int
    positions: tuple[int, ...]
    blocks: tuple[int, ...]
    strides: tuple[int, ...]
    spans: tuple[tuple[Span, ...], ...]

    @classmethod
    def of(cls, op: ConvOp) -> "Taps | None":
        """None where the stride does not divide the image."""
        window = Window.of(op, shape(op.weight)[2:])
        sizes, positions = shape(op.input)[2:], shape(op.result)[2:]
        strides = window.strides
        if any(size % stride for size, stride in zip(sizes, strides, strict=True)):
            return None
        blocks = tuple(size // stride for size, stride in zip(sizes, strides, strict=True))
        groups = ir.IntegerAttr(op.attributes["groups"]).value
        outputs, inputs = shape(op.weight)[:2]
        spans = tuple(
            tuple(
                _span(tap * window.dilations[i] - window.pad_low[i], strides[i], blocks[i], places)
                for tap in range(window.kernel[i])
            )
            for i, places in enumerate(positions)
        )
        return cls(
            shape(op.input)[0],
            groups,
            inputs,
            outputs // groups,
            positions,
            blocks,
            strides,
            spans,
        )

    @property
    def places(self) -> list[tuple[int, ...]]:
        """The taps that read anything but border, by their place in the window."""
        every = product(*(range(len(along)) for along in self.spans))
        return [place for place in every if all(span.length > 0 for span in self.spans_at(place))]

    def spans_at(self, place: tuple[int, ...]) -> list[Span]:
        """What the tap at ``place`` reads, per spatial dim."""
        return [along[tap] for along, tap in zip(self.spans, place, strict=True)]

    @property
    def sums(self) -> int:
        """How many sums of products make the convolution."""
        return prod(map(len, self.spans)) * (self.inputs // LANES)


def _span(offset: int, stride: int, blocks: int, positions: int) -> Span:
    """Of position ``p`` the element ``p * stride + offset`` of the dim is read."""
    block, phase = divmod(offset, stride)
    low = min(max(-block, 0), positions)
    start = max(block, 0)
    length = max(min(blocks - start, positions - low), 0)
    return Span(phase, start, length, low, positions - low - length)
