"""Views that products and look-ups read through are marked, so that nothing copies what they show;
so are convolutions that read windows, which lie side by side, where they are, and functions of
elements that the product computes as it reads.

    %1 = layout.view %0 (windows of %0)         %1 = layout.view %0 (windows of %0) {read_in_place}
    %2 = layout.contract %1, %w           ==>   %2 = layout.contract %1, %w

Which ones, ``rules/reads.py`` and ``rules/factors.py`` say. The lowering splits the loops of the
reader as the view splits dims. On entry: every tensor has its layout. On exit: the same, with
``read_in_place`` on the views and functions that are not made and on the convolutions that write no
patches out.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

from smartmem.dialects.layout.ops import ConvOp, ElementwiseOp, ViewOp
from smartmem.passes.analysis.reads import mark_read_in_place
from smartmem.passes.base import PassReport, block_ops, check_device, functions, result_bytes
from smartmem.passes.rules.factors import computed_as_read
from smartmem.passes.rules.kernels import KernelLimits
from smartmem.passes.rules.reads import patches_in_place, read_in_place
from smartmem.passes.target import DeviceKind


@dataclass(frozen=True)
class FuseReadsPass:
    """``device``: 'cpu' or 'vulkan'; only Vulkan's kernels have tiles for such loops.

    ``promotes``: whether the target has tiles in shared memory, which want few loops. ``limits``
    are the target's; without them no convolution is marked.
    """

    device: DeviceKind = "vulkan"
    promotes: bool = False
    limits: KernelLimits | None = None
    name: ClassVar[str] = "smartmem-fuse-reads"

    def __post_init__(self) -> None:
        check_device(self.name, self.device)

    def run(self, module: Any) -> PassReport:
        """Every view by itself: loops that suit two views suit either."""
        ops = [op for function in functions(module) for op in block_ops(function)]
        views = [op for op in ops if isinstance(op, ViewOp)]
        taken = [v for v in views if read_in_place(v, self.device, self.promotes).taken]
        convs = [op for op in ops if isinstance(op, ConvOp)]
        reading = [c for c in convs if patches_in_place(c, self.device, self.limits).taken]
        functions_ = [op for op in ops if isinstance(op, ElementwiseOp)]
        computed = [f for f in functions_ if computed_as_read(f, self.device, self.limits).taken]
        for op in (*taken, *reading, *computed):
            mark_read_in_place(op)
        size = sum(result_bytes(view.result) for view in taken)
        size += sum(result_bytes(op.input) for op in reading)
        size += sum(result_bytes(op.result) for op in computed)
        gains = {
            "views_read_in_place": len(taken),
            "patches_read_in_place": len(reading),
            "functions_computed_as_read": len(computed),
        }
        return PassReport(self.name, {**gains, "bytes_not_copied": size})
