"""Write our own kernel configurations into IREE's stream-phase IR.

There every dispatch is a function of linalg ops on tensors, with all that was fused into it, and no
code exists yet: the last place where a ``compilation_info`` attribute on its root op can tell IREE
how to tile it.

    linalg.generic {iterator_types = [... "reduction"]} ...
    ==>
    linalg.generic {..., compilation_info = #iree_codegen.compilation_info<...>} ...

A dispatch is configured where its only reduction is a sum of products that was measured on such a
device (``tuning/database.py``), or that ``rules/kernels.py`` has tiles for. So is one that consists
of a chain of such sums, on every target: IREE has no tiles for it at all. Every other one is IREE's
own affair.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from smartmem.passes.iree import phase_ir
from smartmem.passes.iree.phase_ir import Op, ir
from smartmem.passes.rules.chains import tile_chain
from smartmem.passes.rules.idle_lanes import IdleTiles, tile_convolution, tile_rows
from smartmem.passes.rules.kernels import (
    Contraction,
    KernelConfig,
    KernelLimits,
    accepts,
    rows_inside,
    tile_contraction,
)
from smartmem.passes.rules.workgroups import Shape
from smartmem.passes.tuning.database import Database

_LEAST_CHAIN = 2
_CONVOLUTIONS = ("linalg.depthwise_conv_2d_nhwc_hwc", "linalg.conv_2d_nhwc_hwcf")


@dataclass(frozen=True)
class Configured:
    """The edited IR, the configuration of each dispatch that got one, by name, and how many
    dispatches were found in the database; ``spread``: how many convolutions and rows of others are
    dealt to more threads (``rules/idle_lanes.py``).
    """

    stream_ir: str
    kernels: dict[str, KernelConfig]
    tuned: int = 0
    spread: int = 0


def configure(
    stream_ir: str,
    limits: KernelLimits | None,
    tuned: Database | None = None,
    avoided: Collection[Shape] = (),
) -> Configured:
    """Tile the contractions of a stream-phase module, only chains of them without ``limits``; these
    in workgroups of no ``avoided`` shape. Raises ``ValueError`` on bad text.
    """
    module = phase_ir.parse(stream_ir)
    kernels: dict[str, KernelConfig] = {}
    measured = 0
    for function, sums, op in _chains(module.operation):
        config = tile_chain(op, avoided)
        if config is not None:
            for one in sums[:-1]:
                one.attributes["lowering_config"] = _tiles(config, one.context)
            set_config(sums[-1], config)
            kernels[phase_ir.symbol(function)] = config
    for function, root, op in contractions(module.operation):
        if limits is None:
            break
        entry = tuned.find(op) if tuned else None
        known = entry is not None and (not entry.config or accepts(op, entry.config, limits))
        config = entry.config if entry and known else _by_rule(function, root, op, limits)
        measured += known
        if config is not None:
            set_config(root, config)
            kernels[phase_ir.symbol(function)] = config
    spread = _spread(module.operation, limits) if limits is not None else 0
    if not kernels and not spread:
        return Configured(stream_ir, kernels, measured)
    text = module.operation.get_asm(enable_debug_info=True)
    return Configured(text, kernels, measured, spread)


def _by_rule(function: Op, root: Op, op: Contraction, limits: KernelLimits) -> KernelConfig | None:
    """The rule's tiles for ``root``; its loops in another order, where promoted tiles want that and
    nothing follows it in its dispatch, which would be tiled along the old ones.
    """
    order = rows_inside(op)
    if order is not None and _is_alone(function, root):
        config = tile_contraction(op.reordered(order), limits)
        if config is not None and config.pipeline == "MatmulPromoteVectorize":
            phase_ir.reorder_loops(root, order)
            return config
    return tile_contraction(op, limits)


def _is_alone(function: Op, root: Op) -> bool:
    """Whether ``root`` is all that its dispatch computes, and its body asks for no position."""
    computing = [
        op
        for op in phase_ir.walk(function)
        if op.name.startswith("linalg.") and op.name not in ("linalg.fill", "linalg.yield")
    ]
    return computing == [root]


def _spread(module: Op, limits: KernelLimits) -> int:
    """Configure the convolutions and reductions of rows that leave lanes idle; how many."""
    count = 0
    for function in phase_ir.named(module, "func.func"):
        roots = [op for op in phase_ir.walk(function) if op.name in _CONVOLUTIONS]
        reducing = [
            op for op in phase_ir.walk(function) if "reduction" in phase_ir.iterator_types(op)
        ]
        if len(roots) + len(reducing) != 1:
            continue
        (root,) = (*roots, *reducing)
        tiles = _convolution_tiles(root, limits) if roots else _row_tiles(root, limits)
        if tiles is not None:
            levels = ", ".join(str(list(level)) for level in tiles.levels)
            root.attributes["compilation_info"] = _info(
                f"#iree_codegen.lowering_config<tile_sizes = [{levels}]>",
                "BaseVectorize",
                tiles.threads,
                "",
                root.context,
            )
            count += 1
    return count


def _convolution_tiles(root: Op, limits: KernelLimits) -> IdleTiles | None:
    result = phase_ir.shape_of(root.results[0].type)
    kernel = phase_ir.shape_of(root.operands[1].type)
    return tile_convolution(result, kernel, limits) if result and kernel else None


def _row_tiles(root: Op, limits: KernelLimits) -> IdleTiles | None:
    """Where ``root`` reduces the last of its two loops, over one tensor."""
    inputs, outputs = phase_ir.structured_operands(root)
    kinds = phase_ir.iterator_types(root)
    if kinds != ["parallel", "reduction"] or len(inputs) != 1 or len(outputs) != 1:
        return None
    shape = phase_ir.shape_of(inputs[0].type)
    is_row = ir.AffineMap.get_identity(2, root.context) == phase_ir.affine_maps(root)[0]
    return tile_rows(*shape, limits) if shape and len(shape) == 2 and is_row else None


def contractions(module: Op) -> Iterator[tuple[Op, Op, Contraction]]:
    """The dispatch functions of a module whose only reduction is a sum of products; that op, and
    the sum it is.
    """
    for function in phase_ir.named(module, "func.func"):
        root = _root(function)
        op = None if root is None else _contraction(root)
        if root is not None and op is not None:
            yield function, root, op


def set_config(root: Op, config: KernelConfig) -> None:
    """Write a configuration on the root op of a dispatch."""
    root.attributes["compilation_info"] = _attribute(config, root.context)


def _chains(module: Op) -> Iterator[tuple[Op, Sequence[Op], Contraction]]:
    """The dispatch functions of a module whose reductions are several sums of products over the
    same loops (whether each goes on from the one before, or IREE adds them up afterwards); those,
    and the sum that each of them is.
    """
    for function in phase_ir.named(module, "func.func"):
        sums = _reducing(function)
        loops = [_contraction(one) for one in sums]
        if len(sums) < _LEAST_CHAIN or any(one is None or one != loops[0] for one in loops):
            continue
        if loops[0] is not None:
            yield function, sums, loops[0]


def _reducing(function: Op) -> list[Op]:
    """The reducing ops of a dispatch."""
    return [op for op in phase_ir.walk(function) if "reduction" in phase_ir.iterator_types(op)]


def _root(function: Op) -> Op | None:
    """The one reducing op of a dispatch; None where there is none, or several."""
    reducing = _reducing(function)
    return reducing[0] if len(reducing) == 1 else None


def _contraction(op: Op) -> Contraction | None:
    """``op`` as a sum of products of two operands, each axis of which is one loop; else None.

    Where a factor is computed of several operands, it is as large as the largest of them.
    """
    inputs, outputs = phase_ir.structured_operands(op)
    factors = phase_ir.factors(op)
    if len(outputs) != 1 or factors is None:
        return None
    axes = [
        tuple(e.position for e in m.results if isinstance(e, ir.AffineDimExpr))
        for m in phase_ir.affine_maps(op)
    ]
    if any(len(a) != len(m.results) for a, m in zip(axes, phase_ir.affine_maps(op), strict=True)):
        return None
    extents = phase_ir.loop_extents(op)
    loops = len(phase_ir.iterator_types(op))
    if len(extents) != loops:
        return None
    bits = max(phase_ir.element_bits(v.type) for v in inputs)
    lhs, rhs = (max((axes[i] for i in sorted(factor)), key=len) for factor in factors)
    return Contraction(tuple(extents[d] for d in range(loops)), lhs, rhs, axes[-1], bits)


def _tiling(config: KernelConfig) -> str:
    tiles = ", ".join(str(list(t)) for t in (config.workgroup, config.thread, config.reduction))
    return f"#iree_codegen.lowering_config<tile_sizes = [{tiles}]>"


def _tiles(config: KernelConfig, context: Any) -> Any:
    """For an op beside the root."""
    return ir.Attribute.parse(_tiling(config), context)


def _attribute(config: KernelConfig, context: Any) -> Any:
    promoted = config.pipeline == "MatmulPromoteVectorize"
    stages = f", {{pipeline_depth = 1, store_stage = {config.store_stage}}}" if promoted else ""
    return _info(_tiling(config), config.pipeline, config.threads, stages, context)


def _info(tiling: str, pipeline: str, threads: Sequence[int], stages: str, context: Any) -> Any:
    return ir.Attribute.parse(
        "#iree_codegen.compilation_info<"
        f"lowering_config = {tiling}, "
        "translation_info = #iree_codegen.translation_info<"
        f"pipeline = #iree_gpu.spirv_pipeline<{pipeline}> "
        f"workgroup_size = {list(threads)}{stages}>>",
        context,
    )
