"""A border of zeros that a convolution reads becomes the border of its windows, and a border that a
view shows nothing of is gone.

    %0 = layout.pad %x {low = [0, 0, 0, 0], high = [0, 0, 1, 1], value = 0.0}
    %1 = layout.conv %0, %w {pad_low = [0, 0], pad_high = [0, 0]}
    ==>  %1 = layout.conv %x, %w {pad_low = [0, 0], pad_high = [1, 1]}

Models write it out where PyTorch's windows cannot have it: on one side only, or as wide as the
input's size asks for. Relative attention writes one to shift its rows, and cuts it off again.
Another reader of the bordered tensor keeps it. On entry and exit: valid layout dialect, row-major
everywhere.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

from smartmem.dialects._mlir import ir
from smartmem.dialects.algebra import IndexMap
from smartmem.dialects.expressions import interval
from smartmem.dialects.layout.attributes import ints
from smartmem.dialects.layout.build import i64_array
from smartmem.dialects.layout.maps import to_affine_map
from smartmem.dialects.layout.ops import ConvOp, PadOp, ViewOp, shape
from smartmem.passes.analysis.joins import producer
from smartmem.passes.base import PassReport, block_ops, erase_unused, functions
from smartmem.passes.eliminate_views import index_map_of

# Batch and channels, which no window slides over.
_OUTER = 2


def _border(conv: ConvOp) -> PadOp | None:
    """The pad before ``conv``, if it is a border of zeros around the dims of the window."""
    pad = producer(conv.input)
    if not isinstance(pad, PadOp) or any((*_low(pad)[:_OUTER], *_high(pad)[:_OUTER])):
        return None
    is_zero = isinstance(pad.value, ir.FloatAttr) and pad.value.value == 0.0
    return pad if is_zero else None


def _low(pad: PadOp) -> tuple[int, ...]:
    return ints(pad.attributes["low"])


def _high(pad: PadOp) -> tuple[int, ...]:
    return ints(pad.attributes["high"])


def _take_over(conv: ConvOp, pad: PadOp) -> None:
    """Let ``conv`` read what ``pad`` reads, with a border as much wider."""
    for name, more in (("pad_low", _low(pad)), ("pad_high", _high(pad))):
        own = ints(conv.attributes[name])
        sums = [a + b for a, b in zip(own, more[_OUTER:], strict=True)]
        conv.operation.attributes[name] = i64_array(sums)
    conv.operation.operands[0] = pad.input


def _behind(view: ViewOp, pad: PadOp) -> IndexMap | None:
    """``view`` as one of what is behind ``pad``; None where it shows some of the border."""
    shown, sizes = index_map_of(view), shape(pad.input)
    for expr, low, size in zip(shown.results, _low(pad), sizes, strict=True):
        first, last = interval(expr, shown.domain)
        if first < low or last >= low + size:
            return None
    moved = [expr + -low for expr, low in zip(shown.results, _low(pad), strict=True)]
    return IndexMap(shown.domain, sizes, tuple(moved))


def _read_behind(view: ViewOp) -> bool:
    """Let ``view`` read behind the pad before it, if it shows nothing of it; whether it does."""
    pad = producer(view.input)
    behind = _behind(view, pad) if isinstance(pad, PadOp) else None
    if pad is None or behind is None:
        return False
    view.operation.operands[0] = pad.input
    view.operation.attributes["index_map"] = ir.AffineMapAttr.get(to_affine_map(behind))
    return True


@dataclass(frozen=True)
class EliminatePadsPass:
    """One sweep in program order; a pad of a pad is taken over, too."""

    name: ClassVar[str] = "smartmem-eliminate-pads"

    def run(self, module: Any) -> PassReport:
        """Widen windows by the pads before them, let views read behind pads, then remove what
        nobody reads.
        """
        taken = passed = 0
        for function in functions(module):
            for op in block_ops(function):
                while isinstance(op, ConvOp) and (pad := _border(op)) is not None:
                    _take_over(op, pad)
                    taken += 1
                while isinstance(op, ViewOp) and _read_behind(op):
                    passed += 1
            erase_unused(function)
        return PassReport(self.name, {"pads_taken_over": taken, "pads_unseen": passed})
