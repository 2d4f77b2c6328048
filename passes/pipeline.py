"""The order of the passes, and why each stands where it stands."""

from collections.abc import Callable, Sequence
from typing import Any

from smartmem.errors import UserError
from smartmem.passes.base import Pass, PassReport
from smartmem.passes.eliminate_concats import EliminateConcatsPass
from smartmem.passes.eliminate_pads import EliminatePadsPass
from smartmem.passes.eliminate_views import EliminateViewsPass
from smartmem.passes.fuse_blocks import FuseBlocksPass
from smartmem.passes.fuse_joins import FuseJoinsPass
from smartmem.passes.fuse_products import FuseProductsPass
from smartmem.passes.fuse_reads import FuseReadsPass
from smartmem.passes.lower_to_linalg import LowerToLinalgPass
from smartmem.passes.pack_textures import PackTexturesPass
from smartmem.passes.rewrite_algebra import RewriteAlgebraPass
from smartmem.passes.rewrite_scales import RewriteScalesPass
from smartmem.passes.rules.kernels import KernelLimits
from smartmem.passes.select_layouts import SelectLayoutsPass
from smartmem.passes.select_orders import SelectOrdersPass
from smartmem.passes.select_paddings import SelectPaddingsPass
from smartmem.passes.select_precision import SelectPrecisionPass
from smartmem.passes.target import DeviceKind
from smartmem.passes.verify_lowered import VerifyLoweredPass
from smartmem.spelling import did_you_mean


def layout_passes(
    device: DeviceKind,
    target: str = "generic",
    *,
    fast_math: bool = False,
    precision: SelectPrecisionPass | None = None,
) -> list[Pass]:
    """From the imported graph to a layout for every tensor; ``target`` names the device.

    ``fast_math``: whether arithmetic may be rewritten in ways that change rounding.
    ``precision``: what makes tensors halves, for a model that is compiled so.
    """
    return [
        # First: what is left of a chain of views is one index map, so later passes see real
        # producers and consumers.
        EliminateViewsPass(),
        # After the first: a view that is a mere reshape no longer hides who reads a product. Before
        # the next, which composes the views of its columns with what they were read through. Not on
        # a CPU: joined, ViT-tiny, MiniLM and Swin-T were no faster there, and Swin-T's queries and
        # keys were copied out of the columns.
        *([FuseProductsPass()] if device == "vulkan" else []),
        # After the first: pieces are single views of one tensor, which is what it looks for.
        EliminateConcatsPass(),
        # Between the two: equal views are equal index maps by now, and views that it moves behind a
        # function compose with their neighbours next.
        RewriteAlgebraPass(fast_math=fast_math),
        # Again: the views that concatenations have become compose with their neighbours.
        EliminateViewsPass(),
        # After the views, which may be all that stands between a pad and its reader; before what
        # decides by a window's border.
        EliminatePadsPass(),
        # After the views, each of which then shows columns of what a kernel makes; before all that
        # asks who reads a view.
        RewriteScalesPass(),
        # After elimination, which would take its copies for views of the model's. Only GPUs deal a
        # dim to threads in equal parts.
        *([SelectPaddingsPass()] if device == "vulkan" else []),
        # After elimination, which may leave no concat; before selection, which may then choose the
        # layout of what is assembled. Per device: copies are cheap on a CPU.
        FuseJoinsPass(device=device),
        # After all that rewrites ops or asks what type they have; before layouts, which the loads
        # of a weight in either type then get each by itself.
        *([precision] if precision else []),
        # After elimination: fewer views are left to choose a layout for, and weights' readers are
        # final.
        SelectLayoutsPass(),
        # After selection, whose choice for a join or a sum it changes where readers want another.
        # Only GPUs have kernels that are made to write another order.
        *([SelectOrdersPass()] if device == "vulkan" else []),
        # After selection: which dim is innermost is known. Only our executor on GPUs has textures.
        *([PackTexturesPass(target=target)] if device == "vulkan" else []),
    ]


def fusing_passes(device: DeviceKind, limits: KernelLimits | None = None) -> list[Pass]:
    """Marks on the ops of a laid-out module that say what becomes one kernel; ``limits`` are the
    target's.
    """
    promotes = limits is not None and limits.shared_bytes > 0
    lanes = limits.row_lanes if limits is not None else 1
    tiles = limits.tiles if limits is not None else FuseBlocksPass.tiles
    return [
        # After selection: whether a view moves elements depends on the layouts on both sides.
        # Before the blocks, which may write what a view that is left would have to turn.
        FuseReadsPass(device=device, promotes=promotes, limits=limits),
        # After selection: only windows in the right layout are worth a kernel of their own. Per
        # device: the price of a border read in the kernel is.
        FuseBlocksPass(device=device, lanes=lanes, tiles=tiles),
    ]


def lowering_passes(device: DeviceKind, limits: KernelLimits | None = None) -> list[Pass]:
    """From a laid-out module to what iree-compile takes; ``limits`` are the target's."""
    return [*fusing_passes(device, limits), *final_passes(device)]


def final_passes(device: DeviceKind) -> list[Pass]:
    """From a module with its marks to linalg."""
    return [
        # After selection: rules translate index maps into each tensor's memory order.
        LowerToLinalgPass(device=device),
        # Last: nothing of ours may cross the border to IREE.
        VerifyLoweredPass(),
    ]


def optional_passes() -> list[str]:
    """Names of the passes without which the result is still right, only slower."""
    steps = [*layout_passes("vulkan"), *lowering_passes("vulkan")]
    needed = (LowerToLinalgPass.name, VerifyLoweredPass.name)
    return [name for name in dict.fromkeys(step.name for step in steps) if name not in needed]


def check_disabled(names: Sequence[str]) -> None:
    """Raises UserError for a name that is no pass, or one without which nothing compiles."""
    known = optional_passes()
    for name in names:
        if name not in known:
            raise UserError(
                f"no pass {name!r} can be turned off.{did_you_mean(name, known)}",
                hint=f"Those that can: {', '.join(known)}.",
            )


def without(passes: Sequence[Pass], disabled: Sequence[str]) -> list[Pass]:
    """``passes`` less the ``disabled`` ones, by name."""
    return [step for step in passes if step.name not in disabled]


def run(
    passes: Sequence[Pass], module: Any, after: Callable[[str, Any], None] | None = None
) -> list[PassReport]:
    """Run ``passes`` in order; each leaves valid IR, which is checked. ``after`` is called with the
    name of each and the module it left.
    """
    reports: list[PassReport] = []
    for step in passes:
        reports.append(step.run(module))
        module.operation.verify()
        if after is not None:
            after(step.name, module)
    return reports
