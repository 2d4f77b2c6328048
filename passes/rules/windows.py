"""Which windows get a kernel of their own: facts about convolutions and poolings, no change of IR.

Left to IREE, a convolution or pooling over a batch of one loses its name on the way (unit dims are
folded), and the code that is then made for Vulkan computes one element per invocation, from a
padded copy of its input. In a dispatch region of its own it keeps its name: IREE tiles it in vec4,
and the border is read inside the kernel, without the fill and the copy. So does a depthwise
convolution, as the named op whose loops run in memory order. A grouped one does as a chain of sums,
one per tap of its window (``lower/taps.py``). What IREE cannot tile gains nothing: there every
element that is read would ask whether it lies in the border.
"""

from dataclasses import dataclass
from typing import Any

from smartmem.dialects._mlir import ir
from smartmem.dialects.layout.attributes import ints, repr_of
from smartmem.dialects.layout.ops import ConvOp, PoolOp, shape
from smartmem.dialects.layouts import Layout
from smartmem.passes.analysis.taps import LANES, Taps
from smartmem.passes.analysis.windows import Window
from smartmem.passes.target import DeviceKind

# What IREE's SPIR-V code generator asks of channels-last windows before it tiles them in vec4, on
# all its Vulkan targets: the innermost dim of the result, and channels it can load whole.
_RESULT_CHANNELS = 8
_INPUT_CHANNELS = 4
# Sums that a chain has at most, each of them unrolled. A 3x3 window over groups of 32 has 72, and
# compiles in 2 s; longer ones were not tried.
_MOST_SUMS = 128


@dataclass(frozen=True)
class Verdict:
    """A decision and why it was made, in words for the report."""

    taken: bool
    reason: str


def own_kernel(op: Any, device: DeviceKind) -> Verdict:
    """Whether the window ``op`` is given a dispatch region of its own."""
    if isinstance(op, ConvOp):
        return _conv(op, device)
    if isinstance(op, PoolOp):
        return _pool(op, device)
    return Verdict(False, "no sliding window")


def _conv(op: Any, device: DeviceKind) -> Verdict:
    outputs, inputs = shape(op.weight)[:2]
    if device != "vulkan":
        return Verdict(False, "index maths in a hot reduction, on a CPU")
    if _is_grouped(op) and not is_depthwise(op):
        return _grouped(op)
    if window_of(op).side_by_side():
        return Verdict(False, "windows side by side are a matmul")
    if not is_named(op):
        return Verdict(False, "not a channels-last image: IREE has no tiles for it")
    if is_depthwise(op):
        inputs = outputs
    if outputs % _RESULT_CHANNELS or (inputs % _INPUT_CHANNELS and inputs > _INPUT_CHANNELS):
        return Verdict(False, f"{inputs} to {outputs} channels: IREE makes a scalar kernel")
    return Verdict(True, "tiled in vec4; the border is read inside the kernel")


def taps_of(op: Any) -> Taps | None:
    """The taps of the window of ``op`` if a chain of sums makes it in a kernel of its own."""
    if not isinstance(op, ConvOp) or not _is_grouped(op) or is_depthwise(op):
        return None
    return Taps.of(op) if _grouped(op).taken else None


def _grouped(op: ConvOp) -> Verdict:
    """A chain of sums reads four channels of a group and writes four."""
    taps = Taps.of(op)
    if not is_channels_last(op):
        return Verdict(False, "not a channels-last image: IREE has no tiles for it")
    if taps is None:
        return Verdict(False, "grouped, and the stride does not divide the image")
    if taps.inputs % LANES or taps.outputs % LANES:
        sizes = f"groups of {taps.inputs} to {taps.outputs} channels"
        return Verdict(False, f"{sizes}: IREE makes a scalar kernel, which would ask often")
    if taps.sums > _MOST_SUMS:
        return Verdict(False, f"grouped: {taps.sums} sums are too many for one kernel")
    return Verdict(True, "one sum of products per tap; the border is read inside the kernel")


def _pool(op: Any, device: DeviceKind) -> Verdict:
    if device != "vulkan":
        return Verdict(False, "fused by IREE's CPU code as it is")
    if not is_named(op):
        return Verdict(False, "not a channels-last image: IREE has no tiles for it")
    channels = shape(op.input)[1]
    if channels % _RESULT_CHANNELS:
        return Verdict(False, f"{channels} channels: IREE makes a scalar kernel")
    return Verdict(True, "tiled in vec4; the border is read inside the kernel")


def _is_grouped(op: ConvOp) -> bool:
    return ir.IntegerAttr(op.attributes["groups"]).value > 1


def is_depthwise(op: ConvOp) -> bool:
    """Whether each channel is convolved by itself, once."""
    outputs, inputs = shape(op.weight)[:2]
    return _is_grouped(op) and inputs == 1 and outputs == shape(op.input)[1]


def window_of(op: Any) -> Window:
    """The window of a convolution or pooling."""
    kernel = shape(op.weight)[2:] if isinstance(op, ConvOp) else ints(op.attributes["kernel"])
    return Window.of(op, kernel)


def is_product(op: ConvOp) -> bool:
    """Whether a convolution is a matmul: of windows side by side, over all channels."""
    return not _is_grouped(op) and window_of(op).side_by_side()


def is_pointwise(op: ConvOp) -> bool:
    """Whether a convolution is a matmul over the channels of each element."""
    return is_product(op) and all(size == 1 for size in window_of(op).kernel)


def is_named(op: Any) -> bool:
    """Whether ``op`` is a window over an image, in the layouts of linalg's named NHWC ops."""
    return len(shape(op.input)) == 4 and is_channels_last(op)


def is_channels_last(op: Any) -> bool:
    """Whether image and result of ``op`` lie channels last, and a kernel as [*window, C, O]."""
    rank = len(shape(op.input))
    last = Layout.channels_last(rank)
    if any(layout_of(v) != last for v in (op.input, op.result)):
        return False
    return not isinstance(op, ConvOp) or layout_of(op.weight) == Layout((*range(2, rank), 1, 0))


def layout_of(value: Any) -> Layout:
    """The layout of a tensor value."""
    return repr_of(ir.RankedTensorType(value.type)).layout
